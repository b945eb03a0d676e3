"""Large fan-outs in chunks: lost, late and repeated messages, chunks that fail, workers that die, and takeovers.

The test is the broker and the workers (`tests.thirdparty.direct`); the store and the databases are real.
"""

import time
from contextlib import closing

import pytest
from sqlalchemy import func, insert, select

from tests.conftest import DATABASES
from tests.thirdparty import direct
from tweeter.db.sessions import begin_immediate
from tweeter.delivery import chunks
from tweeter.models import FanOutChunk, Relationship, User
from tweeter.outbox.chunks import begin
from tweeter.testing import Process
from tweeter.timelines import projector
from tweeter.timelines.streams import Streams
from tweeter.values import Cursor, Timeline

STAR, TOWN = 1, 2  # an author with three chunks of followers, and one with a single chunk
FANS = range(10, 21)
NEIGHBOURS = range(30, 34)
SECONDS = 20


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(projector, "SMALL", 2)
    for name, value in (("SEND_AGAIN", 30.0), ("STALLED", 30.0), ("RETRY", 0.05), ("MARGIN", 0.05), ("REST", 0.3)):
        monkeypatch.setattr(chunks, name, value)


@pytest.fixture
def database_url(request):
    return request.getfixturevalue(f"{getattr(request, 'param', 'postgresql')}_url")


on_both = pytest.mark.parametrize("database_url", DATABASES, indirect=True)


@pytest.fixture
def start(database_url, redis_server):
    """Starts a process of the site. Its delivery gives large fan-outs to the test."""

    def make():
        return Process(
            database_url,
            "redis",
            **{
                "tweeter.delivery": "tests.thirdparty.direct",
                "tweeter.redis.url": redis_server.url,
                "tweeter.redis.prefix": database_url[-30:].replace("/", "-"),
            },
        )

    return make


@pytest.fixture
def process(start):
    with closing(start()) as process:
        users = [STAR, TOWN, *FANS, *NEIGHBOURS]
        with process.sessions() as session:
            begin_immediate(session)
            named = [
                {
                    "id": n,
                    "username": f"u{n}",
                    "username_key": f"u{n}",
                    "display_name": "x",
                    "following_count": 1,
                    "followers_count": 99,
                }
                for n in users
            ]
            session.execute(insert(User), named)
            follows = [(fan, STAR) for fan in FANS] + [(one, TOWN) for one in NEIGHBOURS]
            session.execute(insert(Relationship), [{"from_user_id": a, "to_user_id": b} for a, b in follows])
            session.commit()
        assert process.delivery.drain(SECONDS)
        for user in (*FANS, *NEIGHBOURS):
            process.timelines.page(Timeline("home", user), Cursor())
        yield process


def post(process, author=STAR):
    """Posts, and waits until the checkpoint lists the tweet: the first messages are sent before that."""
    with process.acting() as actions:
        tweet = actions.post(author, "x").id
    until(lambda: tweet in in_flight(process))
    return tweet


def until(met):
    deadline = time.monotonic() + SECONDS
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def sent(number):
    """Waits for so many messages, and takes them."""
    until(lambda: len(direct.SENT) >= number)
    taken, direct.SENT[:] = direct.SENT[:], []
    return [chunk for _, chunk in taken]


def perform(process, *given):
    for chunk in given:
        direct.perform(process.registry, chunk)


def holders(process, tweet_id, users=FANS):
    """The users whose home timelines contain the tweet; None in the place of a cold one."""
    found = {user: process.timelines.peek(Timeline("home", user)) for user in users}
    return [None if held is None else user for user, held in found.items() if held is None or tweet_id in held.ids]


def rows(process):
    with process.sessions() as session:
        return session.scalar(select(func.count()).select_from(FanOutChunk))


def in_flight(process):
    """The tweets of the large fan-outs that the checkpoint lists."""
    return [each.event.tweet_id for each in process.delivery.relays[0]._holder.checkpoint.in_flight]


@on_both
def test_chunks_may_be_done_in_any_order_and_twice(process):
    tweet = post(process)
    given = sent(3)
    assert [(chunk.first, chunk.last) for chunk in given][:2] == [(1, 13), (14, 17)]
    for chunk in (given[2], given[1], given[1]):
        perform(process, chunk)
        assert in_flight(process) == [tweet]
    perform(process, given[0])
    until(lambda: not in_flight(process))
    assert holders(process, tweet) == list(FANS)
    assert rows(process) == 0
    perform(process, *given)  # late
    assert holders(process, tweet) == list(FANS)


def test_page_has_the_tweet_before_its_chunk_is_done(process):
    tweet = post(process)
    sent(3)
    until(lambda: [each.id for each in process.timelines.page(Timeline("home", FANS[0]), Cursor()).tweets] == [tweet])
    assert len(holders(process, tweet)) == 0


def test_a_small_author_has_another_queue_and_does_not_wait(process):
    for _ in range(4):  # more chunks than a queue holds
        post(process)
    until(lambda: len(direct.SENT) == direct.LIMITS.outstanding)
    tweet = post(process, TOWN)
    queue, chunk = until(lambda: [each for each in direct.SENT if each[1].tweet_id == tweet])[0]
    assert queue == "small"
    assert {queue for queue, other in direct.SENT if other.tweet_id != tweet} == {"large"}
    perform(process, chunk)
    until(lambda: len(in_flight(process)) == 4)
    assert holders(process, tweet, NEIGHBOURS) == list(NEIGHBOURS)
    assert len(direct.SENT) == direct.LIMITS.outstanding + 1


def test_a_lost_message_is_sent_again(process, monkeypatch):
    monkeypatch.setattr(chunks, "SEND_AGAIN", 0.2)
    tweet = post(process)
    sent(3)
    again = sent(3)
    perform(process, *again)
    until(lambda: not in_flight(process))
    assert holders(process, tweet) == list(FANS)


def next_attempt(attempts):
    return next((chunk for _, chunk in direct.SENT if chunk.attempt > len(attempts)), None)


def test_a_chunk_that_always_fails_ends_in_cold_timelines(process, monkeypatch, caplog):
    tweet = post(process)
    given = {chunk.first: chunk for chunk in sent(3)}
    fan_out = Streams.fan_out_between

    def fail(self, tweet_id, user_id, first, last):
        if first == 14:
            raise ArithmeticError("always")
        fan_out(self, tweet_id, user_id, first, last)

    monkeypatch.setattr(Streams, "fan_out_between", fail)
    bad = given.pop(14)
    perform(process, *given.values())
    attempts = []
    while in_flight(process):
        with pytest.raises(ArithmeticError):
            perform(process, bad)
        attempts.append(bad.attempt)
        bad = until(lambda: next_attempt(attempts) or not in_flight(process))
    assert attempts == [1, 2, 3]
    assert holders(process, tweet) == [*range(10, 14), None, None, None, None, *range(18, 21)]
    assert "the followers 14 to 17" in caplog.text
    until(lambda: rows(process) == 0)
    page = process.timelines.page(Timeline("home", 15), Cursor())
    assert [each.id for each in page.tweets] == [tweet]


@on_both
def test_what_a_dead_worker_wrote_too_late_is_dropped(process):
    """It read the followers, one of them left, it wrote, and died before it read the followers again."""
    tweet = post(process)
    given = sent(3)
    with process.registry.database.read_sessions() as session:
        assert begin(session, given[0].id) == 1
    with process.acting() as actions:
        actions.unfollow(10, "u1")
    until(lambda: process.timelines.peek(Timeline("home", 10)) is None)
    assert not process.timelines.page(Timeline("home", 10), Cursor()).tweets
    process.timelines.store.add(["home:10"], tweet)
    perform(process, *given[1:])
    [again] = sent(1)
    assert again == given[0]._replace(attempt=2)
    perform(process, again)
    until(lambda: rows(process) == 0)
    assert not process.timelines.page(Timeline("home", 10), Cursor()).tweets
    assert set(holders(process, tweet)) >= set(FANS[1:])


def test_a_worker_writes_nothing_when_it_is_late(process, monkeypatch):
    tweet = post(process)
    [chunk, *rest] = sent(3)
    monkeypatch.setattr(direct, "LIMITS", direct.LIMITS._replace(patience=-1))
    perform(process, chunk)
    assert not holders(process, tweet)
    monkeypatch.undo()
    perform(process, *rest, *sent(1))
    until(lambda: not in_flight(process))
    assert holders(process, tweet) == list(FANS)


@on_both
def test_a_new_holder_takes_back_what_the_old_one_gave(process, start):
    tweet = post(process)
    old = sent(3)
    perform(process, old[0])
    until(lambda: process.delivery.relays[0]._holder.checkpoint.in_flight[0].resume == 13)
    process.delivery.stop()
    with closing(start()) as other:
        new = sent(2)
        assert [(chunk.first, chunk.last) for chunk in new] == [(14, 17), (18, old[2].last)]
        perform(other, *old)
        assert not holders(other, tweet, FANS[4:])
        perform(other, *new)
        assert other.delivery.drain(SECONDS)
        assert holders(other, tweet) == list(FANS)
        assert rows(other) == 0


@pytest.mark.parametrize("broker", ["gone", "there, but no worker works"])
def test_the_relay_does_it_itself_without_broker_or_workers(process, monkeypatch, broker):
    publisher = process.delivery._workers.publisher
    tweet = post(process)
    sent(3)
    monkeypatch.setattr(publisher, "up", broker != "gone")
    monkeypatch.setattr(chunks, "STALLED", 0.1)
    until(lambda: not in_flight(process))
    assert holders(process, tweet) == list(FANS)
    assert rows(process) == 0
    monkeypatch.setattr(chunks, "STALLED", 30.0)
    monkeypatch.setattr(publisher, "up", True)
    time.sleep(0.4)  # the rest
    direct.SENT.clear()
    other = post(process)
    perform(process, *sent(3))
    until(lambda: not in_flight(process))
    assert holders(process, other) == list(FANS)


def test_a_deleted_tweet_ends_its_chunks(process):
    tweet = post(process)
    given = sent(3)
    with process.acting() as actions:
        actions.delete(STAR, tweet)
    until(lambda: process.delivery.relays[0].behind()[0] == 1)
    perform(process, *given)
    until(lambda: not in_flight(process))
    assert not holders(process, tweet)


def test_another_run_of_the_store_is_not_written_to(process):
    tweet = post(process)
    [chunk, *rest] = sent(3)
    perform(process, chunk._replace(run="another"), *rest)
    assert not holders(process, tweet, FANS[:4])
    perform(process, *sent(1))
    until(lambda: not in_flight(process))
    assert holders(process, tweet) == list(FANS)
