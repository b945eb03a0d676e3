"""`tweeter user`: account administration by the rules of the site."""

import io
import signal
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.conftest import write_ini
from tweeter.cli import main, user
from tweeter.models import OutboxEvent, Tweet, User
from tweeter.services.passwords import Passwords

PASSWORD = "a good password"


@pytest.fixture
def ini(tmp_path: Path, database_url: str) -> str:
    return write_ini(tmp_path, database_url)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """`typed(...)`: input at a terminal, including passwords."""

    def typed(*lines: str) -> None:
        answers = iter(lines)
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))
        monkeypatch.setattr(user.getpass, "getpass", lambda prompt: next(answers))

    return typed


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch):
    """`piped(text)`: input of another program on stdin."""
    return lambda content: monkeypatch.setattr("sys.stdin", io.StringIO(content))


def password_is(sessions, username: str, password: str) -> bool:
    with sessions() as session:
        found = session.scalars(select(User).where(User.username == username)).one()
        return Passwords(1, 8).check(found.password_hash, password)


def test_an_account_is_added_with_the_password_of_the_option(ini, sessions, capsys):
    assert main(["user", "add", ini, "Ann", "--password", PASSWORD]) == 0
    assert capsys.readouterr().out == "Added Ann.\n"
    assert password_is(sessions, "Ann", PASSWORD)


def test_ini_and_name_may_come_in_any_order(ini, sessions):
    assert main(["user", "add", "ann", ini, "--password", PASSWORD]) == 0
    assert main(["user", "add", "--password", PASSWORD, "bob", f"{ini}#main"]) == 0
    assert password_is(sessions, "ann", PASSWORD)
    assert password_is(sessions, "bob", PASSWORD)


def test_password_is_the_first_line_of_standard_input(ini, sessions, piped):
    piped(f"{PASSWORD}\nmore\n")
    assert main(["user", "add", ini, "ann"]) == 0
    assert password_is(sessions, "ann", PASSWORD)


def test_terminal_prompts_for_the_password_twice(ini, sessions, typed, capsys):
    typed(PASSWORD, "another one")
    assert main(["user", "add", ini, "ann"]) == 1
    assert "differ" in capsys.readouterr().err
    typed(PASSWORD, PASSWORD)
    assert main(["user", "add", ini, "ann"]) == 0
    assert password_is(sessions, "ann", PASSWORD)


def test_a_new_password_ends_the_sessions(ini, sessions):
    main(["user", "add", ini, "Ann", "--password", PASSWORD])
    assert main(["user", "password", ini, "@ANN", "--password", "another one"]) == 0
    assert password_is(sessions, "Ann", "another one")
    with sessions() as session:
        assert session.scalars(select(User.auth_version)).one() == 1


def test_closing_an_account_requires_confirmation(ini, acting, sessions, piped, typed, capsys):
    main(["user", "add", ini, "ann", "--password", PASSWORD])
    with acting() as actions:
        actions.post(actions.find("ann").id, "hello")
    for answer in ("", "\n", "no\n"):
        piped(answer)
        assert main(["user", "close", ini, "ann"]) == 1
        assert "ann was not closed" in capsys.readouterr().err
    typed("yes")
    assert main(["user", "close", ini, "ANN"]) == 0
    with sessions() as session:
        assert session.scalars(select(User)).all() == []
        assert session.scalars(select(Tweet)).all() == []
        assert sum('"AccountClosed"' in payload for payload in session.scalars(select(OutboxEvent.payload))) == 1


def test_close_with_yes_does_not_prompt(ini, sessions):
    main(["user", "add", ini, "ann", "--password", PASSWORD])
    assert main(["user", "close", ini, "ann", "--yes"]) == 0
    with sessions() as session:
        assert session.scalars(select(User)).all() == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "ann", "--password", PASSWORD], "taken"),
        (["add", "ANN", "--password", PASSWORD], "taken"),
        (["add", "a b", "--password", PASSWORD], "1 to 20 letters"),
        (["add", "x" * 21, "--password", PASSWORD], "1 to 20 letters"),
        (["add", "bob", "--password", "short"], "at least 8"),
        (["add", "bob", "--password", "x" * 201], "at most 200"),
        (["add", "bob", "--password", ""], "No password"),
        (["add", "bob", "--password", "\udcff" * 10], "codec"),
        (["add", "bob"], "No password"),
        (["password", "ann"], "No password"),
        (["password", "nobody", "--password", PASSWORD], "no user called nobody"),
        (["password", "\udcff", "--password", PASSWORD], ""),
        (["close", "nobody", "--yes"], "no user called nobody"),
    ],
)
def test_refused_input_is_reported_with_exit_code_1(tmp_path, sqlite_url, piped, capsys, arguments, reason):
    ini = write_ini(tmp_path, sqlite_url)
    main(["user", "add", ini, "ann", "--password", PASSWORD])
    piped("")
    verb, *others = arguments
    assert main(["user", verb, ini, *others]) == 1
    told = capsys.readouterr().err
    assert told.startswith("tweeter: ")
    assert reason in told


@pytest.mark.parametrize("arguments", [["user"], ["user", "rename"], ["user", "add"], ["user", "add", "site.ini"]])
def test_bad_usage_ends_with_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_missing_tables_are_reported_with_the_remedy(tmp_path, empty_url, capsys):
    assert main(["user", "add", write_ini(tmp_path, empty_url), "ann", "--password", PASSWORD]) == 1
    assert "upgrade head" in capsys.readouterr().err


@pytest.mark.parametrize("inherited", [signal.default_int_handler, signal.SIG_IGN])
def test_ctrl_c_ends_with_code_130(ini, monkeypatch, capsys, typed, inherited):
    """Background jobs of a script ignore SIGINT."""

    def interrupt(prompt: str) -> str:
        signal.raise_signal(signal.SIGINT)
        return PASSWORD

    typed()
    monkeypatch.setattr(user.getpass, "getpass", interrupt)
    before = signal.signal(signal.SIGINT, inherited)
    try:
        assert main(["user", "add", ini, "ann"]) == 130
        assert signal.getsignal(signal.SIGINT) is inherited
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted" in capsys.readouterr().err
