"""`tweeter bench chaos` finds what it is for: a lost write, a page that is too old, a tweet that must not be shown."""

import time
from contextlib import closing

import pytest

from tests.support.children import act, read
from tweeter.bench.chaos.history import History, Shown
from tweeter.bench.chaos.person import Person
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process

ANN, BEN, CAT = 1, 2, 3
NAMES = {ANN: "ann", BEN: "ben", CAT: "cat"}


# What a page may show. Ann follows Ben.


@pytest.fixture
def history():
    """Ben posted 10, 20 and 30; 20 is deleted. All that happened two seconds ago."""
    history = History(NAMES)
    for id_ in (10, 20, 30):
        history.post(id_, BEN, time.monotonic() - 2 * FRESH)
    history.tweets[20].deleting = history.tweets[20].deleted = time.monotonic() - 2 * FRESH
    return history


def look(history, *tweets, more=False):
    """What is wrong with Ann's home page of these tweets (id, author)."""
    now = time.monotonic()
    history.check(ANN, {ANN, BEN}, Shown(dict(tweets), "redis", more), now, now)
    return history.wrong


def test_right_page(history):
    assert look(history, (30, BEN), (10, BEN)) == []
    assert look(history, (30, BEN), more=True) == []


def test_page_without_an_old_tweet_is_too_old(history):
    [wrong] = look(history, (10, BEN))
    assert "ann was shown a page without 30, posted 2.0" in wrong
    assert history.tally.oldest > FRESH


def test_last_page_must_be_complete(history):
    [wrong] = look(history, (30, BEN))
    assert "without 10" in wrong


def test_page_with_a_deleted_tweet_is_too_old(history):
    [wrong] = look(history, (30, BEN), (20, BEN), (10, BEN))
    assert "ann was shown 20, which was deleted 2.0" in wrong


def test_changes_of_others_may_be_missing_for_a_second_and_own_ones_never(history):
    history.post(40, BEN, time.monotonic() - FRESH / 2)
    assert look(history, (30, BEN), (10, BEN)) == []
    assert FRESH / 2 < history.tally.oldest < FRESH
    history.post(50, ANN, time.monotonic())
    [wrong] = look(history, (30, BEN), (10, BEN))
    assert "without 50" in wrong


def test_tweet_of_a_person_who_is_not_followed(history):
    [wrong] = look(history, (40, CAT), (30, BEN), (10, BEN))
    assert "ann was shown 40 of cat, whose tweets do not belong on the page" in wrong


def test_unknown_tweet_at_the_end(history):
    history.check_at_rest(ANN, {ANN, BEN}, Shown({40: BEN, 30: BEN, 10: BEN}, "redis", False))
    [wrong] = history.wrong
    assert "shown {40}, which was not posted" in wrong


def test_outages_explain_what_happens_in_them(history):
    before = time.monotonic()
    with history.outages.of("primary"):
        began = time.monotonic()
        assert history.outages.during("primary", began, began)
        assert not history.outages.during("site 1", began, began)
    time.sleep(0.001)
    after = time.monotonic()
    assert history.outages.during("primary", before, after)
    assert history.outages.during("primary", began, after)
    assert not history.outages.during("primary", after, after)
    assert not history.outages.during("primary", before - 1, before - 0.5)


# A site that acknowledges writes and does not do them, now and then.


class Liar:
    """A site on SQL that loses every tenth write of one sort."""

    def __init__(self, process: Process, me: int, loses: str) -> None:
        self._process = process
        self._me = me
        self._loses = loses
        self._number = 0

    def post(self, message: str) -> bool:
        return self._act("post", message)

    def delete(self, tweet: int) -> bool:
        return self._act("delete", tweet)

    def follow(self, name: str, begin: bool) -> bool:
        return self._act("follow" if begin else "unfollow", name)

    def page(self, timeline):
        page, by = read(self._process, self._me, timeline)
        return Shown({tweet.id: tweet.user_id for tweet in page.tweets}, by, page.older is not None)

    def _act(self, action: str, what: object) -> bool:
        self._number += 1
        if action != self._loses or self._number % 10:
            act(self._process, action, self._me, what)
        return True


@pytest.mark.parametrize(
    ("loses", "complaint"),
    [
        ("post", "ann lost an acknowledged tweet"),
        ("delete", "ann lost an acknowledged delete"),
        ("follow", "ann lost an acknowledged follow or unfollow"),
        ("nothing", ""),
    ],
)
def test_a_write_that_was_acknowledged_and_lost_is_found(postgresql_url, loses, complaint):
    with closing(Process(postgresql_url, "sql")) as process:
        with process.acting() as actions:
            names = {actions.sign_up(name, "password").id: name for name in NAMES.values()}
        history = History(names)
        me = min(names)
        person = Person(me, history, Liar(process, me, loses), postgresql_url, seed=1)
        for _ in range(100):
            person.write()
        person.check_at_rest()
    assert history.tally.writes == 100
    assert bool(history.wrong) == bool(complaint)
    assert any(complaint in wrong for wrong in history.wrong) == bool(complaint)
