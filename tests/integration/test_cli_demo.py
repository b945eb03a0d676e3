"""`tweeter demo`: a reproducible sample site that never changes existing rows."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.conftest import write_ini
from tests.support.loads import check_counters, make_site
from tweeter import ids
from tweeter.cli import main
from tweeter.cli.demo import make_demo, world
from tweeter.errors import TweeterError
from tweeter.models import Like, Mention, OutboxEvent, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.services.passwords import Passwords
from tweeter.text import USERNAME, clean_message, count_characters, segments

MORNING = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


@pytest.fixture
def ini(tmp_path: Path, database_url: str) -> str:
    return write_ini(tmp_path, database_url)


@pytest.fixture
def site(database_url: str):
    site = make_site(database_url)
    yield site
    site.engine.dispose()


def rows(sessions: Any) -> tuple[Any, ...]:
    """All visible rows as text."""
    with sessions() as session:
        name = {user.id: user.username for user in session.scalars(select(User))}
        return (
            [
                (u.username, u.display_name, u.bio, u.followers_count, u.following_count, bool(u.password_hash))
                for u in session.scalars(select(User).order_by(User.id))
            ],
            {(name[r.from_user_id], name[r.to_user_id]) for r in session.scalars(select(Relationship))},
            [
                (t.id, name[t.user_id], t.message, t.date, t.parent_id)
                for t in session.scalars(select(Tweet).order_by(Tweet.id))
            ],
        )


def test_demo_has_users_follows_tweets_and_replies(ini, engine, sessions, capsys):
    assert main(["demo", ini]) == 0
    assert "Sign in as demo with the password demodemo" in capsys.readouterr().out
    with sessions() as session:
        people = session.scalars(select(User)).all()
        assert 250 < len(people) < 400
        assert all(USERNAME.fullmatch(person.username) for person in people)
        tweets = session.scalars(select(Tweet).where(Tweet.repost_of_id.is_(None)).order_by(Tweet.id)).all()
        assert 3000 < len(tweets) < 6000
        reposts = session.scalars(select(Tweet).where(Tweet.repost_of_id.is_not(None))).all()
        likes = session.scalars(select(Like)).all()
        assert len(reposts) > 800
        assert len(likes) > 3000
        for counted, acts in (("reposts_count", [(row.id, row.repost_of_id) for row in reposts]),
                              ("likes_count", [(row.id, row.tweet_id) for row in likes])):  # fmt: skip
            assert all(id_ > tweet_id for id_, tweet_id in acts)
            counts = Counter(tweet_id for _, tweet_id in acts)
            assert {tweet.id: number for tweet in tweets if (number := getattr(tweet, counted))} == counts
        assert all(tweet.date == ids.date_of(tweet.id) for tweet in tweets)
        assert now() - timedelta(minutes=30) < tweets[-1].date <= now()
        assert now() - timedelta(days=7) < tweets[0].date
        texts = [tweet.message for tweet in tweets]
        assert len(set(texts)) == len(texts)
        assert all(text == clean_message(text) and count_characters(text) <= 140 for text in texts)
        assert not any("{" in text or "}" in text for text in texts)
        links = {segment.value for text in texts for segment in segments(text) if segment.kind == "link"}
        assert all(link.startswith("https://example.org/") for link in links)
        by_id = {tweet.id: tweet for tweet in tweets}
        depth = {}
        for tweet in tweets:
            depth[tweet.id] = depth[tweet.parent_id] + 1 if tweet.parent_id else 0
            assert tweet.parent_id is None or by_id[tweet.parent_id].date < tweet.date
        assert max(depth.values()) >= 4
        assert sum(level > 0 for level in depth.values()) > 800
        demo = next(person for person in people if person.username == "demo")
        assert demo.following_count == 40
        assert demo.followers_count > 20
        assert demo.tweets_count > 4
        assert session.scalar(select(func.count()).where(Mention.user_id == demo.id)) > 5
        assert Passwords(1, 8).check(demo.password_hash, "demodemo")
        assert {person.username for person in people if person.password_hash} == {"demo"}
        followers = sorted((person.followers_count for person in people), reverse=True)
        assert followers[0] > 10 * followers[len(followers) // 2]
        assert session.scalars(select(OutboxEvent.payload)).all() == ['{"type":"Reloaded"}']
    check_counters(engine)


def test_second_run_changes_nothing(ini, sessions, capsys):
    assert main(["demo", ini]) == 0
    before = rows(sessions)
    assert main(["demo", ini]) == 0
    assert "exists already" in capsys.readouterr().out
    assert rows(sessions) == before


def test_two_runs_on_one_day_make_the_same(site, sqlite_template, tmp_path):
    make_demo(site, MORNING)
    people, follows, tweets = rows(site.sessions)
    copy = tmp_path / "other.sqlite"
    copy.write_bytes(sqlite_template.read_bytes())
    other = make_site(f"sqlite:///{copy}")
    make_demo(other, MORNING + timedelta(hours=3))
    people_then, follows_then, tweets_then = rows(other.sessions)
    other.engine.dispose()
    assert people_then == people
    assert follows_then == follows
    assert tweets_then[: len(tweets)] == tweets
    assert len(tweets_then) > len(tweets)


def test_accounts_and_tweets_of_other_users_are_kept(site, acting, engine, sessions):
    with acting() as actions:
        taken = actions.sign_up("otter_facts", "a good password", "Not the otters").id
        demo = actions.sign_up("DEMO", "a good password").id
        actions.follow(taken, "demo")
        mine = actions.post(demo, "mine").id
    told = make_demo(site, now())
    assert "The account demo existed already" in told
    with sessions() as session:
        assert session.get_one(User, taken).display_name == "Not the otters"
        user = session.get_one(User, demo)
        assert (user.tweets_count, user.followers_count, user.following_count) == (1, 1, 0)
        assert Passwords(1, 8).check(user.password_hash, "a good password")
        assert session.get_one(Tweet, mine).message == "mine"
        assert session.scalar(select(func.count()).where(Mention.user_id.in_([taken, demo]))) == 0
        assert (
            session.scalars(select(User).where(User.username == "otter_facts_2")).one().display_name.startswith("Otter")
        )
    check_counters(engine)
    before = rows(sessions)
    assert "exists already" in make_demo(site, now())
    assert rows(sessions) == before


def test_taken_ids_are_not_reused(site, sessions):
    midnight = MORNING.replace(hour=0, minute=0)
    posts = world.make_world(set(), "demo").posts
    start = round(midnight.timestamp() * 1000) - (world.DAYS - 1) * 24 * world.HOUR
    taken = [ids.first_id_of_ms(start + post.time) for post in posts[:3]]
    with sessions.begin() as session:
        session.add(User(username="ann", username_key="ann", display_name="Ann", tweets_count=6))
        session.flush()
        user_id = session.scalars(select(User.id)).one()
        for id_ in [id_ + n for id_ in taken for n in (0, 1)]:
            session.add(Tweet(id=id_, user_id=user_id, message="mine", date=ids.date_of(id_)))
    make_demo(site, MORNING)
    with sessions() as session:
        assert session.scalar(select(func.count()).where(Tweet.message == "mine")) == 6
        assert session.scalar(select(Tweet.message).where(Tweet.id == taken[0] + 2)) == posts[0].text


def test_account_name_comes_from_the_setting(tmp_path, sqlite_url, capsys):
    ini = Path(write_ini(tmp_path, sqlite_url))
    ini.write_text(ini.read_text() + "tweeter.demo_account = guest letmeinplease\n")
    assert main(["demo", str(ini)]) == 0
    assert "Sign in as guest with the password letmeinplease" in capsys.readouterr().out


@pytest.mark.parametrize("account", ["demo", "demo short", "demo a b", "d-mo demodemo"])
def test_invalid_account_name_is_refused(sqlite_url, account):
    site = make_site(sqlite_url)
    with pytest.raises(TweeterError):
        make_demo(site._replace(settings=site.settings | {"tweeter.demo_account": account}), now())
    site.engine.dispose()


def test_production_warns_about_the_public_password(site):
    told = make_demo(site._replace(settings=site.settings | {"tweeter.production": True}), now())
    assert "demodemo" not in told
    assert "tweeter user password" in told


def test_missing_tables_are_reported_with_the_remedy(tmp_path, empty_url, capsys):
    assert main(["demo", write_ini(tmp_path, empty_url)]) == 1
    assert "upgrade head" in capsys.readouterr().err
