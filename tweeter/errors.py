"""What can go wrong, in the words of the project rather than of a driver."""

from pyramid.exceptions import ConfigurationError


class TweeterError(Exception):
    """Base of all errors of this project."""


class BackendUnavailable(TweeterError):
    """A timeline store or tweet cache could not be asked; the driver's error is its __cause__.

    Raised by stores and caches only; readers answer from SQL then.
    """


class SiteUnknown(BackendUnavailable):
    """A shared store or cache was asked before it knew which site's keys are meant: its relay has not looked yet."""

    def __init__(self) -> None:
        super().__init__("the site's id is not known yet")


class Refused(TweeterError):
    """An action that the rules do not allow; the message is for the person who tried.

    `field` names the form field it is about, if it is about one.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotYours(Refused):
    """Somebody tried to change what belongs to somebody else."""


class Missing(Refused):
    """What the action is about does not exist (any more)."""


class TookTooLong(TweeterError):
    """A statement ran into its time limit."""


class TryAgain(TweeterError):
    """Not now; `seconds` until it is worth trying again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"try again in {seconds} seconds")
        self.seconds = seconds


class TooManyRequests(TryAgain):
    """The limit `tweeter.limits.<limit>` is reached."""

    def __init__(self, seconds: int, limit: str) -> None:
        super().__init__(seconds)
        self.limit = limit


class Busy(TryAgain):
    """Too many passwords are being hashed."""


class SettingError(ConfigurationError, TweeterError):
    """A setting that is missing or makes no sense; the message says what is allowed."""
