"""The operations of a workload: immutable values without reference to a database.

Users and tweets are numbers from 0, in the order in which the world was created; the runner maps them to ids. So the
same seed produces the same operations on every backend.
"""

from typing import NamedTuple


class AddUser(NamedTuple):
    """A user signs up and gets the next number."""

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
    """New tweets in the user's home timeline since their last look, up to a page."""

    user: int


class LogIn(NamedTuple):
    """The user signs in and reads the first page."""

    user: int


class LogOut(NamedTuple):
    """The user signs out: their next look reads a whole page again."""

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
