"""`tweeter load`: its memory, and loads that are interrupted or killed."""

import json
import signal
import subprocess
import sys
import tracemalloc

import pytest
from sqlalchemy import func, select

from tests.conftest import write_ini
from tests.support.loads import (  # noqa: F401
    NOON,
    _no_breath,
    check_counters,
    ini,
    killed_load,
    make_site,
    messages,
    tweet,
    write,
)
from tweeter.bulk import database as bulk
from tweeter.bulk.load import files, load, stage
from tweeter.cli import main
from tweeter.console.progress import Lines
from tweeter.models import Mention, Relationship


def test_memory_does_not_grow_with_the_files(tmp_path, sqlite_url, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 500})
    monkeypatch.setattr(files, "CHUNK", 10_000)
    monkeypatch.setattr(stage, "ROWS_AT_ONCE", 500)
    monkeypatch.setattr(stage, "NAMES_REMEMBERED", 500)
    site = make_site(sqlite_url)
    peaks = []
    for thousands in (2, 2, 8):  # the first warms up
        tweets = tmp_path / "t.jsonl"
        with tweets.open("w") as file:
            for n in range(thousands * 1000):
                print(json.dumps(tweet(f"p{thousands}_{n}", f"@p2_{n} " + "x" * 100, NOON + n)), file=file)
        tracemalloc.start()
        load(site, Lines(), None, tweets)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    site.engine.dispose()
    assert peaks[2] < 1.3 * peaks[1]


def test_next_load_completes_a_killed_one(tmp_path, ini, engine, sessions):
    follows = write(tmp_path, "f.txt", [f"{n} {n % 7 + 100}" for n in range(40)])
    tweets = write(tmp_path, "t.jsonl", [tweet(n % 5, f"{n} @u101", NOON + n // 3) for n in range(40)])
    arguments = ["load", ini, "--follows", follows, "--tweets", tweets]
    for commits in (3, 12, 8):  # within a transaction: of users, of follows, of tweets
        assert killed_load(commits, *arguments) == -signal.SIGKILL
        check_counters(engine)
    with sessions() as session:
        assert 0 < len(messages(session)) < 40
    assert main(arguments) == 0
    with sessions() as session:
        assert [message.split()[0] for message in messages(session)] == [str(n) for n in range(40)]
        assert session.scalar(select(func.count()).select_from(Mention)) == 40
        assert session.scalar(select(func.count()).select_from(Relationship)) == 40
    check_counters(engine)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("Stage.check_names", "Nothing was loaded."),
        ("write_tweets", "Rows loaded so far are kept. Run the same command again to complete the load."),
    ],
)
def test_interrupted_load_prints_how_to_continue(tmp_path, sqlite_url, number, step, said):
    program = f"""
import os, sys
from tweeter.bulk import load
from tweeter.cli import main
def interrupted(*arguments):
    os.kill(os.getpid(), {number:d})
load.{step} = interrupted
sys.exit(main(sys.argv[1:]))
"""
    tweets = write(tmp_path, "t.jsonl", [tweet("ann", "x")])
    command = [sys.executable, "-c", program, "load", write_ini(tmp_path, sqlite_url), "--tweets", tweets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-2:] == ["tweeter: interrupted", said]
