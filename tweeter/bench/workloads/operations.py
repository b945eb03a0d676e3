"""What a workload asks for, one operation at a time: frozen values that know of no database.

Users and tweets are numbers from 0, in the order in which the world was made; the runner knows their ids. So the same
seed gives the same operations, whatever answers them.
"""

from typing import NamedTuple


class AddUser(NamedTuple):
    """Somebody signs up; the number is the next one."""

    user: int


class Follow(NamedTuple):
    user: int
    followee: int


class Post(NamedTuple):
    user: int
    message: str


class ReadHome(NamedTuple):
    """The first page of the user's home timeline."""

    user: int


class ReadNews(NamedTuple):
    """What has come into the user's home timeline since they last looked, a page of it at most."""

    user: int


class LogIn(NamedTuple):
    """The user comes back and reads the first page."""

    user: int


class LogOut(NamedTuple):
    """The user leaves: the next look is at a whole page again."""

    user: int


class ReadProfile(NamedTuple):
    """The user's own newest tweets."""

    user: int


class ReadTweet(NamedTuple):
    """One tweet by its id."""

    tweet: int


class ReadFollowers(NamedTuple):
    """The names of the user's newest followers."""

    user: int


Operation = AddUser | Follow | Post | ReadHome | ReadNews | LogIn | LogOut | ReadProfile | ReadTweet | ReadFollowers
