"""Limits on wrong passwords: refused and accepted clients, and how long hashing may delay other requests."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pyramid.router import Router
from sqlalchemy import text

from tests.conftest import running, serving, settings_of, write_ini
from tests.support.people import PASSWORD, Browser, Person
from tweeter.bench.browser import Browser as Reader
from tweeter.cli import main
from tweeter.db.engines import make_engine
from tweeter.errors import Busy
from tweeter.services.passwords import WAITING, Passwords

Site = Callable[..., Router]


@pytest.fixture
def site_with(sqlite_url: str) -> Iterator[Site]:
    """`site_with(sign_in="2/minute")` is the site with other limits."""
    with ExitStack() as stack:

        def start(url: str = sqlite_url, **specs: str) -> Router:
            changed = {f"tweeter.limits.{name}": spec for name, spec in specs.items()}
            return stack.enter_context(running(settings_of(url) | changed))

        yield start


def at(app: Router, address: str) -> Person:
    """A user with a new browser."""
    return Person(Browser(app, {"REMOTE_ADDR": address}))


def statuses(person: Person, name: str, number: int) -> set[int]:
    """The responses to this many wrong passwords."""
    return {person.sign_in(name, "wrong password").status_int for _ in range(number)}


# refused and accepted clients


def test_sign_in_is_limited_by_name_and_address(site_with: Site) -> None:
    app = site_with(sign_in="3/10 minutes")
    owner = Person(Browser(app), "Ada")
    stranger = at(app, "192.0.2.1")
    assert statuses(stranger, "Ada", 3) == {400}
    page = stranger.sign_in("ADA", PASSWORD)
    assert page.status_int == 429
    assert 0 < int(page.headers["Retry-After"]) <= 600
    assert "too many wrong passwords for this username" in page.text
    stranger.browser.extra_environ["HTTP_X_FORWARDED_FOR"] = "198.51.100.4"  # a client can forge this
    assert stranger.sign_in("Ada", PASSWORD).status_int == 429
    assert at(app, "192.0.2.1").sign_in("Ada", PASSWORD).status_int == 429
    assert stranger.sign_in("bob", "wrong").status_int == 400
    elsewhere = at(app, "192.0.2.7")
    for _ in range(5):  # correct passwords are not counted
        assert elsewhere.sign_in("Ada", PASSWORD).status_int == 303
        elsewhere.sign_out()
    owner.get("/settings", status=200)


def test_guessing_many_names_from_one_address_is_limited(site_with: Site) -> None:
    """With the default limits."""
    app = site_with()
    Person(Browser(app, {"REMOTE_ADDR": "203.0.113.1"}), "Ada")
    thief = at(app, "192.0.2.1")
    tried = [thief.sign_in(f"name{number}", "wrong password").status_int for number in range(60)]
    assert tried[:50] == [400] * 50
    assert tried[50:] == [429] * 10
    page = thief.sign_in("Ada", PASSWORD)
    assert page.status_int == 429
    assert "wrong passwords for too many usernames from your network address" in page.text
    assert at(app, "192.0.2.2").sign_in("Ada", PASSWORD).status_int == 303


def test_an_address_is_counted_by_the_names_it_tries(site_with: Site) -> None:
    """Otherwise an attack on one name would lock out all users of the same address."""
    app = site_with(sign_in="100/day", sign_in_name="none", sign_in_address="3/day")
    somebody = at(app, "192.0.2.1")
    for name in ("Ada", "bob"):
        assert statuses(somebody, name, 10) == {400}
    assert statuses(somebody, "eve", 1) == {400}
    for name in ("zoe", "Ada"):
        assert statuses(somebody, name, 3) == {429}


def test_many_addresses_that_attack_one_name_do_not_lock_its_owner_out(site_with: Site) -> None:
    app = site_with()
    owner = Person(Browser(app, {"REMOTE_ADDR": "203.0.113.1"}), "Ada")
    owner.sign_out()
    tried = [at(app, f"192.0.2.{number}").sign_in("Ada", "wrong").status_int for number in range(40)]
    assert tried[:30] == [400] * 30
    assert tried[30:] == [429] * 10
    page = at(app, "198.51.100.1").sign_in("Ada", PASSWORD)
    assert page.status_int == 429
    assert int(page.headers["Retry-After"]) <= 60  # slowed down, not locked out
    assert owner.sign_in("Ada", PASSWORD).status_int == 303
    assert at(app, "198.51.100.1").sign_in("bob", "wrong").status_int == 400


def test_untrusted_proxy_does_not_lock_all_users_out(site_with: Site, caplog: pytest.LogCaptureFixture) -> None:
    """All visitors have its address."""
    app = site_with()
    proxy = "127.0.0.1"
    owner = Person(Browser(app, {"REMOTE_ADDR": proxy}), "Ada")
    owner.sign_out()
    bob = Person(Browser(app, {"REMOTE_ADDR": proxy}), "bob")
    bob.browser.reset()
    assert statuses(at(app, proxy), "Ada", 100) == {400, 429}
    assert owner.sign_in("Ada", PASSWORD).status_int == 303
    assert bob.sign_in("bob", PASSWORD).status_int == 303  # in a new browser
    assert int(at(app, proxy).sign_in("Ada", PASSWORD).headers["Retry-After"]) <= 60
    hints = [record.message for record in caplog.records if record.name == "tweeter.web.ratelimits"]
    assert len(hints) == 1
    assert "127.0.0.1" in hints[0]
    assert "trusted_proxy" in hints[0]


def test_a_known_browser_has_a_limit_of_its_own(site_with: Site) -> None:
    app = site_with(sign_in="3/10 minutes")
    owner = Person(Browser(app), "Ada")
    owner.sign_out()
    assert statuses(owner, "Ada", 3) == {400}
    assert owner.sign_in("Ada", PASSWORD).status_int == 429
    assert at(app, "192.0.2.1").sign_in("Ada", PASSWORD).status_int == 303


@pytest.mark.parametrize("forged", ["", ".", "x", "x.y", "..", "x." + "0" * 32, "\xff.\xff", "é.é", '"; x=y'])
def test_known_browser_cookie_cannot_be_forged(site_with: Site, forged: str) -> None:
    app = site_with(sign_in="1/10 minutes")
    owner, other = (Person(Browser(app), name) for name in ("Ada", "bob"))
    owner.sign_out()
    known = other.browser.cookies["browser"].strip('"')
    thief = at(app, "192.0.2.1")
    assert statuses(thief, "Ada", 2) == {400, 429}
    for value in (forged, known, known.replace(".", "x."), f"{known}0"):
        header = {"Cookie": "; ".join([*(f"{k}={v}" for k, v in thief.browser.cookies.items()), f"browser={value}"])}
        fields = {"csrf_token": thief.token("/login"), "username": "Ada", "password": "wrong"}
        assert thief.browser.post("/login", fields, headers=header, status="*").status_int == 429


def test_the_password_is_guarded_in_the_settings_too(site_with: Site) -> None:
    ada = Person(Browser(site_with(sign_in="2/10 minutes")), "Ada")
    fields = {"action": "password", "current_password": "wrong", "new_password": "another password"}
    tried = [ada.send("/settings", status="*", **fields).status_int for _ in range(3)]
    assert tried == [400, 400, 429]


# duration


def test_passwords_are_hashed_before_anything_is_locked(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise other writers on SQLite would wait for it."""
    locked: list[str] = []
    engine = make_engine(sqlite_url, connect_args={"timeout": 0})
    hash_ = Passwords.hash

    def hash_and_look(self: Passwords, password: str) -> str:
        with engine.connect() as connection:
            try:
                connection.execute(text("UPDATE users SET bio = bio"))
            except Exception:
                locked.append(password)
            connection.rollback()
        hashed.append(password)
        return hash_(self, password)

    hashed: list[str] = []
    monkeypatch.setattr(Passwords, "hash", hash_and_look)
    with running(settings_of(sqlite_url)) as app:
        app.registry["housekeeper"].stop()  # it locks now and then, too
        ada = Person(Browser(app))
        ada.sign_up("Ada", "signed up with it")
        ada.send(
            "/settings",
            status=303,
            action="password",
            current_password="signed up with it",
            new_password="changed to it",
        )
    with running(settings_of(sqlite_url) | {"tweeter.argon2.time_cost": "2"}) as app:
        app.registry["housekeeper"].stop()
        assert Person(Browser(app)).sign_in("Ada", "changed to it").status_int == 303
    ini = write_ini(Path(engine.url.database or "").parent, sqlite_url)
    assert main(["user", "add", ini, "bob", "--password", "added by a command"]) == 0
    assert main(["user", "password", ini, "bob", "--password", "changed by a command"]) == 0
    engine.dispose()
    assert {"signed up with it", "changed to it", "added by a command", "changed by a command"} <= set(hashed)
    assert hashed.count("changed to it") == 2
    assert locked == []


class Stuck:
    """A hasher whose duration the test controls."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.running: list[int] = []
        self.most = 0

    def verify(self, *_: str) -> bool:
        self.running.append(1)
        self.most = max(self.most, len(self.running))
        assert self.released.wait(30)
        self.running.pop()
        return True


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_few_passwords_are_hashed_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tweeter.services.passwords.PATIENCE", 30)
    passwords = Passwords(1, 8, at_once=2)
    hashed = passwords.hash("a password")
    monkeypatch.setattr(passwords, "_hasher", stuck := Stuck())
    results: list[str] = []

    def check() -> None:
        try:
            results.append("right" if passwords.check(hashed, "a password") else "wrong")
        except Busy as error:
            results.append(f"busy for {error.seconds} s")

    threads = [threading.Thread(target=check) for _ in range(20)]
    for thread in threads:
        thread.start()
    until(lambda: len(results) == 20 - 2 - WAITING)
    assert set(results) == {"busy for 1 s"}
    stuck.released.set()
    for thread in threads:
        thread.join()
    assert stuck.most == 2
    assert results.count("right") == 2 + WAITING


def test_waiting_for_a_busy_hasher_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tweeter.services.passwords.PATIENCE", 0.1)
    passwords = Passwords(1, 8, at_once=1)
    hashed = passwords.hash("a password")
    monkeypatch.setattr(passwords, "_hasher", stuck := Stuck())
    first = threading.Thread(target=passwords.check, args=(hashed, "a password"))
    first.start()
    until(lambda: bool(stuck.running))
    with pytest.raises(Busy):
        passwords.check(hashed, "a password")
    stuck.released.set()
    first.join()
    assert passwords.check(hashed, "a password")


def test_pages_are_served_during_many_sign_ins(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over HTTP, on a server with eight threads as in the ini files: at most half of them may hash passwords."""
    monkeypatch.setattr("tweeter.services.passwords.PATIENCE", 30)
    with (
        running(settings_of(sqlite_url) | {"tweeter.argon2.at_once": "1"}) as app,
        serving(app, threads=8) as address,
    ):
        host, port = address.removeprefix("http://").split(":")
        Person(Browser(app), "Ada")
        monkeypatch.setattr(app.registry["passwords"], "_hasher", stuck := Stuck())
        stuck.check_needs_rehash = lambda password_hash: False  # type: ignore[attr-defined]
        answers: list[tuple[int, str | None]] = []

        def sign_in() -> None:
            with closing(Reader((host, int(port)))) as browser:
                answer = browser.send("/login", username="Ada", password=PASSWORD)
                answers.append((answer.status, answer.headers["Retry-After"]))

        threads = [threading.Thread(target=sign_in) for _ in range(16)]
        for thread in threads:
            thread.start()
        until(lambda: len(answers) == 16 - 1 - WAITING)
        assert set(answers) == {(503, "1")}
        with closing(Reader((host, int(port)))) as reader:
            for page in ("/public", "/@Ada", "/login"):
                assert reader.get(page).status == 200
        stuck.released.set()
        for thread in threads:
            thread.join()
    assert answers.count((303, None)) == 1 + WAITING
