"""Checks of what users enter: messages, names, bios and passwords. Each raises Refused with a message for the user."""

from tweeter import text
from tweeter.errors import Refused

NAME_LENGTH = 50
NAME_COLUMN = 200  # code points
BIO_LENGTH = 160
PASSWORD_LEAST, PASSWORD_MOST = 8, 200


def check_message(message: str, limit: int) -> str:
    """Returns the cleaned message. Raises Refused."""
    message = text.clean_message(message)
    if not message:
        raise Refused("The message is empty.", "message")
    surplus = text.length(message) - limit
    too_long = f"The message is {surplus:,} character{'s' if surplus > 1 else ''} too long."
    _check_length(message, limit, too_long, "message")
    return message


def check_display_name(name: str) -> str:
    name = text.clean_line(name)
    too_long = f"A name has at most {NAME_LENGTH} characters."
    _check_length(name, NAME_LENGTH, too_long, "display_name", NAME_COLUMN)
    return name


def check_list_name(name: str) -> str:
    name = text.clean_line(name)
    if not name:
        raise Refused("A list needs a name.", "name")
    _check_length(name, NAME_LENGTH, f"The name of a list has at most {NAME_LENGTH} characters.", "name", NAME_COLUMN)
    return name


def check_bio(bio: str) -> str:
    bio = text.clean_message(bio)
    _check_length(bio, BIO_LENGTH, f"A bio has at most {BIO_LENGTH} characters.", "bio")
    return bio


def _check_length(words: str, limit: int, too_long: str, field: str, code_points: int = 0) -> None:
    if text.count_characters(words) > limit:
        raise Refused(too_long, field)
    most = code_points or limit * text.CODE_POINTS_PER_CHARACTER
    if len(words) > most:
        raise Refused(f"The text has {len(words):,} code points; at most {most:,} are allowed.", field)


def check_password(password: str) -> None:
    if len(password) < PASSWORD_LEAST:
        raise Refused(f"A password has at least {PASSWORD_LEAST} characters.", "password")
    if len(password) > PASSWORD_MOST:
        raise Refused(f"A password has at most {PASSWORD_MOST} characters.", "password")
