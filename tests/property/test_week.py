"""A real week of tweets and reposts: every backend shows the pages that a small model computes from the files.

The data here is a part of the week; TWEETER_WEEK names a folder with all of it, or with another graph and its tweets
(`follows.txt.gz`, `tweets.jsonl.gz`, and `actions.jsonl.gz` with reposts).
"""

import gzip
import json
import os
import random
from collections import Counter, defaultdict
from contextlib import closing
from heapq import nlargest
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.conftest import ROOT
from tweeter import measure
from tweeter.cli import main
from tweeter.interfaces import ITimelines
from tweeter.models import User
from tweeter.testing import Process
from tweeter.timelines.verify import Verifier
from tweeter.values import Cursor, Repost, Timeline

pytestmark = pytest.mark.slow
WEEK = Path(os.environ.get("TWEETER_WEEK", ROOT / "tests" / "data" / "week"))
PEOPLE = 100 if "TWEETER_WEEK" in os.environ else 30  # of each kind
SHOWN = 60  # three pages
REST = 200  # tweets that are posted after all others were loaded
SAMPLE = 100  # people whose timelines are verified


def lines(path):
    with gzip.open(path, "rt") as file:
        yield from file


class Files:
    """The contents of the two files."""

    def __init__(self, folder):
        self.followees = defaultdict(set)
        self.tweets = defaultdict(list)
        followers = Counter()
        for line in lines(folder / "follows.txt.gz"):
            if not line.startswith("#"):
                follower, followee = line.split()
                self.followees[follower].add(followee)
                followers[followee] += 1
        for number, line in enumerate(lines(folder / "tweets.jsonl.gz")):
            tweet = json.loads(line)
            self.tweets[tweet["user"]].append((tweet["date"], number, tweet["message"]))
        everybody = sorted({*self.followees, *self.tweets, *followers})
        self.people = {
            *nlargest(PEOPLE, everybody, key=lambda user: len(self.followees[user])),
            *nlargest(PEOPLE, everybody, key=lambda user: followers[user]),
            *random.Random(2011).sample(everybody, PEOPLE),
        }

    def profile(self, user):
        return [(f"u{user}", message) for _, _, message in sorted(self.tweets[user], reverse=True)[:SHOWN]]

    def home(self, user):
        sources = self.followees[user] | {user}
        tweets = ((date, number, who, text) for who in sources for date, number, text in self.tweets[who])
        return [(f"u{who}", text) for _, _, who, text in nlargest(SHOWN, tweets)]


class Actions(Files):
    """The same people, and their tweets and reposts: those of `actions.jsonl.gz`, whose ids increase with time."""

    def __init__(self, folder):
        super().__init__(folder)
        self.messages = {}
        self.entries = defaultdict(list)  # of each user, oldest first: place, id of the tweet, whether it is a repost
        self.reposters = defaultdict(list)
        for line in lines(folder / "actions.jsonl.gz"):
            act = json.loads(line)
            user, place = act["user"], (act["date"], int(act["id"]))
            if (of := act.get("repost")) is None:
                self.messages[act["id"]] = (f"u{user}", act["message"])
                self.entries[user].append((place, act["id"], False))
            elif user not in self.reposters[of]:
                self.reposters[of].append(user)
                self.entries[user].append((place, of, True))

    def page(self, authors, owner):
        """The newest entries: author, message and reposts of each tweet, its reposter and how many others reposted."""
        found = {}
        every = ((*entry, who) for who in authors for entry in self.entries[who])
        for _, id_, repost, who in sorted(every, reverse=True):
            if id_ not in found and len(found) < SHOWN:
                others = sum(each in authors and each not in (who, owner) for each in self.reposters[id_])
                reposters = len(self.reposters[id_])
                found[id_] = (*self.messages[id_], reposters, *((f"u{who}", others) if repost else ("", 0)))
        return list(found.values())


@pytest.fixture(scope="module")
def files():
    return Files(WEEK)


@pytest.fixture(scope="module")
def actions():
    return Actions(WEEK)


@pytest.fixture
def make_ini(tmp_path, database_url):
    def make(**settings):
        settings = {"sqlalchemy.url": database_url, **settings}
        lines = Path("testing.ini").read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0].strip() not in settings]
        place = kept.index("use = egg:tweeter") + 1
        path = tmp_path / "week.ini"
        path.write_text("\n".join([*kept[:place], *map(" = ".join, settings.items()), *kept[place:]]))
        return str(path)

    return make


def author_and_message(page):
    return [(tweet.username, tweet.message) for tweet in page.tweets]


def with_reposts(page):
    nobody = Repost(0, 0, "", "")
    shown = ((tweet, page.reposts.get(tweet.id, nobody)) for tweet in page.tweets)
    return [(t.username, t.message, t.reposts, repost.username, repost.others) for t, repost in shown]


def three_pages(read, timeline, show=author_and_message):
    shown, cursor = [], Cursor()
    for _ in range(3):
        page = read(timeline, cursor)
        shown += show(page)
        if page.older is None:
            break
        cursor = cursor._replace(before=page.older)
    return shown


def test_home_and_profile_pages_match_the_files(make_ini, database_url, files):
    ini = make_ini()
    assert main(["load", ini, "--follows", f"{WEEK}/follows.txt.gz", "--tweets", f"{WEEK}/tweets.jsonl.gz"]) == 0
    assert len(files.people) > 2 * PEOPLE
    processes = [Process(database_url, backend) for backend in ("sql", "memory")]
    try:
        with processes[0].sessions() as session:
            ids = {row.username: row.id for row in session.execute(select(User.username, User.id))}
        memory = processes[1]
        for user in sorted(files.people):
            home, profile = Timeline("home", ids[f"u{user}"]), Timeline("profile", ids[f"u{user}"])
            for process in processes:
                assert three_pages(process.page, home) == files.home(user)
                assert three_pages(process.page, profile) == files.profile(user)
            # A warm page takes two round trips and no SQL, for any number of followees.
            with measure.measuring() as meter:
                page = memory.timelines.page(home, Cursor())
            assert meter.sql == 0
            assert meter.round_trips == (2 if page.tweets else 1)
    finally:
        for process in processes:
            process.close()


def test_pages_with_reposts_match_the_file_in_every_backend(
    make_ini, database_url, redis_server, memcached_server, actions, tmp_path
):
    ini = make_ini()
    assert main(["load", ini, "--follows", f"{WEEK}/follows.txt.gz", "--tweets", f"{WEEK}/actions.jsonl.gz"]) == 0
    settings = {
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": tmp_path.name,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": tmp_path.name,
    }
    with closing(Process(database_url, "sql")) as process, process.sessions() as session:
        ids = {row.username: row.id for row in session.execute(select(User.username, User.id))}
    expected = {
        Timeline(kind, ids[f"u{user}"]): actions.page(authors, user)
        for user in actions.people
        for kind, authors in (("profile", {user}), ("home", actions.followees[user] | {user}))
    }
    for backend in ("sql", "table", "memory", "redis", "memcached"):
        with closing(Process(database_url, backend, **settings)) as process:
            process.settle()
            for timeline, page in expected.items():
                assert three_pages(process.timelines.page, timeline, with_reposts) == page, backend


def test_new_tweets_reach_every_backend(make_ini, database_url, redis_server, memcached_server, tmp_path):
    """`tweeter verify` warms timelines, and later finds each tweet in all of them, including full ones."""
    every = list(lines(WEEK / "tweets.jsonl.gz"))
    (tmp_path / "past.jsonl").write_text("".join(every[:-REST]))
    prefix = f"week {database_url[-20:]}".replace(" ", "-").replace("/", "-")
    settings = {
        "tweeter.capacity": "100",
        "tweeter.timelines.shadow": "memcached",
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
    }
    ini = make_ini(**{"tweeter.timelines": "redis"}, **settings)
    assert main(["load", ini, "--follows", f"{WEEK}/follows.txt.gz", "--tweets", f"{tmp_path}/past.jsonl"]) == 0
    site, memory = Process(database_url, "redis", **settings), Process(database_url, "memory", **settings)
    try:
        with site.sessions() as session:
            ids = {row.username: row.id for row in session.execute(select(User.username, User.id))}
        people = random.Random(2011).sample(sorted(ids), SAMPLE)
        which = [word for name in people for word in ("--user", name)]
        timelines = [
            timeline for name in people for timeline in (Timeline("home", ids[name]), Timeline("profile", ids[name]))
        ]

        def verified():
            verifier = Verifier(memory.timelines, memory.kinds, memory.sessions, lambda: memory.delivery.drain(5))
            found = [verdict for timeline in timelines if (verdict := verifier.verify(timeline)).differences]
            return found or all(main(["verify", ini, *which, *more]) == 0 for more in ([], ["--store", "memcached"]))

        assert verified() is True
        for tweet in map(json.loads, every[-REST:]):
            with site.acting() as actions:
                author = ids.get(f"u{tweet['user']}") or actions.sign_up(f"u{tweet['user']}", "password").id
                ids[f"u{tweet['user']}"] = author
                actions.post(author, tweet["message"])
        site.settle()
        memory.settle()
        stores = [each for _, each in site.registry.getUtilitiesFor(ITimelines)]
        for store in (*stores, memory.timelines):
            assert all(store.peek(timeline) is not None for timeline in timelines), f"{store.name} was not delivered to"
        assert {store.name for store in stores} == {"redis", "memcached"}
        assert verified() is True
    finally:
        site.close()
        memory.close()
