"""The command line: `tweeter SUBCOMMAND development.ini`.

Each command is a module with two functions: `add_parser(subparsers)` declares its arguments, `run(args)`
executes it and returns the exit code. An optional third, `in_order(words)`, reorders the command line for argparse.
Errors are one line on stderr. Exit codes: 2 for bad usage, 1 for other errors, 130 after Ctrl-C or SIGTERM.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tweeter.console.commands import describe, ending_in_order, log_error
from tweeter.errors import TweeterError

COMMANDS = (
    "init",
    "static",
    "demo",
    "load",
    "user",
    "tweet",
    "verify",
    "truncate",
    "site-id",
    "settings",
    "relay",
    "services",
    "visit",
    "bench",
)

INTERRUPTED = 130  # the exit code that shells report after Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        in_order = getattr(_module(words[0]), "in_order", list)
        args = _parser(words[0]).parse_args([words[0], *in_order(words[1:])])
    else:
        args = _parser(*COMMANDS).parse_args(words)
    try:
        with ending_in_order():
            code: int = _module(args.command).run(args)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as error:
        print("tweeter: interrupted", *_notes(error), sep="\n", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe has exited. Python would report that again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (TweeterError, SQLAlchemyError, OSError, UnicodeError) as error:
        log_error(error)
        print(f"tweeter: {describe(error)}", *_notes(error), sep="\n", file=sys.stderr)
        return 1


def _notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def _parser(*commands: str) -> argparse.ArgumentParser:
    """The parser for these commands: importing the others would only take time."""
    parser = argparse.ArgumentParser(prog="tweeter", description="Manages a Tweeter site.")
    parser.add_argument("--version", action="version", version=f"tweeter {version('tweeter')}")
    subparsers = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", dest="command", required=True)
    for name in commands:
        _module(name).add_parser(subparsers)
    return parser


def _module(command: str) -> Any:
    return import_module(f"tweeter.cli.{command.replace('-', '_')}")
