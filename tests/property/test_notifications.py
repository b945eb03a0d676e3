"""Notifications, compared with a model in plain Python after each step of several people."""

from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from tweeter.models import Notifies, User
from tweeter.services.notifications import UNREAD, WINDOW, mark_read, read_groups, read_notices
from tweeter.testing import Site
from tweeter.testing.people import People, somebody, whom
from tweeter.values import Cursor

LONG = Cursor(limit=10_000)
Key = tuple[int, Notifies, int, int]  # user, kind, actor, tweet


def notified(site: Site) -> type[People]:
    class Notified(People):
        suspend = None  # type: ignore[assignment] # tests/integration/test_notifications.py has it

        def __init__(self) -> None:
            super().__init__()
            self.site = site
            self.site.empty()
            self._keys: set[Key] = set()
            self._silent: set[Key] = set()  # what did not notify when it happened
            self._replies: dict[int, int] = {}  # the author of the parent, by reply
            self._notifies: dict[int, Notifies] = {}
            self._read: dict[int, int] = {}
            for _ in range(3):
                self.sign_up(0)

        @somebody
        @rule(user=whom, without=st.sampled_from(Notifies))
        def choose(self, user: int, without: Notifies) -> None:
            id_ = self._user(user)
            chosen = self._notifies[id_] = self._wants(id_) ^ without
            with self._process(0).acting() as actions:
                actions.change_notifies(id_, chosen)

        @somebody
        @rule(user=whom)
        def read_some(self, user: int) -> None:
            id_ = self._user(user)
            with self._process(0).registry.database.writing_sessions.begin() as session:
                for notice in read_notices(session, id_, LONG)[1:2]:
                    mark_read(session, id_, notice.id)
                    self._read[id_] = max(notice.id, self._read.get(id_, 0))

        @invariant()
        def notifications_are_those_of_the_model(self) -> None:
            model, now = self.site.model, self._all()
            self._silent = {key for key in self._silent if key in now}
            self._silent |= {key for key in now.keys() - self._keys if not self._wanted(key)}
            self._keys = set(now)
            with self._process(0).sessions() as session:
                for user in model.names:
                    shown = [key for key in now.keys() - self._silent if key[0] == user and self._wanted(key)]
                    notices = read_notices(session, user, LONG)
                    found = [(user, each.kind, each.actor_id, each.tweet_id) for each in notices]
                    assert sorted(found) == sorted(shown)
                    assert all(now[key] in (0, each.id) for key, each in zip(found, notices, strict=True))
                    assert [each.id for each in notices] == sorted((each.id for each in notices), reverse=True)
                    groups = [(each.kind, each.tweet_id, each.id // WINDOW) for each in notices]
                    first = dict(zip(reversed(groups), reversed(notices), strict=True))
                    sizes = Counter(groups)
                    assert self._walk(session, user) == [
                        each._replace(others=sizes[group] - 1)
                        for group, each in sorted(first.items(), key=lambda item: -item[1].id)
                    ]
                    unread = sum(each.id > self._read.get(user, 0) for each in notices)
                    assert session.scalar(select(UNREAD).where(User.id == user)) == unread

        def _walk(self, session: Any, user: int) -> list[Any]:
            found: list[Any] = []
            older: int | None = LONG.before
            while older is not None:
                page, older = read_groups(session, user, Cursor(before=older, limit=2))
                assert len(page) == 2 or older is None
                found += page
            return found

        def _all(self) -> dict[Key, int]:
            """All that may notify, and its id; 0 for follows."""
            model = self.site.model
            for id_, (_, _, parent) in model.tweets.items():
                if parent in model.tweets:
                    self._replies.setdefault(id_, model.author(parent))
            keys = {(followee, Notifies.FOLLOW, follower, 0): 0 for follower, followee in model.follows}
            for rows, kind in ((model.likes, Notifies.LIKE), (model.reposts, Notifies.REPOST)):
                for id_, (actor, tweet) in rows.items():
                    if tweet in model.tweets:
                        keys[model.author(tweet), kind, actor, tweet] = id_
            for id_, (actor, _, _) in model.tweets.items():
                replied = self._replies.get(id_, 0)
                keys[replied, Notifies.REPLY, actor, id_] = id_
                for user in model.mentions[id_] - {replied}:
                    keys[user, Notifies.MENTION, actor, id_] = id_
            return {key: id_ for key, id_ in keys.items() if key[0] != key[2] and key[0] in model.names}

        def _wants(self, user: int) -> Notifies:
            return self._notifies.get(user, Notifies(sum(Notifies)))

        def _wanted(self, key: Key) -> bool:
            user, kind, actor, _ = key
            follows = (user, actor) in self.site.model.follows or Notifies.STRANGERS in self._wants(user)
            return kind in self._wants(user) and follows and not self.site.model.hides(user, actor)

    return Notified


@pytest.mark.slow
def test_notifications_are_those_of_the_model(database_url: str) -> None:
    with closing(Site(database_url, ["sql"])) as site:
        run_state_machine_as_test(notified(site), settings=settings(max_examples=10, stateful_step_count=30))
