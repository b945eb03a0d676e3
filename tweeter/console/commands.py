"""Shared by all commands: the ini file, the database, and the texts of errors."""

import argparse
import logging
import os
import re
import signal
from collections.abc import Iterator
from configparser import Error as IniError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from plaster import PlasterError
from pyramid.paster import setup_logging
from sqlalchemy import Engine, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from tweeter.db.options import engine_of
from tweeter.db.sessions import make_sessions
from tweeter.errors import BackendUnavailable, TweeterError
from tweeter.interfaces import IMaterializedTimelines
from tweeter.models import Base
from tweeter.services.moderation import Moderation
from tweeter.services.passwords import Passwords
from tweeter.settings import read_ini

_INI = re.compile(r"\.ini(?:$|[#?])")


class CommandError(TweeterError):
    """A command failed; the message is printed. The process ends with code 1."""


class Site(NamedTuple):
    """A site for commands: settings and database, without the web application."""

    ini: str
    settings: dict[str, Any]
    engine: Engine
    sessions: sessionmaker[Session]

    @property
    def passwords(self) -> Passwords:
        """Hashes with the cost in the site's settings."""
        return Passwords.of(self.settings)

    @contextmanager
    def acting(self) -> Iterator[Moderation]:
        """Operators' actions in a transaction of their own, committed at the end of the block. It begins with the first
        statement: a password is hashed before anything is locked."""
        with make_sessions(self.engine, writing=True).begin() as session:
            yield Moderation(session, self.passwords, self.settings["tweeter.message_limit"])


def add_ini(parser: argparse.ArgumentParser) -> None:
    """Adds the positional argument that every command has."""
    parser.add_argument("ini", metavar="INI", help="the site's ini file, for example development.ini")


def ini_first(ini: str, other: str) -> tuple[str, str]:
    """The arguments INI and another, which may come in any order."""
    return (other, ini) if _INI.search(other) and not _INI.search(ini) else (ini, other)


def count(text: str) -> int:
    """The type of a positive integer argument; digits may be grouped: 100_000."""
    with suppress(ValueError):
        if (number := int(text)) > 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")


def counts(text: str) -> tuple[int, ...]:
    """The type of an argument with comma-separated numbers; see `count`."""
    return tuple(count(word) for word in text.split(","))


def natural(text: str) -> int:
    """The type of a non-negative integer argument."""
    with suppress(ValueError):
        if (number := int(text)) >= 0:
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")


def check_writable(*files: Path) -> None:
    """Raises CommandError if a file is not writable, before any work is done."""
    for file in files:
        if file.is_dir() or not os.access(file if file.exists() else file.resolve().parent, os.W_OK):
            raise CommandError(f"{file} can't be written.")


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Within the block SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt, whatever the process inherited.

    A script's background jobs inherit that SIGINT is ignored. SIGHUP stays ignored if it was: nohup relies on that.
    SIGTERM and SIGHUP are handled once, so that they do not interrupt cleaning up; a second Ctrl-C does.
    """
    heard = False

    def end(number: int, frame: object) -> None:
        nonlocal heard
        if not heard:
            heard = True
            raise KeyboardInterrupt

    handlers: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: end}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handlers[signal.SIGHUP] = end
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def open_site(ini: str) -> Iterator[Site]:
    """The site of an ini file, with logging configured by the file, and its database.

    Raises CommandError if the file can't be used or the database has no tables yet.
    """
    settings = read_settings(ini)
    engine = engine_of(settings)
    try:
        check_migrated(engine, ini)
        yield Site(ini, settings, engine, make_sessions(engine))
    finally:
        engine.dispose()


def read_settings(ini: str) -> dict[str, Any]:
    """The settings of an ini file, with logging configured by the file.

    Raises CommandError if the file can't be used.
    """
    try:
        setup_logging(ini)
        return read_ini(ini)
    except PlasterError as error:
        raise CommandError(f"{ini} can't be used: its name must end in .ini, for example development.ini") from error
    except (OSError, LookupError, IniError, UnicodeDecodeError) as error:
        raise CommandError(f"{ini} can't be used: {describe(error)}") from error
    except (ValueError, ImportError) as error:  # a broken logging section, an unknown `use`
        raise CommandError(f"Invalid {ini}: {describe(error)}") from error


def check_migrated(engine: Engine, ini: str) -> None:
    """Raises CommandError if tables are missing."""
    missing = set(Base.metadata.tables) - set(inspect(engine).get_table_names())
    if missing:
        raise CommandError(
            f"The database has no table {', '.join(sorted(missing))} yet. "
            f"Run: alembic -c {ini.partition('#')[0]} upgrade head"
        )


def trouble(timelines: IMaterializedTimelines) -> str:
    """The reason why a store does not serve its timelines, as text."""
    try:
        timelines.store.run_id()
    except BackendUnavailable as error:
        return str(error)
    return "it does not catch up with the outbox; is a site running that delivers to it?"


def describe(error: BaseException) -> str:
    """The text of an error: in full for Tweeter's own, otherwise one line, without the driver's SQL and parameters."""
    if isinstance(error, TweeterError):
        return str(error)
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing" if error.args else "something is missing"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def log_error(error: BaseException) -> None:
    """Logs the traceback at level DEBUG."""
    logging.getLogger("tweeter.cli").debug("The command failed", exc_info=error)
