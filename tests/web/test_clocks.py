"""Future dates, replies older than their parents, and different clocks."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import running, settings_of, write_ini
from tests.support.people import Browser, Person, ids_on
from tweeter import ids
from tweeter.cli import main
from tweeter.interfaces import IDelivery
from tweeter.models import Tweet

YEARS = 18 * 365 * 86_400  # seconds
QUESTION = 1341144000


class Clock:
    """The clock that ids of this process use."""

    def __init__(self) -> None:
        self.ahead = 0.0  # seconds

    def epoch_ms(self) -> int:
        return int((time.time() + self.ahead) * 1000)

    @contextmanager
    def of_another_process(self, ahead: float) -> Iterator[ids.IdGenerator]:
        """Within the block, ids come from a process whose clock is this many seconds ahead."""
        other = ids.IdGenerator()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self, "ahead", ahead)
            patch.setattr(ids, "generate_id", other.next)
            yield other


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock, generator = Clock(), ids.IdGenerator()
    monkeypatch.setattr(ids, "_epoch_ms", clock.epoch_ms)
    monkeypatch.setattr(ids, "generate_id", generator.next)
    monkeypatch.setattr(ids, "latest_id", generator.latest)
    return clock


def seconds(id_: int) -> float:
    """From now to the moment of an id."""
    return (ids.date_of(id_) - datetime.now(UTC)).total_seconds()


# ids


def test_reply_id_is_greater_than_its_parent_id(clock: Clock) -> None:
    with clock.of_another_process(ahead=5) as fast:
        parent = fast.next()
    slow = ids.IdGenerator()
    assert slow.next() < parent
    replies = [slow.next(parent) for _ in range(5)]
    assert parent < replies[0]
    assert replies == sorted(set(replies))
    assert slow.next() > replies[-1]  # the author's next post is above the reply
    assert 4 < seconds(replies[-1]) < 6


@pytest.mark.parametrize("ahead", [3600, YEARS])
def test_reply_to_a_future_tweet_is_dated_today(clock: Clock, ahead: float) -> None:
    with clock.of_another_process(ahead) as wrong:
        parent = wrong.next()
    assert abs(seconds(ids.IdGenerator().next(parent))) < 5


def test_ids_increase_after_the_clock_is_set_back(clock: Clock) -> None:
    generator = ids.IdGenerator()
    first = generator.next()
    clock.ahead = -3600
    assert generator.latest() >= first
    assert first < generator.next() <= generator.latest()
    assert abs(seconds(generator.latest())) < 5


def test_the_latest_id_is_not_below_those_of_the_present(clock: Clock) -> None:
    generator = ids.IdGenerator()
    for _ in range(1000):
        assert generator.next() <= generator.latest()
    assert seconds(generator.latest()) < 0.1  # ids of one millisecond may spill over into the next


# replies


def load(folder: Path, url: str, *lines: dict[str, Any]) -> None:
    path = folder / "tweets.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert main(["load", write_ini(folder, url), "--tweets", str(path)]) == 0


def by_message(sessions: Any) -> dict[str, int]:
    with sessions() as session:
        return {tweet.message: tweet.id for tweet in session.query(Tweet)}


@pytest.mark.parametrize("reply_date", [QUESTION, QUESTION - 1, QUESTION - 90 * 86_400, QUESTION + 1])
@pytest.mark.parametrize("apart", [False, True])
def test_reply_is_below_its_parent_for_any_date(
    tmp_path: Path, database_url: str, sessions: Any, visitor: Any, reply_date: int, apart: bool
) -> None:
    lines = [
        {"user": "ann", "date": reply_date, "message": "two of two", "id": "2", "parent": "1"},
        {"user": "ann", "date": QUESTION, "message": "one of two", "id": "1"},
    ]
    for part in [lines[:1], lines[1:]] if apart else [lines]:
        load(tmp_path, database_url, *part)
    found = by_message(sessions)
    one, two = found["one of two"], found["two of two"]
    page = visitor().get(f"/tweets/{one}")
    assert ids_on(page) == [one, two]
    assert ids_on(visitor().get(f"/tweets/{two}")) == [one, two]
    if not apart or reply_date != QUESTION:
        assert ids_on(visitor().get("/@ann")) == sorted([one, two], reverse=True)
        assert (two > one) is (reply_date >= QUESTION)


@pytest.mark.parametrize("limit", [None, 1, 3, 100])
def test_replies_on_both_sides_of_their_parent_are_paged_in_full(
    tmp_path: Path, database_url: str, sessions: Any, visitor: Any, limit: int | None
) -> None:
    dates = [QUESTION + n // 3 for n in range(-24, 24)]
    load(
        tmp_path,
        database_url,
        {"user": "ann", "date": QUESTION, "message": "question", "id": "q"},
        *({"user": "bob", "date": date, "message": f"{n}", "parent": "q"} for n, date in enumerate(dates)),
    )
    question = by_message(sessions).pop("question")
    expected = sorted(id_ for message, id_ in by_message(sessions).items() if message != "question")
    url: str | None = f"/tweets/{question}" + (f"?limit={limit}" if limit else "")
    pages = []
    while url:
        page = visitor().get(url)
        shown = ids_on(page)
        assert shown.pop(0) == question
        pages.append(shown)
        more = re.search(r'href="(/tweets/[^"]*after=[^"]*)"', page.text)
        url = more[1].replace("&amp;", "&") if more else None
    assert [id_ for page in pages for id_ in page] == expected
    assert {len(page) for page in pages[:-1]} <= {limit or 20}


def test_a_reply_from_a_slower_clock_is_shown_below_and_above(clock: Clock, ada: Person, bob: Person) -> None:
    with clock.of_another_process(ahead=5):
        question = ada.post("when?")
    before = bob.post("something else")
    reply = bob.post("now", parent=question)
    after = bob.post("and now")
    assert before < question < reply < after
    assert bob.ids(f"/tweets/{question}") == [question, reply]
    assert bob.ids("/@bob") == [after, reply, before]


# future dates


@pytest.fixture(params=["sql", "memory", "redis", "memcached"])
def site_settings(request: pytest.FixtureRequest, database_url: str) -> dict[str, Any]:
    settings = settings_of(database_url) | {"tweeter.timelines": request.param}
    prefix = database_url[-30:].replace("/", "-")
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        return settings | {"tweeter.redis.url": url, "tweeter.redis.prefix": prefix}
    if request.param == "memcached":
        address = request.getfixturevalue("memcached_server").address
        return settings | {"tweeter.memcached.servers": address, "tweeter.memcached.prefix": prefix}
    return settings


def poll(person: Person, page: str) -> tuple[int, int, str]:
    """The number of tweets newer than the page, the id of the poll, and its URL."""
    found = re.search(r'data-poll="([^"]+)"', person.get(page).text)
    assert found
    url = found[1].replace("&amp;", "&")
    since = re.search(r"since=(\d+)", url)
    assert since
    return person.get(url).json["count"], int(since[1]), url


def test_tweets_dated_ahead_do_not_hide_new_tweets(site_settings: dict[str, Any], clock: Clock) -> None:
    with running(site_settings) as app:
        drain = app.registry.getUtility(IDelivery).drain
        assert drain(10)

        def post(person: Person, message: str, **fields: str) -> int:
            person.send("/tweets", status=303, message=message, **fields)
            assert drain(10)
            return person.ids(f"/@{person.username}")[0]

        ada, bob, cat = (Person(Browser(app), name) for name in ("ada", "bob", "cat"))
        ada.follow("bob")
        ada.follow("cat")
        old = post(bob, "old")
        with clock.of_another_process(ahead=YEARS):
            ahead = [post(cat, "ahead") for _ in range(3)]
        pages = ("/", "/public", "/@cat")
        polls = [poll(ada, page) for page in pages]
        assert [count for count, _, _ in polls] == [0, 0, 0]
        assert [since for _, since, _ in polls][:2] == [old, old]
        assert -5 < seconds(polls[2][1]) <= 0
        post(bob, "new")
        post(cat, "new")
        assert [ada.get(url).json["count"] for _, _, url in polls] == [2, 2, 1]
        assert [poll(ada, page)[0] for page in pages] == [0, 0, 0]
        assert len(ada.ids("/")) == 6
        reply = post(bob, "hello, future", parent_id=str(ahead[0]))
        assert abs(seconds(reply)) < 60
        assert bob.ids(f"/tweets/{ahead[0]}") == [ahead[0], reply]
        # A tab that was opened earlier polls for tweets after 2044.
        assert ada.get(f"/newer?timeline=home&since={ahead[0]}").json == {"count": 0}


def test_future_tweet_seen_early_is_not_announced_again(clock: Clock, ada: Person, bob: Person) -> None:
    ada.follow("bob")
    bob.post("old")
    with clock.of_another_process(ahead=20):
        bob.post("ahead")
    count, since, url = poll(ada, "/")
    assert count == 0
    assert seconds(since) < 0
    clock.ahead = 30
    assert ada.get(url).json == {"count": 0}
    bob.post("new")
    assert ada.get(url).json == {"count": 1}


@pytest.mark.parametrize("seen", ["x", "-1", "1,2", "0", "9" * 17])
def test_invalid_seen_parameter_is_rejected(ada: Person, seen: str) -> None:
    ada.get(f"/newer?timeline=public&since=0&seen={seen}", status=400)
