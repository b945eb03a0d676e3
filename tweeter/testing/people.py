"""The steps of people in the property test of law 1: what they do on the site, and what the model expects of it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.db.sessions import begin_immediate
from tweeter.models import Like, Tag
from tweeter.services import counters
from tweeter.services.closing import remove_some, remove_some_of_deleted
from tweeter.services.moderation import Moderation
from tweeter.services.recounting import recount_some
from tweeter.testing.choosing import refused, somebody, something_said, whom
from tweeter.testing.leaving import count_remains, leave
from tweeter.testing.lists import ListKeepers
from tweeter.testing.process import Process
from tweeter.text import fold

somebody_followed = precondition(lambda self: bool(self.site.model.follows))


class People(ListKeepers):
    """Acts on `site` and its model."""

    _named = 0

    @precondition(lambda self: len(self.site.model.names) < 6)
    @rule(process=whom)
    def sign_up(self, process: int) -> None:
        self._named += 1
        with self._process(process).acting() as actions:
            user = actions.sign_up(f"u{self._named}", "password", f"User {self._named}")
            id_ = user.id
        self.site.model.names[id_] = f"User {self._named}"
        self.site.model.usernames[id_] = f"u{self._named}"

    @somebody
    @rule(
        process=whom,
        user=whom,
        mentioned=whom,
        tags=st.sets(st.sampled_from(["a", "ß"])),
        deliver=st.sampled_from([True, True, False]),
    )
    def post(self, process: int, user: int, mentioned: int, tags: set[str], deliver: bool) -> None:
        self._post(process, self._user(user), None, deliver, self._user(mentioned), tags)

    @somebody
    @rule(process=whom, user=whom, count=st.integers(4, 9))
    def post_many(self, process: int, user: int, count: int) -> None:
        for _ in range(count):
            self._post(process, self._user(user), None, True)

    @something_said
    @rule(process=whom, user=whom, parent=whom)
    def reply(self, process: int, user: int, parent: int) -> None:
        parent = self._tweet(parent)
        self._post(process, self._user(user), parent, True, self.site.model.author(parent))

    def _post(
        self,
        process: int,
        author: int,
        parent: int | None,
        deliver: bool,
        mentioned: int | None = None,
        tags: Collection[str] = (),
    ) -> None:
        message = " ".join([f"number {len(self.site.model.tweets)} of {author}", *(f"#{tag}" for tag in tags)])
        if mentioned is not None:
            message += f" @{self.site.model.usernames[mentioned]}"
        model, id_ = self.site.model, 0
        blocked = parent is not None and model.blocked(author, model.author(parent))
        with refused(blocked), self._process(process).acting(deliver) as actions:
            id_ = actions.post(author, message, parent).id
            model.tags[id_] = set(actions._session.scalars(select(Tag.id).where(Tag.tag.in_(map(fold, tags)))))
        if id_:
            model.tweets[id_] = (author, message, parent)
            model.mentions[id_] = set() if mentioned is None or model.blocked(author, mentioned) else {mentioned}

    @something_said
    @rule(process=whom, tweet=whom)
    def delete(self, process: int, tweet: int) -> None:
        id_ = self._tweet(tweet)
        with self._process(process).acting() as actions:
            actions.delete(self.site.model.tweets[id_][0], id_)
        del self.site.model.tweets[id_]

    @something_said
    @rule(process=whom, user=whom, tweet=whom, deliver=st.sampled_from([True, True, False]))
    def repost(self, process: int, user: int, tweet: int, deliver: bool) -> None:
        user, tweet, model = self._user(user), self._tweet(tweet), self.site.model
        id_ = 0
        with refused(model.blocked(user, model.author(tweet))), self._process(process).acting(deliver) as actions:
            id_ = actions.repost(user, tweet).id
        if id_:
            model.reposts[id_] = (user, tweet)

    repost_more = repost

    @precondition(lambda self: bool(self.site.model.living_reposts()))
    @rule(process=whom, number=whom)
    def undo_repost(self, process: int, number: int) -> None:
        reposts = self.site.model.living_reposts()
        id_ = reposts[number % len(reposts)]
        with self._process(process).acting() as actions:
            actions.undo_repost(*self.site.model.reposts[id_])
        del self.site.model.reposts[id_]

    @something_said
    @rule(process=whom, user=whom, tweet=whom, deliver=st.sampled_from([True, True, False]))
    def like(self, process: int, user: int, tweet: int, deliver: bool) -> None:
        user, tweet, model = self._user(user), self._tweet(tweet), self.site.model
        id_ = 0
        with refused(model.blocked(user, model.author(tweet))), self._process(process).acting(deliver) as actions:
            actions.like(user, tweet)
            id_ = actions._session.scalars(select(Like.id).filter_by(user_id=user, tweet_id=tweet)).one()
        if id_:
            model.likes[id_] = (user, tweet)

    @precondition(lambda self: bool(self.site.model.likes))
    @rule(process=whom, number=whom)
    def unlike(self, process: int, number: int) -> None:
        likes = sorted(self.site.model.likes)
        id_ = likes[number % len(likes)]
        with self._process(process).acting() as actions:
            actions.unlike(*self.site.model.likes[id_])
        del self.site.model.likes[id_]

    @rule(process=whom, limit=st.integers(1, 3))
    def count_some(self, process: int, limit: int) -> None:
        with self._process(process).acting() as actions:
            counters.count_some(actions._session, limit)

    @rule(process=whom, limit=st.integers(1, 3))
    def remove_rows_of_deleted_tweets(self, process: int, limit: int) -> None:
        with self._process(process).acting() as actions:
            remove_some_of_deleted(actions._session, limit)

    @precondition(lambda self: len(self.site.model.names) > 1)
    @rule(process=whom, follower=whom, followee=whom)
    def follow(self, process: int, follower: int, followee: int) -> None:
        one, other = self._user(follower), self._user(followee)
        if one == other:
            return
        blocked = self.site.model.blocked(one, other)
        with refused(blocked), self._process(process).acting() as actions:
            actions.follow(one, self.site.model.usernames[other])
        if not blocked:
            self.site.model.follows.add((one, other))

    @somebody_followed
    @rule(process=whom, number=whom)
    def unfollow(self, process: int, number: int) -> None:
        follows = sorted(self.site.model.follows)
        follower, followee = follows[number % len(follows)]
        with self._process(process).acting() as actions:
            actions.unfollow(follower, self.site.model.usernames[followee])
        self.site.model.follows.discard((follower, followee))

    @precondition(lambda self: len(self.site.model.names) > 1)
    @rule(process=whom, user=whom, other=whom, block=st.booleans(), deliver=st.sampled_from([True, True, False]))
    def mute_or_block(self, process: int, user: int, other: int, block: bool, deliver: bool) -> None:
        model, one, another = self.site.model, self._user(user), self._user(other)
        if one == another:
            return
        with self._process(process).acting(deliver) as actions:
            (actions.block if block else actions.mute)(one, model.usernames[another])
        (model.blocks if block else model.mutes).add((one, another))
        if block:
            model.follows -= {(one, another), (another, one)}
            for owner, members in model.lists.values():
                members -= {one: {another}, another: {one}}.get(owner, set())

    @precondition(lambda self: bool(self.site.model.mutes or self.site.model.blocks))
    @rule(process=whom, number=whom)
    def unmute_or_unblock(self, process: int, number: int) -> None:
        model = self.site.model
        pairs = [(pairs, pair) for pairs in (model.mutes, model.blocks) for pair in sorted(pairs)]
        chosen, (one, other) = pairs[number % len(pairs)]
        with self._process(process).acting() as actions:
            (actions.unblock if chosen is model.blocks else actions.unmute)(one, model.usernames[other])
        chosen.discard((one, other))

    @somebody
    @rule(process=whom, user=whom, name=st.text("abcäö ", min_size=1, max_size=5))
    def rename(self, process: int, user: int, name: str) -> None:
        id_ = self._user(user)
        name = f"New {name.strip()}".strip()
        name = " ".join(name.split())
        with self._process(process).acting() as actions:
            actions.change_profile(id_, name, "")
        self.site.model.names[id_] = name

    @precondition(lambda self: len(self.site.model.names) > 2)
    @rule(process=whom, user=whom)
    def close(self, process: int, user: int) -> None:
        id_ = self._user(user)
        with self._process(process).acting() as actions:
            actions.close_account(id_)
        leave(self.site.model, id_)

    @precondition(lambda self: len(self.site.model.names) > 2)
    @rule(process=whom, user=whom)
    def suspend(self, process: int, user: int) -> None:
        id_ = self._user(user)
        with _moderating(self._process(process)) as moderation:
            moderation.suspend(id_)
        self.site.model.suspended[id_] = leave(self.site.model, id_)

    @precondition(lambda self: bool(self.site.model.suspended))
    @rule(process=whom, number=whom, verb=st.sampled_from(["unsuspend", "unsuspend", "suspend", "close_account"]))
    def change_suspended(self, process: int, number: int, verb: str) -> None:
        model = self.site.model
        suspended = sorted(model.suspended)
        id_ = suspended[number % len(suspended)]
        with _moderating(self._process(process)) as moderation:
            getattr(moderation, verb)(id_)
        model.returning.discard(id_)
        if verb == "unsuspend":
            model.returning.add(id_)
        elif verb == "close_account":
            del model.suspended[id_]

    @rule(process=whom, limit=st.integers(1, 3), chunks=st.integers(1, 20))
    def recount_suspended_accounts(self, process: int, limit: int, chunks: int) -> None:
        for _ in range(chunks):
            self._do_some(process, recount_some, limit)

    recount_more = recount_suspended_accounts  # Hypothesis chooses a rule with two names twice as often

    @something_said
    @rule(process=whom, number=whom)
    def delete_as_moderator(self, process: int, number: int) -> None:
        """Deletes any tweet or repost, also of a suspended account."""
        model = self.site.model
        aside = [each.tweets for each in model.suspended.values()]
        ids = sorted([*model.living_reposts(), *(id_ for tweets in (model.tweets, *aside) for id_ in tweets)])
        id_ = ids[number % len(ids)]
        with _moderating(self._process(process)) as moderation:
            moderation.delete_any(id_)
        for rows in (model.tweets, model.reposts, model.remains, *aside):
            rows.pop(id_, None)

    @rule(process=whom, limit=st.integers(1, 3), chunks=st.integers(1, 3))
    def remove_rows_of_closed_accounts(self, process: int, limit: int, chunks: int) -> None:
        for _ in range(chunks):
            self._do_some(process, remove_some, limit)

    def _do_some(self, process: int, work: Callable[[Session, int], int], limit: int) -> None:
        with self._process(process).sessions() as session:
            begin_immediate(session)
            work(session, limit)
            count_remains(self.site.model, session)
            session.commit()


@contextmanager
def _moderating(process: Process) -> Iterator[Moderation]:
    """Operators' actions in one transaction."""
    with process.acting() as actions:
        settings = process.registry.settings
        yield Moderation(actions._session, process.registry["passwords"], settings["tweeter.message_limit"])
