"""Workloads and graphs: reproducible, with the documented users, mixes and order."""

import json
from collections import Counter

import numpy as np
import pytest
from sqlalchemy import Engine, func, inspect, select

from tests.conftest import engine_on
from tests.support.loads import check_counters
from tweeter.bench.graphs import Graph, plant, power_law
from tweeter.bench.workloads import SYNTHETIC, World, find
from tweeter.bench.workloads.operations import (
    AddUser,
    Follow,
    LogIn,
    LogOut,
    Operation,
    Post,
    ReadFollowers,
    ReadHome,
    ReadNews,
    ReadProfile,
    ReadTweet,
)
from tweeter.bench.workloads.replay import AROUND, busiest, replay
from tweeter.bench.world import write_world
from tweeter.console.progress import Lines
from tweeter.db.sessions import make_sessions
from tweeter.errors import TweeterError
from tweeter.models import Relationship, Tweet, User
from tweeter.timelines.kinds import built_in_kinds
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow
COUNT = 20_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(power_law(1_000, 10, seed=1).followers_of_each(), tweets=5_000)


def stream(name: str, world: World, seed: int = 7, count: int = COUNT) -> list[Operation]:
    return list(find(name).operations(world, count, seed))


def shares(operations: list[Operation]) -> dict[type, float]:
    """The percentage of each kind."""
    kinds = Counter(map(type, operations))
    return {kind: 100 * count / len(operations) for kind, count in kinds.items()}


# workloads


@pytest.mark.parametrize("name", SYNTHETIC)
def test_operations_depend_only_on_the_seed(name, world):
    assert stream(name, world) == stream(name, world)
    assert stream(name, world) != stream(name, world, seed=8)
    assert len(stream(name, world)) == COUNT


def test_retwis_is_the_mix_of_tapir(world):
    found = shares(stream("retwis", world))
    wanted = {AddUser: 5, Follow: 15, Post: 30, ReadHome: 50}
    assert found == {kind: pytest.approx(share, abs=1) for kind, share in wanted.items()}


def test_retwis_draws_users_by_zipf_and_numbers_new_ones(world):
    operations = stream("retwis", world)
    readers = Counter(operation.user for operation in operations if isinstance(operation, ReadHome))
    (_, most), *_ = readers.most_common()
    # Of Zipf's law with 0.75 the first of 1,000 has 1 of 19 parts; of an even choice 1 of 1,000.
    assert most / readers.total() == pytest.approx(1 / sum(rank**-0.75 for rank in range(1, 1_001)), rel=0.15)
    added = [operation.user for operation in operations if isinstance(operation, AddUser)]
    assert added == list(range(1_000, 1_000 + len(added)))
    assert not [
        operation for operation in operations if isinstance(operation, Follow) and operation.user == operation[1]
    ]


def test_twip_is_the_mix_of_pequod(world):
    found = shares(stream("twip", world))
    whole = 100 + 10 + 5 + 5 + 1
    assert found[Follow] == pytest.approx(100 * 10 / whole, abs=1)
    assert found[LogOut] == pytest.approx(100 * 5 / whole, abs=0.7)
    assert found[LogIn] == pytest.approx(100 * 5 / whole, abs=0.7)
    assert found[Post] == pytest.approx(100 * 1 / whole, abs=0.3)
    assert found[ReadNews] == pytest.approx(100 * 100 / whole, abs=1)


def test_twip_70_percent_are_reads_by_present_users(world):
    logged_in: set[int] = set()
    left: set[int] = set()
    looks: Counter[int] = Counter()
    for operation in stream("twip", world):
        match operation:
            case LogOut(user):
                assert user not in left
                left.add(user)
            case LogIn(user):
                assert user in left
                left.remove(user)
                looks[user] += 1
            case ReadNews(user):
                assert user not in left
                looks[user] += 1
        logged_in |= looks.keys()
    assert len(logged_in) == pytest.approx(700, abs=50)
    assert max(looks.values()) - min(looks.values()) <= max(looks.values()) // 2


def test_twip_most_followed_users_post_most(world):
    posters = Counter(op.user for op in stream("twip", world, count=60_000) if isinstance(op, Post))
    followed = np.array([world.followers[user] for user in posters.elements()])
    assert followed.mean() > world.followers.mean()
    assert not [user for user in posters if world.followers[user] == 0]


def test_benchbase_is_the_mix_of_its_sample_configuration(world):
    found = shares(stream("benchbase-twitter", world))
    wanted = {ReadTweet: 1, ReadHome: 1, ReadFollowers: 7, ReadProfile: 90, Post: 1}
    assert found == {kind: pytest.approx(share, abs=0.5) for kind, share in wanted.items()}


def test_a_workload_on_the_smallest_site():
    world = World(np.array([0, 1]), 0)
    for name in SYNTHETIC:
        operations = stream(name, world, count=500)
        users = [op.user for op in operations if not isinstance(op, AddUser | ReadTweet)]
        assert set(users) <= {0, 1}
        assert not [op for op in operations if isinstance(op, ReadTweet)]


def test_replay_keeps_the_order_and_reads_as_existing_users():
    tweets = [(number % 5_000, f"number {number}") for number in range(10_000)]
    operations = list(replay(tweets, reads_per_post=2, seed=1))
    assert [(op.user, op.message) for op in operations if isinstance(op, Post)] == tweets
    assert [type(op) for op in operations[:6]] == [Post, ReadHome, ReadHome, Post, ReadHome, ReadHome]
    for number in (0, 5_000, 9_999):
        for reading in operations[number * 3 + 1 : number * 3 + 3]:
            assert isinstance(reading, ReadHome)
            assert reading.user in {tweet[0] for tweet in tweets[max(0, number - AROUND) : number + AROUND]}
    assert operations == list(replay(tweets, 2, 1))
    assert operations != list(replay(tweets, 2, 2))


@pytest.mark.parametrize(
    ("times", "count", "first"),
    [([0, 10, 20, 21, 22, 40], 3, 2), ([0, 1, 2], 3, 0), ([5], 100, 0), ([0, 100, 200, 201], 2, 2)],
)
def test_busiest_stretch_is_the_shortest_time_for_n_tweets(times, count, first):
    assert busiest(times, count) == first


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nonesuch", "there is no workload nonesuch; retwis, twip, benchbase-twitter and replay are built in"),
        ("no.such.module", "there is no workload no.such.module"),
        ("../etc", "there is no workload ../etc"),
        ("tests.support.people", "tests.support.people is not a workload: it has no SOURCE"),
    ],
)
def test_unknown_workload_is_reported(name, reason):
    with pytest.raises(TweeterError, match=f"^{reason}"):
        find(name)


# graphs


def test_graph_is_deterministic_without_self_or_double_follows():
    one, same, other = (power_law(500, 10, seed) for seed in (1, 1, 2))
    assert pairs(one) == pairs(same)
    assert pairs(one) != pairs(other)
    assert len(set(pairs(one))) == len(pairs(one))
    assert not [pair for pair in pairs(one) if pair[0] == pair[1]]
    assert pairs(one) == sorted(pairs(one))


def pairs(graph: Graph) -> list[tuple[int, int]]:
    return list(zip(graph.followers.tolist(), graph.followees.tolist(), strict=True))


def test_power_law_has_many_small_and_few_large_accounts():
    graph = power_law(20_000, 10, seed=3)
    followers = np.sort(graph.followers_of_each())
    assert len(graph.followers) / 20_000 == pytest.approx(10, rel=0.2)
    assert followers[10_000] <= 6
    assert followers[-1] >= 500
    # With ten times the followers there are 10^-(2.276 - 1) times as many people, a 19th.
    some, few = ((followers >= least).sum() for least in (20, 200))
    assert some / few == pytest.approx(10**1.276, rel=0.5)


def test_planted_users_have_the_exact_number_of_followers():
    planted = plant(power_law(2_000, 5, seed=1), [10, 300], [20, 1_000], constant=50, seed=2)
    followees, followers = planted.graph.followees_of_each(), planted.graph.followers_of_each()
    assert {count: (followees[user], followers[user]) for count, user in planted.readers.items()} == {
        10: (10, 50),
        300: (300, 50),
    }
    assert {count: (followees[user], followers[user]) for count, user in planted.authors.items()} == {
        20: (50, 20),
        1_000: (50, 1_000),
    }
    everybody = {follower for follower, followee in pairs(planted.graph) if followee >= 2_000}
    assert everybody == set(planted.fans)


def test_followers_are_limited_by_the_number_of_users():
    with pytest.raises(ValueError, match="followed by, 101 of 100 users"):
        plant(power_law(100, 5, seed=1), [101], [], constant=10, seed=1)
    with pytest.raises(ValueError, match="two users"):
        power_law(1, 5, seed=1)


# worlds


def test_world_has_correct_counters_and_all_indexes(database_url):
    graph = power_law(300, 5, seed=1)
    with engine_on(database_url) as engine:
        before = indexes(engine)
        tweet_ids = write_world(engine, graph, tweets=1_000, seed=1, progress=Lines())
        assert indexes(engine) == before
        check_counters(engine)
        sessions = make_sessions(engine)
        with sessions() as session:
            counts = [session.scalar(select(func.count()).select_from(table)) for table in (User, Relationship, Tweet)]
            assert counts == [300, len(graph.followers), 1_000]
            assert session.scalars(select(Tweet.id).order_by(Tweet.id)).all() == tweet_ids.tolist()
            assert session.scalar(select(User.username).where(User.id == 17)) == "u17"
            assert max(len(message) for message in session.scalars(select(Tweet.message))) <= 140
            session.add(User(username="new", username_key="new", display_name="New"))
            session.commit()
            assert session.scalar(select(User.id).where(User.username == "new")) == 301
        page = PullTimelines("sql", sessions, built_in_kinds()).page(
            Timeline("home", int(graph.followers[0]) + 1), Cursor()
        )
        assert page.tweets
        for tweet in page.tweets:
            assert abs(tweet.epoch_ms - ((tweet.id >> 12) + 1136073600000)) <= 1


def indexes(engine: Engine) -> set[str]:
    return {
        json.dumps(index, default=str, sort_keys=True)
        for table in ("users", "relationships", "tweets")
        for index in inspect(engine).get_indexes(table)
    }
