"""Closing accounts: they disappear from every page at once, and their rows are removed in chunks."""

import multiprocessing
import os
import re
import signal
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import event, exists, func, insert, select, text, update

from tests.conftest import engine_on, running, settings_of, write_ini
from tests.support.people import PASSWORD, Browser, Person
from tweeter import ids
from tweeter.cli import main
from tweeter.db.chunks import CHUNK, in_chunks
from tweeter.db.sessions import begin_immediate, make_sessions
from tweeter.errors import Missing
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.models import Mention, OutboxEvent, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.services import housekeeping
from tweeter.services.actions import actions_of
from tweeter.services.closing import remove_some
from tweeter.services.housekeeping import Housekeeper
from tweeter.services.passwords import Passwords
from tweeter.values import Cursor, Timeline

LEAVER = "zebra"  # occurs on no page by chance
WORDS = "quagga"
KEEP = timedelta(hours=24)


@pytest.fixture(params=["sql", "memory", "redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def app(backend, database_url, redis_server, memcached_server):
    """A site without housekeeping."""
    prefix = f"{database_url[-30:]}:".replace("/", "-")
    own = {
        "tweeter.timelines": backend,
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
    }
    with running(settings_of(database_url) | own) as app:
        app.registry["housekeeper"].stop()
        yield app


def any_left(session):
    """Whether rows of closed accounts remain."""
    return bool(session.scalar(select(exists().where(User.closed))))


@contextmanager
def transaction(sessions):
    with sessions() as session:
        begin_immediate(session)
        yield session
        session.commit()


def remove(sessions, limit=CHUNK):
    return sum(in_chunks(sessions, partial(remove_some, limit=limit)))


def leave(person):
    fields = {"action": "close", "password": PASSWORD}
    person.send("/settings", status=200, **fields)
    person.send("/settings", status=303, confirm="yes", **fields)


@pytest.mark.parametrize(
    ("database_url", "backend"),
    [("postgresql", "sql"), ("sqlite", "memory"), ("postgresql", "redis"), ("sqlite", "memcached")],
    indirect=True,
)
def test_a_closed_account_is_on_no_page_from_the_first_moment(app):
    """Before any row is removed, every page equals the page after the removal, except for counters."""
    stranger = Browser(app)
    leaver, bob, cid = (Person(Browser(app), name) for name in (LEAVER, "bob", "cid"))
    leaver.send("/settings", action="profile", display_name=f"Dr {WORDS}", bio=WORDS)
    for one, other in ((bob, LEAVER), (cid, LEAVER), (bob, "cid"), (leaver, "bob"), (cid, "bob")):
        one.follow(other)
    kept = [bob.post("I stay"), cid.post("so do I")]
    gone = [leaver.post(f"{WORDS} {number} @bob #{WORDS}") for number in range(30)]
    answer = bob.post("an answer", gone[0])
    deep = cid.post("an answer to the answer", answer)
    gone.append(leaver.post(f"{WORDS} deep", deep))
    deeper = bob.post("and on", gone[-1])
    between = leaver.post(f"{WORDS} answer", kept[0])
    after = cid.post("below it", between)
    pages = [
        "/public", "/public?limit=100", "/@bob", "/@bob/followers", "/@bob/following", "/@cid/followers",
        f"/search?q={WORDS}", f"/search?q=%23{WORDS}", f"/search?q={LEAVER}", "/search?q=!", "/search?q=answer",
        *(f"/tweets/{id_}" for id_ in (*kept, *gone[:3], answer, deep, deeper, between, after)),
        f"/@{LEAVER}", f"/@{LEAVER}/followers", f"/@{LEAVER}/following",
    ]  # fmt: skip
    own_pages = ["/", "/?limit=100", "/mentions", "/settings/export.json"]

    def everything():
        assert app.registry.getUtility(IDelivery).drain(20)
        seen = {url: stranger.get(url, status="*") for url in pages}
        for person in (bob, cid):
            seen |= {f"{person.username} {url}": person.get(url, status="*") for url in pages + own_pages}
        return {url: (page.status_int, without_figures(page.text)) for url, page in seen.items()}

    before = everything()
    assert sum(LEAVER in words or WORDS in words for _, words in before.values()) > 40
    user_id = id_of(app, LEAVER)
    leave(leaver)
    closed = everything()
    for url, (status, words) in closed.items():
        if "search" in url and "answer" not in url:
            assert "Nothing found." in words, url
        elif f"@{LEAVER}" in url:
            assert status == 404
        else:
            assert LEAVER not in words, url
            assert WORDS not in words, url
    for browser in (stranger, bob.browser, leaver.browser):
        for url in (f"/@{LEAVER}", f"/tweets/{gone[0]}", f"/newer?timeline=profile&user={user_id}&since=0"):
            assert browser.get(url, status=404)
    assert leaver.get("/settings", status=303).location.endswith("/login?next=/settings")
    assert leaver.sign_in(LEAVER).status_int == 400
    assert len(bob.ids("/?limit=100")) == len(bob.ids("/public?limit=100")) == 6
    with pytest.raises(Missing):
        app.registry.getUtility(ITimelines).page(Timeline("profile", user_id), Cursor())

    sessions = app.registry.database.sessions
    steps = 0
    while remove_one(sessions):
        steps += 1
        if steps in (1, 5, 20):
            assert everything() == closed
    assert steps > 30
    assert everything() == closed
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 2
        assert not any_left(session)
    again = Person(Browser(app), LEAVER)
    assert again.ids(f"/@{LEAVER}") == []


def without_figures(page):
    """A page without counters and measurements."""
    page = re.sub(r'(?s)<(dl|p) class="(counts|costs)[^"]*".*?</\1>', "", page)
    page = re.sub(r' <span class="replies">.*?</span></span>', "", page)
    page = re.sub(r'(Served by|Page in) .*?<|data-(poll|suggestions)="[^"]*"|name="csrf_token" value="\w+"', "", page)
    return re.sub(r"\d[\d,]*</?(b|strong|span|dd)\b[^>]*>\s*(followers?|following|tweets?)?", "", page)


def remove_one(sessions):
    with transaction(sessions) as session:
        return remove_some(session, 1)


def id_of(app, username):
    with app.registry.database.sessions() as session:
        return session.scalars(select(User.id).where(User.username_key == username)).one()


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_actions_on_a_closed_account_find_no_user(app):
    leaver, bob = Person(Browser(app), LEAVER), Person(Browser(app), "bob")
    tweet = leaver.post("hello")
    leave(leaver)
    for path in ("follow", "unfollow"):
        bob.send(f"/@{LEAVER}/{path}", status=404)
    bob.send("/tweets", status=400, message="an answer", parent_id=str(tweet))
    bob.delete(tweet, status=404)
    bob.post(f"hello @{LEAVER}")
    with app.registry.database.sessions() as session:
        assert session.scalars(select(Mention)).all() == []


@pytest.mark.parametrize("backend", ["memory"], indirect=True)
def test_counters_of_neighbours_are_correct_after_each_chunk(app):
    sessions = app.registry.database.sessions
    leaver_id = crowd(sessions, 7)
    with transaction(sessions) as session:
        actions_of(app.registry, session).close_account(leaver_id)
    while True:
        with sessions() as session:
            for user in session.scalars(select(User).where(~User.closed)):
                for counter, column in (
                    (user.followers_count, Relationship.to_user_id),
                    (user.following_count, Relationship.from_user_id),
                ):
                    assert counter == session.scalar(select(func.count()).where(column == user.id))
        if not remove_one(sessions):
            break


def crowd(sessions, size):
    """A user with this many followers, followees and tweets, and mentions in all tweets. Returns the id."""
    with transaction(sessions) as session:
        row = {"bio": "", "password_hash": "", "date": now()}
        people = [
            {"username": f"n{n}", "username_key": f"n{n}", "display_name": f"n{n}"} | row for n in range(size + 1)
        ]
        session.execute(insert(User), people)
        leaver = session.scalars(select(User.id).where(User.username == "n0")).one()
        for one, other in (("from_user_id", "to_user_id"), ("to_user_id", "from_user_id")):
            session.execute(
                text(f"INSERT INTO relationships ({one}, {other}) SELECT {leaver}, id FROM users WHERE id <> {leaver}")
            )
        first = ids.generate_id()
        tweets = [
            {"id": first + n, "user_id": leaver, "message": f"number {n}", "date": now(), "parent_id": first + n - 1}
            for n in range(size)
        ]
        session.execute(insert(Tweet), tweets)
        session.execute(text(f"INSERT INTO mentions (user_id, tweet_id) SELECT {leaver}, id FROM tweets"))
        session.execute(update(User).values(followers_count=1, following_count=1))
        session.execute(
            update(User)
            .where(User.id == leaver)
            .values(followers_count=size, following_count=size, tweets_count=size, password_hash=HASH)
        )
    return leaver


HASH = Passwords(1, 8).hash(PASSWORD)


@pytest.mark.parametrize("size", [10, 3 * CHUNK + 7])
@pytest.mark.parametrize("backend", ["sql"], indirect=True)
def test_the_work_of_a_transaction_is_bounded(app, size):
    """Closing costs the same for ten and a thousand followers; removal locks and changes one chunk at a time."""
    engine, sessions = app.registry.database.engine, app.registry.database.sessions
    crowd(sessions, size)
    owner = Person(Browser(app))
    owner.sign_in("n0")
    statements, rows = [], []
    event.listen(
        engine, "after_cursor_execute", lambda *args: (statements.append(args[2]), rows.append(args[1].rowcount))
    )
    leave(owner)
    assert len(statements) < 8
    rows.clear()
    removed = remove(sessions)
    assert removed == 4 * size + 1 - size  # mentions go with the tweets
    assert max(rows) <= 2 * CHUNK  # tweets of the account, and those that they reply to
    with sessions() as session:
        assert session.scalars(select(User.followers_count + User.following_count).distinct()).all() == [0]
        assert session.scalar(select(func.count()).select_from(User)) == size


# who removes


def die_while_removing(url, chunks):
    with engine_on(url) as engine:
        for number, _ in enumerate(in_chunks(make_sessions(engine), partial(remove_some, limit=3)), 1):
            if number == chunks:
                os.kill(os.getpid(), signal.SIGKILL)


def test_closing_continues_in_another_process_after_a_kill(database_url, monkeypatch):
    with running(settings_of(database_url)) as app:
        app.registry["housekeeper"].stop()
        sessions = app.registry.database.sessions
        leaver = crowd(sessions, 20)
        with transaction(sessions) as session:
            actions_of(app.registry, session).close_account(leaver)
        for chunks in (1, 4, 9):
            child = multiprocessing.get_context("spawn").Process(target=die_while_removing, args=(database_url, chunks))
            child.start()
            child.join(60)
            assert child.exitcode == -signal.SIGKILL
            with sessions() as session:
                assert any_left(session)
        with housekeeping_of(sessions):  # another process starts
            until(lambda: not left(sessions))
        with sessions() as session:
            assert session.scalars(select(User.followers_count + User.following_count).distinct()).all() == [0]


@contextmanager
def housekeeping_of(sessions):
    housekeeper = Housekeeper(sessions, KEEP)
    housekeeper.start()
    yield
    housekeeper.stop()


def until(met):
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def left(sessions):
    with sessions() as session:
        return any_left(session)


def test_small_account_is_removed_before_the_response(database_url):
    """The form waits until the rows of an ordinary account are removed: counters are right on the next page."""
    with running(settings_of(database_url)) as app:
        leaver, bob = Person(Browser(app), LEAVER), Person(Browser(app), "bob")
        leaver.follow("bob"), bob.follow(LEAVER), leaver.post("hello")
        leave(leaver)
        with app.registry.database.sessions() as session:
            assert session.scalars(select(User.username)).all() == ["bob"]
            assert session.scalars(select(User.followers_count + User.following_count)).all() == [0]


def test_housekeeping_prunes_the_outbox_in_chunks(database_url, monkeypatch):
    with running(settings_of(database_url) | {"tweeter.timelines": "memory"}) as app:
        sessions = app.registry.database.sessions
        deleted = []
        event.listen(
            app.registry.database.engine, "after_cursor_execute",
            lambda *args: deleted.append((threading.current_thread().name, args[1].rowcount))
            if args[2].startswith("DELETE FROM outbox") else None,
        )  # fmt: skip
        with transaction(sessions) as session:
            old = {"payload": '{"type":"Reloaded"}', "date": now() - 2 * KEEP}
            session.execute(insert(OutboxEvent), [old] * 2_500)
            session.execute(insert(OutboxEvent), [old | {"date": now()}])
        with housekeeping_of(sessions):
            until(lambda: count(sessions) == 1)
        assert {thread for thread, _ in deleted} == {"housekeeping"}
        assert max(rows for _, rows in deleted) == 1000


def count(sessions):
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(OutboxEvent))


def test_housekeeping_survives_an_unavailable_database(database_url, monkeypatch, caplog):
    monkeypatch.setattr(housekeeping, "LOOK_EVERY", 0.01)
    with running(settings_of(database_url)) as app:
        sessions = app.registry.database.sessions
        leaver = crowd(sessions, 3)
        with transaction(sessions) as session:
            session.execute(text("ALTER TABLE outbox RENAME TO elsewhere"))
        with housekeeping_of(sessions):
            until(lambda: "housekeeping is postponed" in caplog.text)
            with transaction(sessions) as session:
                session.execute(text("ALTER TABLE elsewhere RENAME TO outbox"))
            with transaction(sessions) as session:
                actions_of(app.registry, session).close_account(leaver)
            until(lambda: not left(sessions))


# the command line


@pytest.fixture
def site(database_url, tmp_path):
    """The ini file of a site, and its sessions."""
    with engine_on(database_url) as engine:
        yield write_ini(tmp_path, database_url), make_sessions(engine)


def test_command_removes_all_rows_and_shows_progress(site, capsys):
    ini, sessions = site
    crowd(sessions, CHUNK + 1)
    assert main(["user", "close", ini, "n0", "--yes"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "Closed n0.\n"
    assert re.search(r"Removing rows: [\d,]+ of [\d,]+\n$", captured.err)
    assert not left(sessions)


def test_interrupted_command_leaves_the_rest_for_the_next_run(site, capsys, monkeypatch):
    ini, sessions = site
    crowd(sessions, 2 * CHUNK)
    with transaction(sessions) as session:
        session.execute(insert(User).values(username="ann", username_key="ann", display_name="ann"))
    chunks = iter([1, 2])

    def interrupted(session):
        if next(chunks, None) is None:
            raise KeyboardInterrupt
        return remove_some(session)

    with monkeypatch.context() as patch:
        patch.setattr("tweeter.cli.user.remove_some", interrupted)
        assert main(["user", "close", ini, "n0", "--yes"]) == 130
    assert "n0 is closed. The running site removes" in capsys.readouterr().err
    assert left(sessions)
    assert main(["user", "close", ini, "n0", "--yes"]) == 1
    assert "no user called n0" in capsys.readouterr().err
    assert main(["user", "close", ini, "ann", "--yes"]) == 0
    assert not left(sessions)
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 2 * CHUNK
