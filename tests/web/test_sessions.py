"""Sessions: how they end, in every process at once, and how long they last."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from pyramid.router import Router
from sqlalchemy import func, insert, select, update

from tests.conftest import running, settings_of, write_ini
from tests.support.people import PASSWORD, Browser, Person
from tweeter import measure
from tweeter.cli import main
from tweeter.db.sessions import begin_immediate
from tweeter.models import LoginSession, User
from tweeter.models.base import now
from tweeter.web.security import PRUNED


@pytest.fixture
def processes(database_url: str) -> Iterator[list[Router]]:
    """Two processes of one site, on each kind of database."""
    with ExitStack() as stack:
        yield [stack.enter_context(running(settings_of(database_url))) for _ in range(2)]


def copy_of(person: Person, app: Router) -> Person:
    """A client with copies of all cookies, on another process."""
    thief = Person(Browser(app), "")
    for name, value in person.browser.cookies.items():
        thief.browser.set_cookie(name, value.strip('"'))
    return thief


def is_signed_in(person: Person) -> bool:
    return person.get("/settings", status="*").status_int == 200


def count(app: Router) -> int:
    with app.registry.database.sessions() as session:
        return session.scalar(select(func.count()).select_from(LoginSession)) or 0


def test_signing_out_invalidates_copied_cookies(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    copies = [copy_of(ada, app) for app in processes]
    elsewhere = Person(Browser(processes[1]), "")
    elsewhere.sign_in("Ada")
    assert all(map(is_signed_in, (ada, elsewhere, *copies)))
    ada.sign_out()
    assert not any(map(is_signed_in, (ada, *copies)))
    assert is_signed_in(elsewhere)
    assert count(processes[0]) == 1
    ada.sign_in("Ada")
    assert is_signed_in(ada)
    assert not any(map(is_signed_in, copies))


def test_signing_out_everywhere(processes: list[Router]) -> None:
    ada, bob = (Person(Browser(processes[0]), name) for name in ("Ada", "bob"))
    elsewhere = Person(Browser(processes[1]), "")
    elsewhere.sign_in("Ada")
    copies = [copy_of(person, app) for app in processes for person in (ada, elsewhere)]
    answer = ada.send("/settings", action="sessions", status=303)
    assert "You are signed out in all browsers." in answer.follow().text
    assert not any(map(is_signed_in, (ada, elsewhere, *copies)))
    assert is_signed_in(bob)
    ada.sign_in("Ada")
    assert is_signed_in(ada)
    assert not any(map(is_signed_in, (elsewhere, *copies)))


def test_new_password_ends_all_other_sessions_of_the_user(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    copies = [copy_of(ada, app) for app in processes]
    elsewhere = Person(Browser(processes[1]), "")
    elsewhere.sign_in("Ada")
    fields = {"action": "password", "current_password": PASSWORD, "new_password": "another password"}
    ada.send("/settings", status=303, **fields)
    assert is_signed_in(ada)
    assert not any(map(is_signed_in, (elsewhere, *copies)))


def test_a_new_password_by_the_command_ends_all(database_url: str, processes: list[Router], tmp_path: Path) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    assert main(["user", "password", write_ini(tmp_path, database_url), "Ada", "--password", "another password"]) == 0
    assert not is_signed_in(ada)


def test_signing_in_while_signed_in_begins_no_other_session(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    before = copy_of(ada, processes[1])
    ada.sign_in("Ada")
    assert is_signed_in(ada)
    assert is_signed_in(before)
    for _ in range(3):
        ada.sign_out()
        ada.sign_in("Ada")
    assert count(processes[0]) == 1


def test_a_closed_account_leaves_no_session(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    copy = copy_of(ada, processes[1])
    ada.send("/settings", action="close", password=PASSWORD, confirm="yes", status=303)
    assert not is_signed_in(copy)
    assert count(processes[0]) == 0


def test_password_changed_during_the_check_fails_sign_in(
    processes: list[Router], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    passwords = processes[1].registry["passwords"]
    check = passwords.check

    def check_slowly(*arguments: str) -> bool:
        right = check(*arguments)
        fields = {"action": "password", "current_password": PASSWORD, "new_password": "another password"}
        ada.send("/settings", status=303, **fields)
        return bool(right)

    monkeypatch.setattr(passwords, "check", check_slowly)
    thief = Person(Browser(processes[1]), "")
    thief.sign_in("Ada", PASSWORD)
    assert not is_signed_in(thief)
    assert is_signed_in(ada)


def test_stolen_session_hashes_do_not_sign_in(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    with processes[0].registry.database.sessions() as session:
        (hashed,) = session.scalars(select(LoginSession.token_hash))
    token = ada.browser.cookies["ticket"]
    assert token.encode() not in hashed
    for guess in (hashed.hex(), hashed.hex()[:43], hashed.decode("latin-1")):
        visitor = Browser(processes[0])
        visitor.get("/settings", headers={"Cookie": f"ticket={guess}"}, status=303)


def test_another_secret_ends_all_sessions(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url)) as app:
        ada = Person(Browser(app), "Ada")
    with running(settings_of(sqlite_url) | {"tweeter.secret": "another secret"}) as app:
        assert not is_signed_in(copy_of(ada, app))


def test_used_session_is_renewed(processes: list[Router]) -> None:
    app = processes[0]
    ada = Person(Browser(app), "Ada")

    def left(change: timedelta | None = None) -> timedelta:
        with app.registry.database.sessions.begin() as session:
            if change is not None:
                session.execute(update(LoginSession).values(expires=now() + change))
            return session.scalars(select(LoginSession.expires)).one() - now()

    ada.get("/")  # which says welcome
    left(timedelta(days=29))
    assert "Set-Cookie" not in ada.get("/", status=200).headers  # not with every page
    assert left() < timedelta(days=29)
    left(timedelta(days=1))
    (cookie,) = ada.get("/", status=200).headers.getall("Set-Cookie")
    assert cookie.startswith("ticket=")
    assert "Max-Age=2592000" in cookie
    assert left() > timedelta(days=29.9)
    left(timedelta(seconds=-1))
    assert not is_signed_in(ada)


def test_a_form_that_ends_a_session_is_not_overwritten_by_its_renewal(processes: list[Router]) -> None:
    app = processes[0]
    ada = Person(Browser(app), "Ada")
    token = ada.token()
    with app.registry.database.sessions.begin() as session:
        session.execute(update(LoginSession).values(expires=now() + timedelta(days=1)))
    fields = {"action": "password", "current_password": PASSWORD, "new_password": "another password"}
    ada.browser.post("/settings", {"csrf_token": token, **fields}, status=303)
    assert is_signed_in(ada)


def test_expired_sessions_are_deleted_in_chunks(processes: list[Router]) -> None:
    app = processes[0]
    ada = Person(Browser(app), "Ada")
    with app.registry.database.sessions.begin() as session:
        begin_immediate(session)
        user_id = session.scalars(select(User.id)).one()
        old = now() - timedelta(days=1)
        rows = [
            {"token_hash": n.to_bytes(32, "big"), "user_id": user_id, "auth_version": 0, "expires": old}
            for n in range(PRUNED + 50)
        ]
        session.execute(insert(LoginSession), rows)
    assert is_signed_in(ada)
    counts = []
    for _ in range(3):
        Person(Browser(app), "").sign_in("Ada")
        counts.append(count(app))
    assert counts == [1 + 50 + 1, 1 + 2, 1 + 3]
    assert is_signed_in(ada)


def test_loading_the_current_user_is_one_statement(processes: list[Router], monkeypatch: pytest.MonkeyPatch) -> None:
    app = processes[0]
    ada = Person(Browser(app), "Ada")
    ada.get("/")
    statements: list[str] = []

    def count(seconds: float, sql: str, parameters: object) -> None:
        if threading.current_thread() is threading.main_thread():  # not the relay's
            statements.append(sql)

    monkeypatch.setattr(measure, "count_sql", count)
    for url in ("/", "/settings", "/login", "/nothing"):
        statements.clear()
        ada.get(url, status="*")
        assert len([one for one in statements if "sessions" in one]) == 1, url
    statements.clear()
    Browser(app).get("/login")
    Browser(app).get("/login", headers={"Cookie": "ticket=nonsense"})
    assert statements == []


def test_the_button_is_in_the_settings(processes: list[Router]) -> None:
    ada = Person(Browser(processes[0]), "Ada")
    page = ada.get("/settings")
    forms = [form for form in page.forms.values() if "action" in form.fields and form["action"].value == "sessions"]
    form = forms[0]
    assert form.submit(status=303).location == "/"
    assert not is_signed_in(ada)
