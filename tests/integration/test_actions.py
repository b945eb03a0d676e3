"""Actions: their rules, and rows, counters and events that stay correct under concurrency."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.outbox_reader import Reader
from tweeter import ids
from tweeter.db.chunks import CHUNK, in_chunks
from tweeter.errors import Missing, NotYours, Refused
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.services.actions import Actions
from tweeter.services.checks import BIO_LENGTH, NAME_LENGTH
from tweeter.services.closing import remove_some
from tweeter.services.passwords import Passwords
from tweeter.values import (
    AccountClosed,
    Event,
    Followed,
    ProfileChanged,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

Sessions = sessionmaker[Session]
Acting = Callable[[], AbstractContextManager[Actions]]
Act = Callable[..., Any]

PASSWORD = "correct horse"
ATTEMPTS = 3  # as retry.attempts in the ini files


@pytest.fixture
def people(acting: Acting) -> dict[str, int]:
    """Three accounts: name to id."""
    with acting() as actions:
        return {name: actions.sign_up(name, PASSWORD).id for name in ("ada", "bob", "eve")}


@pytest.fixture
def act(engine: Engine, acting: Acting, people: dict[str, int]) -> Act:
    """`act("post", "ada", "hi")` in its own transaction, retried as by pyramid_retry; returns the id of the result."""

    def act(name: str, who: str, *arguments: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                with acting() as actions:
                    result = getattr(actions, name)(people[who], *arguments)
                    return getattr(result, "id", None)
            except OperationalError:
                # PostgreSQL aborts one of two deadlocked transactions; on SQLite writers take turns.
                if engine.dialect.name == "sqlite" or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    return act


def all_events(sessions: Sessions) -> list[Event | None]:
    return [logged.event for logged in sorted(Reader(sessions).look(1_000_000).events)]


def last_event(sessions: Sessions) -> Event | None:
    return all_events(sessions)[-1]


def remove(sessions: Sessions, limit: int = CHUNK) -> None:
    """Removes the rows of closed accounts, as the housekeeper does."""
    for _ in in_chunks(sessions, partial(remove_some, limit=limit)):
        pass


def user(sessions: Sessions, name: str) -> User:
    with sessions() as session:
        return session.scalars(select(User).where(User.username_key == name)).one()


def counters(sessions: Sessions, name: str) -> tuple[int, int, int]:
    found = user(sessions, name)
    return found.tweets_count, found.followers_count, found.following_count


def check_everything(sessions: Sessions) -> None:
    """Counters equal their rows, and the events of the outbox reproduce all rows."""
    remove(sessions)
    with sessions() as session:
        for each in session.scalars(select(User)):
            for counter, column in (
                (each.tweets_count, Tweet.user_id),
                (each.followers_count, Relationship.to_user_id),
                (each.following_count, Relationship.from_user_id),
            ):
                actual = session.scalar(select(func.count()).where(column == each.id))
                assert counter == actual, (each.username, column)
        replies = Counter(session.scalars(select(Tweet.parent_id)))
        assert {each.id: each.replies_count for each in session.scalars(select(Tweet))} == {
            id_: replies[id_] for id_ in session.scalars(select(Tweet.id))
        }
        users = set(session.scalars(select(User.id)))
        tweets = {(tweet.id, tweet.user_id) for tweet in session.scalars(select(Tweet))}
        edges = {(edge.from_user_id, edge.to_user_id) for edge in session.scalars(select(Relationship))}
    told_tweets: set[tuple[int, int]] = set()
    told_edges: set[tuple[int, int]] = set()
    for event in all_events(sessions):
        match event:
            case TweetCreated(tweet_id, user_id):
                assert (tweet_id, user_id) not in told_tweets
                told_tweets.add((tweet_id, user_id))
            case TweetsDeleted(tweet_ids, user_id):
                told_tweets -= {(tweet_id, user_id) for tweet_id in tweet_ids}
            case Followed(follower, followee):
                assert (follower, followee) not in told_edges
                told_edges.add((follower, followee))
            case Unfollowed(follower, followee):
                told_edges.remove((follower, followee))
            case AccountClosed(user_id):
                told_edges = {edge for edge in told_edges if user_id not in edge}
                assert user_id not in users
    assert told_tweets == tweets
    assert told_edges == edges


# the rules: accounts


def test_a_new_account(acting: Acting, sessions: Sessions) -> None:
    with acting() as actions:
        actions.sign_up("Ada_1", PASSWORD, "  Ada\nLovelace ", "I compute.\r\nSlowly.")
    ada = user(sessions, "ada_1")
    assert (ada.username, ada.display_name, ada.bio) == ("Ada_1", "Ada Lovelace", "I compute.\nSlowly.")
    assert PASSWORD not in ada.password_hash
    assert Passwords(1, 8).check(ada.password_hash, PASSWORD)
    assert counters(sessions, "ada_1") == (0, 0, 0)


def test_display_name_defaults_to_the_username(people: dict[str, int], sessions: Sessions) -> None:
    assert user(sessions, "ada").display_name == "ada"


@pytest.mark.parametrize("name", ["", "x" * 21, "a b", "a-b", "é", "a@b", "ada\n", " ada", "аda", "１"])
def test_invalid_names_are_refused(acting: Acting, name: str) -> None:
    with pytest.raises(Refused, match="letters, digits or underscores") as caught, acting() as actions:
        actions.sign_up(name, PASSWORD)
    assert caught.value.field == "username"


@pytest.mark.parametrize("name", ["ada", "ADA", "aDa"])
def test_usernames_are_unique_case_insensitively(
    acting: Acting, people: dict[str, int], sessions: Sessions, name: str
) -> None:
    with acting() as actions:
        with pytest.raises(Refused, match="taken"):
            actions.sign_up(name, PASSWORD)
        actions.sign_up("zoe", PASSWORD)  # the transaction can go on
    assert user(sessions, "zoe")


@pytest.mark.parametrize("password", ["", "1234567", "x" * 201])
def test_invalid_passwords_are_refused(acting: Acting, password: str) -> None:
    with pytest.raises(Refused) as caught, acting() as actions:
        actions.sign_up("ada", password)
    assert caught.value.field == "password"


@pytest.mark.parametrize(("display_name", "bio", "field"), [
    ("x" * (NAME_LENGTH + 1), "", "display_name"),
    ("e" + "\u0301\u0302" * 200, "", "display_name"),
    ("", "x" * (BIO_LENGTH + 1), "bio"),
    ("", "e" + "\u0301" * 10_000, "bio"),
])  # fmt: skip
def test_too_long_names_and_bios_are_refused(
    acting: Acting, people: dict[str, int], display_name: str, bio: str, field: str
) -> None:
    with pytest.raises(Refused) as caught, acting() as actions:
        actions.change_profile(people["ada"], display_name, bio)
    assert caught.value.field == field


def test_emoji_in_names_count_as_seen(act: Act, sessions: Sessions) -> None:
    act("change_profile", "ada", "👨‍👩‍👧" * 20, "🇩🇪" * BIO_LENGTH)
    assert user(sessions, "ada").display_name == "👨‍👩‍👧" * 20


def test_longest_allowed_name_can_be_kept(act: Act, sessions: Sessions) -> None:
    name = "👨‍👩‍👧‍👦" * 28
    act("change_profile", "ada", name, "")
    assert user(sessions, "ada").display_name == name


def test_new_name_records_an_event_and_new_bio_does_not(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    act("change_profile", "ada", "Countess", "")
    assert all_events(sessions) == [ProfileChanged(people["ada"])]
    act("change_profile", "ada", "Countess", "A new bio")
    assert all_events(sessions) == [ProfileChanged(people["ada"])]
    assert user(sessions, "ada").bio == "A new bio"


def test_a_new_password_ends_the_sessions_of_the_old_one(act: Act, sessions: Sessions) -> None:
    before = user(sessions, "ada")
    act("set_password", "ada", "another one")
    after = user(sessions, "ada")
    assert after.auth_version != before.auth_version
    assert Passwords(1, 8).check(after.password_hash, "another one")
    with pytest.raises(Refused):
        act("set_password", "ada", "short")


def test_closing_an_account_removes_all_of_it(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    kept = act("post", "bob", "hello @ada")
    gone = [act("post", "ada", f"tweet {number} @bob") for number in range(3)]
    answer = act("post", "eve", "answer", gone[0])
    act("follow", "ada", "bob")
    act("follow", "eve", "ada")
    act("follow", "eve", "bob")
    act("close_account", "ada")
    assert all_events(sessions)[-1] == AccountClosed(people["ada"])
    remove(sessions)
    with sessions() as session:
        assert set(session.scalars(select(Tweet.id))) == {kept, answer}
        assert session.scalars(select(Mention.user_id)).all() == []
        assert session.execute(select(Relationship.from_user_id, Relationship.to_user_id)).all() == [
            (people["eve"], people["bob"])
        ]
        assert session.get(User, people["ada"]) is None
    assert counters(sessions, "bob") == (1, 1, 0)
    assert counters(sessions, "eve") == (1, 0, 1)
    assert all_events(sessions)[-1] == TweetsDeleted(tuple(gone[::-1]), people["ada"])
    check_everything(sessions)
    for name, arguments in [
        ("post", ("hi",)), ("follow", ("bob",)), ("change_profile", ("x", "")), ("set_password", (PASSWORD,)),
        ("close_account", ()), ("delete", (gone[0],)),
    ]:  # fmt: skip
        with pytest.raises(Missing):
            act(name, "ada", *arguments)
    check_everything(sessions)


def test_name_of_a_closed_account_can_be_reused(act: Act, acting: Acting, people: dict[str, int]) -> None:
    act("close_account", "ada")
    with acting() as actions:
        assert actions.sign_up("ADA", PASSWORD).id not in people.values()


def test_closing_announces_many_tweets_in_chunks(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]
) -> None:
    limit = 20
    number = limit * 2 + 1
    with acting() as actions:
        for _ in range(number):
            actions.post(people["ada"], "again")
    act("close_account", "ada")
    remove(sessions, limit)
    chunks = [event.tweet_ids for event in all_events(sessions) if isinstance(event, TweetsDeleted)]
    assert sum(map(len, chunks)) == number
    assert max(map(len, chunks)) == limit
    check_everything(sessions)


# the rules: tweets


def test_a_tweet(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    id_ = act("post", "ada", "  hello\r\n@bob @nobody and @BOB  ")
    with sessions() as session:
        tweet = session.get_one(Tweet, id_)
        assert tweet.message == "hello\n@bob @nobody and @BOB"
        assert tweet.date == ids.date_of(id_)
        assert session.execute(select(Mention.user_id, Mention.tweet_id)).all() == [(people["bob"], id_)]
    assert all_events(sessions) == [TweetCreated(id_, people["ada"])]
    assert counters(sessions, "ada") == (1, 0, 0)


@pytest.mark.parametrize("message", ["", "  \n ", "\u200b", "\u202e", "x" * 141, "a" + "\u0301" * 5000, "x " * 50_000])
def test_invalid_messages_are_refused(act: Act, sessions: Sessions, message: str) -> None:
    with pytest.raises(Refused) as caught:
        act("post", "ada", message)
    assert caught.value.field == "message"
    assert counters(sessions, "ada") == (0, 0, 0)
    assert all_events(sessions) == []


@pytest.mark.parametrize("character", ["x", "é", "e\u0301", "🇩🇪", "👨‍👩‍👧‍👦", "日"])
def test_message_limit_is_140_visible_characters(act: Act, character: str) -> None:
    assert act("post", "ada", character * 140)
    with pytest.raises(Refused, match="1 characters? too long"):
        act("post", "ada", character * 141)


def test_reply_to_a_deleted_tweet_is_refused(act: Act, sessions: Sessions) -> None:
    parent = act("post", "ada", "question")
    answer = act("post", "bob", "answer", parent)
    with sessions() as session:
        assert session.get_one(Tweet, answer).parent_id == parent
    act("delete", "ada", parent)
    with sessions() as session:
        assert session.get_one(Tweet, answer).parent_id == parent
    with pytest.raises(Missing, match="was deleted"):
        act("post", "bob", "too late", parent)


def test_users_can_delete_only_their_own_tweets(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    id_ = act("post", "ada", "hello @bob")
    with pytest.raises(NotYours):
        act("delete", "bob", id_)
    act("delete", "ada", id_)
    assert last_event(sessions) == TweetsDeleted((id_,), people["ada"])
    assert counters(sessions, "ada") == (0, 0, 0)
    with pytest.raises(Missing):
        act("delete", "ada", id_)
    with pytest.raises(Missing):
        act("delete", "ada", ids.MAX_ID)
    with sessions() as session:
        assert session.scalars(select(Mention)).all() == []
    check_everything(sessions)


def test_id_taken_by_another_process_is_skipped(act: Act, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    first = act("post", "ada", "first")
    given = iter([first, first, first, first + 1])
    monkeypatch.setattr("tweeter.ids.generate_id", lambda after=0: next(given))
    assert act("post", "bob", "second") == first + 1
    assert counters(sessions, "bob") == (1, 0, 0)
    check_everything(sessions)


def test_permanently_taken_ids_raise_an_error(act: Act, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    first = act("post", "ada", "first")
    monkeypatch.setattr("tweeter.ids.generate_id", lambda after=0: first)
    with pytest.raises(IntegrityError):
        act("post", "bob", "second")
    check_everything(sessions)


# the rules: relationships


def test_following_and_unfollowing(act: Act, sessions: Sessions, people: dict[str, int]) -> None:
    act("follow", "ada", "BOB")
    act("follow", "ada", "bob")
    assert all_events(sessions) == [Followed(people["ada"], people["bob"])]
    assert counters(sessions, "ada") == (0, 0, 1)
    assert counters(sessions, "bob") == (0, 1, 0)
    act("unfollow", "ada", "Bob")
    act("unfollow", "ada", "bob")
    assert all_events(sessions)[1:] == [Unfollowed(people["ada"], people["bob"])]
    assert counters(sessions, "ada") == counters(sessions, "bob") == (0, 0, 0)


def test_invalid_follows_are_refused(act: Act, sessions: Sessions) -> None:
    with pytest.raises(Refused, match="yourself"):
        act("follow", "ada", "Ada")
    for name in ("nobody", "", "x" * 5000, "a\x00b", "'"):
        with pytest.raises(Missing):
            act("follow", "ada", name)
        with pytest.raises(Missing):
            act("unfollow", "ada", name)
    assert all_events(sessions) == []


# events and rows are atomic


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("post", ("hi @bob",)), ("follow", ("eve",)), ("unfollow", ("bob",)), ("change_profile", ("New", "")),
        ("close_account", ()), ("delete", (1,)),
    ],
)  # fmt: skip
def test_rollback_leaves_no_trace(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int], monkeypatch: pytest.MonkeyPatch,
    name: str, arguments: tuple[Any, ...],
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("tweeter.ids.generate_id", lambda after=0: 1)
        act("post", "ada", "hello")
    act("follow", "ada", "bob")
    before = all_events(sessions)
    with pytest.raises(ZeroDivisionError), acting() as actions:
        getattr(actions, name)(people["ada"], *arguments)
        raise ZeroDivisionError
    assert all_events(sessions) == before
    check_everything(sessions)
    act(name, "ada", *arguments)
    assert len(all_events(sessions)) > len(before)
    check_everything(sessions)


# many at once


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Runs the calls in threads that start together. Returns their results or the Refused they raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return call()
        except Refused as refused:
            return refused

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


def while_uncommitted(acting: Acting, first: Callable[[Actions], Any], then: Callable[[], Any]) -> Any:
    """The result of `then`, which begins before the transaction of `first` ends and must wait for it."""
    with ThreadPoolExecutor(1) as pool:
        future: Future[Any]
        with acting() as actions:
            first(actions)
            future = pool.submit(lambda: at_once(then)[0])
            with pytest.raises(TimeoutError):
                future.result(0.3)
        return future.result(30)


def test_concurrent_sign_ups_with_one_username_create_one_account(acting: Acting, sessions: Sessions) -> None:
    def sign_up(name: str) -> Callable[[], Any]:
        def call() -> str:
            with acting() as actions:
                return actions.sign_up(name, PASSWORD).username

        return call

    for number in range(5):
        name = f"racer{number}"
        results = at_once(*(sign_up(spelling) for spelling in (name, name.upper(), name.title(), name)))
        assert sum(isinstance(result, str) for result in results) == 1
        assert {str(result) for result in results if not isinstance(result, str)} == {"This username is taken."}


@pytest.mark.parametrize("order", [("ada", "bob"), ("bob", "ada")])
def test_duplicate_concurrent_requests_take_effect_once(
    act: Act, sessions: Sessions, people: dict[str, int], order: tuple[str, str]
) -> None:
    one, other = order
    for _ in range(5):
        assert at_once(*[lambda: act("follow", one, other)] * 4) == [None] * 4
        assert counters(sessions, other)[1] == 1
        check_everything(sessions)
        assert at_once(*[lambda: act("unfollow", one, other)] * 4) == [None] * 4
        assert counters(sessions, other)[1] == 0
        check_everything(sessions)
        id_ = act("post", one, "once")
        results = at_once(*[lambda id_=id_: act("delete", one, id_)] * 4)
        assert sorted(type(result).__name__ for result in results) == ["Missing", "Missing", "Missing", "NoneType"]
        check_everything(sessions)


def test_concurrent_double_unfollow(act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]) -> None:
    act("follow", "ada", "bob")
    assert (
        while_uncommitted(
            acting, lambda actions: actions.unfollow(people["ada"], "bob"), lambda: act("unfollow", "ada", "bob")
        )
        is None
    )
    check_everything(sessions)


def test_concurrent_double_delete(act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]) -> None:
    id_ = act("post", "ada", "once")
    result = while_uncommitted(
        acting, lambda actions: actions.delete(people["ada"], id_), lambda: act("delete", "ada", id_)
    )
    assert isinstance(result, Missing)
    check_everything(sessions)


@pytest.mark.parametrize(
    ("name", "who", "arguments"),
    [
        ("post", "ada", ("too late",)), ("change_profile", "ada", ("New", "")),
        ("set_password", "ada", ("another one",)),
        ("follow", "ada", ("eve",)), ("follow", "bob", ("ada",)), ("follow", "eve", ("ada",)),
        ("unfollow", "ada", ("bob",)), ("unfollow", "eve", ("ada",)), ("close_account", "ada", ()),
    ],
)  # fmt: skip
def test_actions_during_account_closing_are_refused(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int], name: str, who: str,
    arguments: tuple[Any, ...],
) -> None:  # fmt: skip
    act("follow", "ada", "bob")
    if name == "unfollow":
        act("follow", "eve", "ada")
    result = while_uncommitted(
        acting, lambda actions: actions.close_account(people["ada"]), lambda: act(name, who, *arguments)
    )
    # Unfollowing a removed account succeeds.
    assert isinstance(result, Missing) or (name == "unfollow" and result is None), result
    check_everything(sessions)


def test_mention_of_a_closed_account_is_plain_text(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]
) -> None:
    result = while_uncommitted(
        acting, lambda actions: actions.close_account(people["bob"]), lambda: act("post", "ada", "hello @bob and @eve")
    )
    assert isinstance(result, int), result
    with sessions() as session:
        assert session.scalars(select(Mention.user_id)).all() == [people["eve"]]
    check_everything(sessions)


def test_concurrent_new_passwords_end_earlier_sessions(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int]
) -> None:
    before = user(sessions, "ada").auth_version
    while_uncommitted(
        acting,
        lambda actions: actions.set_password(people["ada"], "the first new one"),
        lambda: act("set_password", "ada", "the second new one"),
    )
    assert user(sessions, "ada").auth_version == before + 2


def test_two_users_follow_each_other_concurrently(act: Act, sessions: Sessions) -> None:
    for _ in range(10):
        assert at_once(lambda: act("follow", "ada", "bob"), lambda: act("follow", "bob", "ada")) == [None, None]
        check_everything(sessions)
        assert at_once(lambda: act("unfollow", "ada", "bob"), lambda: act("unfollow", "bob", "ada")) == [None, None]
        check_everything(sessions)


def test_two_mutual_followers_close_their_accounts_concurrently(
    acting: Acting, act: Act, sessions: Sessions, people: dict[str, int]
) -> None:
    for number in range(5):
        for name in ("left", "right"):
            with acting() as actions:
                people[name] = actions.sign_up(f"{name}{number}", PASSWORD).id
            act("follow", name, "ada")
            act("follow", "ada", f"{name}{number}")
        act("follow", "left", f"right{number}")
        act("follow", "right", f"left{number}")
        assert at_once(lambda: act("close_account", "left"), lambda: act("close_account", "right")) == [None, None]
        check_everything(sessions)
    assert counters(sessions, "ada") == (0, 0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_counters_stay_correct_under_concurrency(
    act: Act, acting: Acting, sessions: Sessions, people: dict[str, int], seed: int
) -> None:
    """Concurrent actions of all kinds while accounts close raise only Refused."""
    names = [*people, "fay", "gus", "hal"]
    with acting() as actions:
        for name in names[3:]:
            people[name] = actions.sign_up(name, PASSWORD).id

    def somebody(number: int) -> Callable[[], None]:
        chance = random.Random(seed * 100 + number)

        def once() -> None:
            who, other = chance.choice(names), chance.choice(names)
            match chance.choice(["post", "post", "reply", "reply", "delete", "follow", "follow", "unfollow"]):
                case "post":
                    act("post", who, f"hello @{other}")
                case "reply":
                    with sessions() as session:
                        any_ = session.scalars(select(Tweet.id).order_by(Tweet.id.desc()).limit(9)).all()
                    if any_:
                        act("post", who, f"hello @{other}", chance.choice(any_))
                case "delete":
                    with sessions() as session:
                        newest = select(Tweet.id).where(Tweet.user_id == people[who]).order_by(Tweet.id.desc()).limit(2)
                        own = session.scalars(newest).all()
                    if own:
                        act("delete", who, chance.choice(own))
                case other_action:
                    act(other_action, who, other)

        def run() -> None:
            for _ in range(40):
                with suppress(Refused):
                    once()

        return run

    def leave() -> None:
        for name in ("gus", "hal"):
            threading.Event().wait(0.2)
            act("close_account", name)
            remove(sessions, limit=3)

    assert set(at_once(*(somebody(number) for number in range(5)), leave)) == {None}
    check_everything(sessions)


def test_mutual_followers_and_mentioners_can_all_close_concurrently(acting: Acting, sessions: Sessions) -> None:
    """No transaction is retried: all take their locks in the same order."""
    names = [f"n{number}" for number in range(12)]
    with acting() as actions:
        ids_ = [actions.sign_up(name, PASSWORD).id for name in names]
    with acting() as actions:
        for number, id_ in enumerate(ids_):
            for step in (1, 2, 5):
                actions.follow(id_, names[(number + step) % 12])
            actions.post(id_, f"hello @{names[(number + 1) % 12]} and @{names[(number - 3) % 12]}")
    with acting() as actions:
        with sessions() as session:
            posted = session.scalars(select(Tweet.id)).all()
        for number, id_ in enumerate(ids_):
            for parent_id in (posted[0], posted[(number + 1) % 12], posted[(number - 1) % 12]):
                posted = [*posted, actions.post(id_, "a reply", parent_id).id]

    def close(id_: int) -> None:
        with acting() as actions:
            actions.close_account(id_)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(close, ids_[:6]))
        # At the same time several processes remove the rows of closed accounts.
        removing = [pool.submit(remove, sessions, limit) for limit in (1, 2, 3)]
        list(pool.map(close, ids_[6:]))
        for each in removing:
            each.result()
    check_everything(sessions)
    with sessions() as session:
        for table in (User, Tweet, Relationship, Mention):
            assert session.scalar(select(func.count()).select_from(table)) == 0
