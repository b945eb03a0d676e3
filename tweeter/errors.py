"""The errors of the project, independent of drivers."""

from pyramid.exceptions import ConfigurationError


class TweeterError(Exception):
    """Base of all errors of this project."""


class BackendUnavailable(TweeterError):
    """A timeline store or tweet cache failed; the driver's error is its __cause__.

    Raised by stores and caches only; readers fall back to SQL.
    """


class SiteUnknown(BackendUnavailable):
    """A shared store or cache was called before `set_site`: its relay has not read the site id yet."""

    def __init__(self) -> None:
        super().__init__("the site's id is not known yet")


class Refused(TweeterError):
    """An action that the rules do not allow; the message is for the user.

    `field` names the form field that caused it, if there is one.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class NotYours(Refused):
    """A user tried to change another user's data."""


class Missing(Refused):
    """The object of the action does not exist or was deleted."""


class TookTooLong(TweeterError):
    """A statement exceeded its time limit."""


class TryAgain(TweeterError):
    """Refused for now; a retry is worthwhile after `seconds`."""

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
    """A missing or invalid setting; the message names the allowed values."""
