"""Invariant 1 as a stateful Hypothesis test: every backend returns the pages that SQL returns, whatever happens."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import select

from tweeter import outbox
from tweeter.db.sessions import begin_immediate
from tweeter.errors import BackendUnavailable, Refused
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import CIRCUIT_OPENED
from tweeter.models import Like, Tweet
from tweeter.outbox.site import renew_site_id
from tweeter.services import counters
from tweeter.services.closing import remove_some, remove_some_of_deleted
from tweeter.testing.faults import Fault
from tweeter.testing.site import Process, Site
from tweeter.timelines.kinds import CELEBRITIES, celebrities_key
from tweeter.values import Truncated

PAGE = 3  # with a capacity of a few ids, so pages often cross the floor


def one_answer(
    site: Site, backends: Sequence[str], faults: Sequence[Fault] = (), neighbour: Site | None = None
) -> type[RuleBasedStateMachine]:
    """A state machine class for the processes of `site`, which may be restarted with any of `backends`.

    Run it with `run_state_machine_as_test(one_answer(site, backends), settings=…)`. The site should have a small
    `tweeter.capacity`. At most one of `faults` is active at a time; it is repaired some steps later. `neighbour` is a
    site on another database, with as many processes, that uses the same stores with the same settings.
    """
    processes = st.integers(0, len(site.processes) - 1)
    whom = st.integers(0, 1_000_000)
    sites = [site] if neighbour is None else [site, neighbour]
    somebody = precondition(lambda self: bool(self.site.model.names))
    somebody_followed = precondition(lambda self: bool(self.site.model.follows))
    something_said = precondition(lambda self: bool(self.site.model.tweets))

    class OneAnswer(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self._named = 0
            self._fault: Fault | None = None
            self._doubted: float | None = None  # the count of opened circuits when a harmless fault was injected
            for self.site in sites:
                self.site.empty()
                for _ in range(3):
                    self.sign_up(0)

        @precondition(lambda self: len(sites) > 1)
        @rule()
        def go_to_the_neighbour(self) -> None:
            """All later steps run on the other site."""
            self.site = sites[1 - sites.index(self.site)]

        def _user(self, number: int) -> int:
            users = sorted(self.site.model.names)
            return users[number % len(users)]

        def _tweet(self, number: int) -> int:
            tweets = sorted(self.site.model.tweets, reverse=True)
            return tweets[number % len(tweets)]

        def _process(self, number: int) -> Process:
            return self.site.processes[number]

        @precondition(lambda self: len(self.site.model.names) < 6)
        @rule(process=processes)
        def sign_up(self, process: int) -> None:
            self._named += 1
            with self._process(process).acting() as actions:
                user = actions.sign_up(f"u{self._named}", "password", f"User {self._named}")
                id_ = user.id
            self.site.model.names[id_] = f"User {self._named}"
            self.site.model.usernames[id_] = f"u{self._named}"

        @somebody
        @rule(process=processes, user=whom, mentioned=whom, deliver=st.sampled_from([True, True, False]))
        def post(self, process: int, user: int, mentioned: int, deliver: bool) -> None:
            self._post(process, self._user(user), None, deliver, self._user(mentioned))

        @somebody
        @rule(process=processes, user=whom, count=st.integers(4, 9))
        def post_many(self, process: int, user: int, count: int) -> None:
            for _ in range(count):
                self._post(process, self._user(user), None, True)

        @something_said
        @rule(process=processes, user=whom, parent=whom)
        def reply(self, process: int, user: int, parent: int) -> None:
            parent = self._tweet(parent)
            self._post(process, self._user(user), parent, True, self.site.model.author(parent))

        def _post(
            self, process: int, author: int, parent: int | None, deliver: bool, mentioned: int | None = None
        ) -> None:
            message = f"number {len(self.site.model.tweets)} of {author}"
            if mentioned is not None:
                message += f" @{self.site.model.usernames[mentioned]}"
            model, id_ = self.site.model, 0
            refused = parent is not None and model.blocked(author, model.author(parent))
            with _refused(refused), self._process(process).acting(deliver) as actions:
                id_ = actions.post(author, message, parent).id
            if id_:
                model.tweets[id_] = (author, message, parent)
                model.mentions[id_] = set() if mentioned is None or model.blocked(author, mentioned) else {mentioned}

        @something_said
        @rule(process=processes, tweet=whom)
        def delete(self, process: int, tweet: int) -> None:
            id_ = self._tweet(tweet)
            with self._process(process).acting() as actions:
                actions.delete(self.site.model.tweets[id_][0], id_)
            del self.site.model.tweets[id_]

        @something_said
        @rule(process=processes, user=whom, tweet=whom, deliver=st.sampled_from([True, True, False]))
        def repost(self, process: int, user: int, tweet: int, deliver: bool) -> None:
            user, tweet = self._user(user), self._tweet(tweet)
            with self._process(process).acting(deliver) as actions:
                id_ = actions.repost(user, tweet).id
            self.site.model.reposts[id_] = (user, tweet)

        repost_more = repost

        @precondition(lambda self: bool(self.site.model.living_reposts()))
        @rule(process=processes, number=whom)
        def undo_repost(self, process: int, number: int) -> None:
            reposts = self.site.model.living_reposts()
            id_ = reposts[number % len(reposts)]
            with self._process(process).acting() as actions:
                actions.undo_repost(*self.site.model.reposts[id_])
            del self.site.model.reposts[id_]

        @something_said
        @rule(process=processes, user=whom, tweet=whom, deliver=st.sampled_from([True, True, False]))
        def like(self, process: int, user: int, tweet: int, deliver: bool) -> None:
            user, tweet = self._user(user), self._tweet(tweet)
            with self._process(process).acting(deliver) as actions:
                actions.like(user, tweet)
                id_ = actions._session.scalars(select(Like.id).filter_by(user_id=user, tweet_id=tweet)).one()
            self.site.model.likes[id_] = (user, tweet)

        @precondition(lambda self: bool(self.site.model.likes))
        @rule(process=processes, number=whom)
        def unlike(self, process: int, number: int) -> None:
            likes = sorted(self.site.model.likes)
            id_ = likes[number % len(likes)]
            with self._process(process).acting() as actions:
                actions.unlike(*self.site.model.likes[id_])
            del self.site.model.likes[id_]

        @rule(process=processes, limit=st.integers(1, 3))
        def count_some(self, process: int, limit: int) -> None:
            with self._process(process).acting() as actions:
                counters.count_some(actions._session, limit)

        @rule(process=processes, limit=st.integers(1, 3))
        def remove_rows_of_deleted_tweets(self, process: int, limit: int) -> None:
            with self._process(process).acting() as actions:
                remove_some_of_deleted(actions._session, limit)

        @precondition(lambda self: len(self.site.model.names) > 1)
        @rule(process=processes, follower=whom, followee=whom)
        def follow(self, process: int, follower: int, followee: int) -> None:
            one, other = self._user(follower), self._user(followee)
            if one == other:
                return
            blocked = self.site.model.blocked(one, other)
            with _refused(blocked), self._process(process).acting() as actions:
                actions.follow(one, self.site.model.usernames[other])
            if not blocked:
                self.site.model.follows.add((one, other))

        @somebody_followed
        @rule(process=processes, number=whom)
        def unfollow(self, process: int, number: int) -> None:
            follows = sorted(self.site.model.follows)
            follower, followee = follows[number % len(follows)]
            with self._process(process).acting() as actions:
                actions.unfollow(follower, self.site.model.usernames[followee])
            self.site.model.follows.discard((follower, followee))

        @precondition(lambda self: len(self.site.model.names) > 1)
        @rule(
            process=processes, user=whom, other=whom, block=st.booleans(), deliver=st.sampled_from([True, True, False])
        )
        def mute_or_block(self, process: int, user: int, other: int, block: bool, deliver: bool) -> None:
            model, one, another = self.site.model, self._user(user), self._user(other)
            if one == another:
                return
            with self._process(process).acting(deliver) as actions:
                (actions.block if block else actions.mute)(one, model.usernames[another])
            (model.blocks if block else model.mutes).add((one, another))
            if block:
                model.follows -= {(one, another), (another, one)}

        @precondition(lambda self: bool(self.site.model.mutes or self.site.model.blocks))
        @rule(process=processes, number=whom)
        def unmute_or_unblock(self, process: int, number: int) -> None:
            model = self.site.model
            pairs = [(pairs, pair) for pairs in (model.mutes, model.blocks) for pair in sorted(pairs)]
            chosen, (one, other) = pairs[number % len(pairs)]
            with self._process(process).acting() as actions:
                (actions.unblock if chosen is model.blocks else actions.unmute)(one, model.usernames[other])
            chosen.discard((one, other))

        @somebody
        @rule(process=processes, user=whom, name=st.text("abcäö ", min_size=1, max_size=5))
        def rename(self, process: int, user: int, name: str) -> None:
            id_ = self._user(user)
            name = f"New {name.strip()}".strip()
            name = " ".join(name.split())
            with self._process(process).acting() as actions:
                actions.change_profile(id_, name, "")
            self.site.model.names[id_] = name

        @precondition(lambda self: len(self.site.model.names) > 2)
        @rule(process=processes, user=whom)
        def close(self, process: int, user: int) -> None:
            id_ = self._user(user)
            with self._process(process).acting() as actions:
                actions.close_account(id_)
            model = self.site.model
            del model.names[id_]
            for pairs in (model.follows, model.mutes, model.blocks):
                pairs -= {pair for pair in pairs if id_ in pair}
            model.remains |= {tweet: row[2] for tweet, row in model.tweets.items() if row[0] == id_}
            model.tweets = {tweet: row for tweet, row in model.tweets.items() if row[0] != id_}
            model.reposts_remain |= {repost: row[1] for repost, row in model.reposts.items() if row[0] == id_}
            model.likes_remain |= {like: row[1] for like, row in model.likes.items() if row[0] == id_}
            model.likes = {like: row for like, row in model.likes.items() if row[0] != id_}
            model.reposts = {repost: row for repost, row in model.reposts.items() if row[0] != id_}

        @rule(process=processes, limit=st.integers(1, 3), chunks=st.integers(1, 3))
        def remove_rows_of_closed_accounts(self, process: int, limit: int, chunks: int) -> None:
            for _ in range(chunks):
                with self._process(process).sessions() as session:
                    begin_immediate(session)
                    remove_some(session, limit)
                    rows = set(session.scalars(select(Tweet.id)))
                    likes = set(session.scalars(select(Like.id)))
                    session.commit()
                model = self.site.model
                model.remains = {tweet: parent for tweet, parent in model.remains.items() if tweet in rows}
                model.reposts_remain = {id_: of for id_, of in model.reposts_remain.items() if id_ in rows}
                model.likes_remain = {id_: of for id_, of in model.likes_remain.items() if id_ in likes}

        @rule(process=processes)
        def wipe(self, process: int) -> None:
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                with suppress(BackendUnavailable):  # during a fault
                    timelines.clear()

        @somebody
        @rule(process=processes, number=whom)
        def evict_one(self, process: int, number: int) -> None:
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                every = self.site.model.timelines()
                with suppress(BackendUnavailable):
                    timelines.drop(every[number % len(every)])

        @somebody
        @rule(process=processes, number=whom)
        def evict_one_key(self, process: int, number: int) -> None:
            """Also a key that is not a timeline's, but belongs to celebrities."""
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                keys = [each.key for each in self.site.model.timelines()]
                keys += [CELEBRITIES, *map(celebrities_key, self.site.model.names)]
                with suppress(BackendUnavailable):
                    timelines.store.drop([keys[number % len(keys)]])

        @something_said
        @rule(process=processes, tweet=whom)
        def truncate(self, process: int, tweet: int) -> None:
            with self._process(process).sessions() as session:
                begin_immediate(session)
                outbox.record(session, Truncated(self._tweet(tweet)))
                session.commit()

        @rule(process=processes)
        def take_another_site_id(self, process: int) -> None:
            renew_site_id(self._process(process).sessions)

        @rule(process=processes, backend=st.sampled_from(backends))
        def switch(self, process: int, backend: str) -> None:
            self.site.restart(process, backend)

        @precondition(lambda self: bool(faults) and self._fault is None)
        @rule(fault=st.sampled_from(faults) if faults else st.nothing())
        def strike(self, fault: Fault) -> None:
            if fault.mend is not None:
                self._fault = fault
                self._all_ill(True)
            if fault.harmless:
                self._doubted = _times_doubted()
            fault.strike()

        strike_more = strike_most = strike  # three times as likely as another step

        @precondition(lambda self: self._fault is not None)
        @rule()
        def mend(self) -> None:
            fault, self._fault = self._fault, None
            if fault is not None and fault.mend is not None:
                fault.mend()
            self._all_ill(False)

        def _all_ill(self, ill: bool) -> None:
            for each in sites:
                each.ill = ill

        def teardown(self) -> None:
            self.mend()

        @invariant()
        def every_backend_gives_the_same_pages(self) -> None:
            for each in sites:
                assert not each.differences(PAGE)
            if self._doubted is not None and not faults:
                assert _times_doubted() == self._doubted
                self._doubted = None

    return OneAnswer


@contextmanager
def _refused(expected: bool) -> Iterator[None]:
    """The action within the block must be refused, or must not."""
    try:
        yield
    except Refused:
        assert expected
    else:
        assert not expected


def _times_doubted() -> float:
    """How often a circuit opened in the processes of this test."""
    return sum(
        sample.value for metric in CIRCUIT_OPENED.collect() for sample in metric.samples if "_total" in sample.name
    )
