"""Looks up users by name."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.models import User
from tweeter.text import USERNAME


def find_user(session: Session, username: str) -> User | None:
    """The user with that username, case-insensitively. Malformed names run no statement."""
    if not USERNAME.fullmatch(username):
        return None
    return session.scalar(select(User).where(User.username_key == username.lower()))
