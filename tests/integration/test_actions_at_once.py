"""Actions: rows, counters and events stay correct under failures and concurrency."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.support.acting import (  # noqa: F401
    PASSWORD,
    Act,
    Acting,
    Sessions,
    act,
    all_events,
    check_everything,
    counters,
    people,
    remove,
    user,
)
from tweeter.errors import Missing, Refused
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.services.actions import Actions

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
