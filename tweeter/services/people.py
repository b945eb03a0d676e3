"""Looks up users by name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.models import User
from tweeter.text import USERNAME

SUSPENDED = "This account is suspended."


def find_user(session: Session, username: str, suspended: bool = False) -> User | None:
    """The user with that username, case-insensitively. Malformed names run no statement.

    A suspended account is found only with `suspended`.
    """
    if not USERNAME.fullmatch(username):
        return None
    user = session.scalar(select(User).where(User.username_key == username.lower()))
    return None if user is not None and user.suspended and not suspended else user
