"""Moderation by the command line: suspended accounts, and deleting anybody's tweet."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from tests.conftest import running, settings_of, write_ini
from tests.support.api import Api
from tests.support.loads import NOON, like, load_follows, load_tweets, repost, tweet
from tests.support.people import Browser, Person
from tweeter.cli import main
from tweeter.db.sessions import begin_immediate
from tweeter.interfaces import IDelivery
from tweeter.models import CounterChange, Tweet, User
from tweeter.services.counters import count_some
from tweeter.services.housekeeping import Housekeeper
from tweeter.services.moderation import Moderation
from tweeter.services.passwords import Passwords
from tweeter.services.people import SUSPENDED
from tweeter.services.recounting import recount_some


@pytest.fixture
def ini(tmp_path, sqlite_url):
    return write_ini(tmp_path, sqlite_url)


@pytest.fixture
def command(site_on_each, ini, capsys):
    """`command("user", "suspend", "bob")`: the exit code and the output without progress, once all is delivered."""

    def command(*words):
        code = main([*words[:2], ini, *words[2:]])
        assert site_on_each.registry.getUtility(IDelivery).drain(20)
        return code, capsys.readouterr().out.strip()

    return command


def test_a_suspended_account_is_as_if_it_never_was_until_it_returns(site_on_each, command):
    ada, bob, cat = (Person(Browser(site_on_each), name) for name in ("ada", "bob", "cat"))
    ada.follow("bob")
    ada.follow("cat")
    tweet = bob.post("word #tag @ada")
    other = cat.post("word #tag @ada")
    reply = cat.post("an answer", tweet)
    cat.send(f"/tweets/{tweet}/repost")
    urls = ("/", "/public", "/mentions", "/search?q=word", "/search?q=%23tag", "/@cat")
    before = {url: ada.ids(url) for url in urls}
    assert all(tweet in shown for shown in before.values())

    assert command("user", "suspend", "BOB") == (0, "Suspended bob.")
    assert command("user", "suspend", "bob") == (0, "bob is suspended already.")
    for _ in range(2):
        assert {url: ada.ids(url) for url in urls} == {
            url: [id_ for id_ in shown if id_ != tweet] for url, shown in before.items()
        }
        assert f"/tweets/{reply}" in ada.get("/").text
    assert SUSPENDED in ada.get("/@bob", status=404).text
    assert "@bob" not in ada.get("/@ada/following").text
    assert "/login" in bob.get("/mentions", status=303).location  # signed out
    refused = bob.sign_in()
    assert (refused.status_int, SUSPENDED in refused.text) == (400, True)
    assert SUSPENDED not in bob.sign_in(password="a wrong one").text  # it tells those who may know

    assert command("user", "unsuspend", "bob") == (0, "bob is not suspended any more.")
    assert command("user", "unsuspend", "bob") == (0, "bob is not suspended.")
    assert {url: ada.ids(url) for url in urls} == before
    assert other in ada.ids("/")
    assert bob.sign_in().status_int == 303


@pytest.mark.parametrize("by_api", [False, True])
def test_a_mute_a_block_and_a_place_on_a_list_can_be_ended_during_a_suspension(site_on_each, command, by_api):
    ada, bob = (Person(Browser(site_on_each), name) for name in ("ada", "bob"))
    api = Api(site_on_each).sign_in("ada")
    bob_id = api.get("/api/v1/accounts/lookup?acct=bob").json["id"]
    list_id = re.findall(r"/lists/(\d+)/", ada.send("/lists", name="friends", status=303).location)[0]
    of_ada, of_bob = ada.post("of ada"), bob.post("of bob")
    ada.send(f"/lists/{list_id}/members", action="add", username="bob", status=303)
    ada.send("/@bob/mute", status=303)
    assert command("user", "suspend", "bob")[0] == 0

    def end(action):
        if by_api:
            related = api.post(f"/api/v1/accounts/{bob_id}/{action}").json
            assert not related[{"unmute": "muting", "unblock": "blocking"}[action]]
        else:
            ada.send(f"/@bob/{action}", status=303)

    for _ in range(2):  # twice is once
        end("unmute")
    if by_api:
        api.request("DELETE", f"/api/v1/lists/{list_id}/accounts?account_ids[]={bob_id}")
    else:
        ada.send(f"/lists/{list_id}/members", action="remove", username="bob", status=303)
    for action in ("follow", "unfollow", "mute", "block"):
        assert SUSPENDED in ada.send(f"/@bob/{action}", status=404).text
        api.post(f"/api/v1/accounts/{bob_id}/{action}", 404)
    assert SUSPENDED in ada.send(f"/lists/{list_id}/members", action="add", username="bob", status=400).text
    assert command("user", "unsuspend", "bob")[0] == 0
    assert of_bob in ada.ids("/public")
    assert ada.ids(f"/lists/{list_id}") == []

    ada.send("/@bob/block", status=303)
    bob.sign_in()
    assert of_ada not in bob.ids("/public")  # a process remembers whom bob does not see
    assert command("user", "suspend", "bob")[0] == 0
    end("unblock")
    assert command("user", "unsuspend", "bob")[0] == 0
    bob.sign_in()
    assert of_ada in bob.ids("/public")
    assert of_bob in ada.ids("/public")


def test_verify_expects_no_repost_of_a_tweet_that_was_just_deleted(site_on_each, command, ini, capsys):
    ada, bob = (Person(Browser(site_on_each), name) for name in ("ada", "bob"))
    ada.follow("bob")
    tweet = ada.post("hello")
    bob.send(f"/tweets/{tweet}/repost", status=303)
    assert command("tweet", "delete", str(tweet))[0] == 0
    for store in ("memory", "table"):
        assert main(["verify", ini, "--store", store, "--all"]) == 0, capsys.readouterr().out


def test_counters_agree_with_lists_while_accounts_are_suspended(site_on_each, command):
    ada, bob, cat, dan = (Person(Browser(site_on_each), name) for name in ("ada", "bob", "cat", "dan"))
    tweet = ada.post("hello")
    for other in (bob, cat, dan):
        other.follow("ada")
        other.post("an answer", tweet)
        other.send(f"/tweets/{tweet}/like")
        other.send(f"/tweets/{tweet}/repost")
        ada.follow(other.username)
    bob.follow("cat")
    api = Api(site_on_each).sign_in("ada")
    ids = {name: api.get(f"/api/v1/accounts/lookup?acct={name}").json["id"] for name in ("ada", "cat")}

    def counted(expected):
        """The counters of pages and API, which are the lengths of the lists."""
        people = {name: f"/api/v1/accounts/{id_}" for name, id_ in ids.items() if name in expected}
        status = api.get(f"/api/v1/statuses/{tweet}").json
        lists = [f"/api/v1/statuses/{tweet}/{name}" for name in ("favourited_by", "reblogged_by")]
        answers = api.get(f"/api/v1/statuses/{tweet}/context").json["descendants"]
        number = len(answers)
        found = [status["replies_count"], status["favourites_count"], status["reblogs_count"]]
        assert found == [number, *(len(api.get(url).json) for url in lists)] == [number] * 3
        with site_on_each.registry.database.sessions() as session:
            rows = session.execute(select(User.username, User.followers_count, User.following_count))
            numbers = {name: [followers, following] for name, followers, following in rows}
        for name, url in people.items():
            assert [len(api.get(f"{url}/{each}").json) for each in ("followers", "following")] == numbers[name]
            shown = ada.get(f"/@{name}").text
            assert f"<strong>{numbers[name][0]}</strong> follower" in shown
        likes = ada.get("/notifications").text
        assert (f"and {number - 1} other" in likes) == (number > 1)
        return number, *(numbers[name][0] for name in people)

    both = ("ada", "cat")
    assert counted(both) == (3, 3, 2)
    assert command("user", "suspend", "bob")[0] == 0
    assert counted(both) == (2, 2, 1)
    assert command("user", "suspend", "cat")[0] == 0
    assert counted(("ada",)) == (1, 1)
    assert command("user", "unsuspend", "bob")[0] == 0
    assert counted(("ada",)) == (2, 2)
    bob.sign_in()
    bob.send(f"/tweets/{tweet}/unlike")
    bob.send(f"/tweets/{tweet}/like")
    assert command("user", "close", "cat", "--yes")[0] == 0
    assert counted(("ada",)) == (2, 2)
    assert command("user", "suspend", "dan")[0] == command("user", "unsuspend", "dan")[0] == 0
    assert counted(("ada",)) == (2, 2)


@pytest.mark.parametrize("chunks", [0, 1, 3, 6])
def test_what_a_killed_command_left_is_finished_by_any_process(sessions, chunks):
    """And what a load adds for a suspended account is not counted either."""
    passwords = Passwords(1, 8)

    def counters():
        with sessions() as session:
            (ada,) = session.scalars(select(User).where(User.username == "ada"))
            assert count_some(session) >= 0
            (tweet,) = session.scalars(select(Tweet).where(Tweet.id == hello))
            session.commit()
            return ada.followers_count, ada.following_count, tweet.replies_count, tweet.reposts_count, tweet.likes_count

    def moderate(verb):
        with sessions.begin() as session:
            begin_immediate(session)
            assert getattr(Moderation(session, passwords, 140), verb)(bob)
        for _ in range(chunks):
            with sessions.begin() as session:
                begin_immediate(session)
                recount_some(session, 1)

    def tidy():
        Housekeeper(sessions, timedelta(hours=24)).tidy()

    with sessions.begin() as session:
        begin_immediate(session)
        actions = Moderation(session, passwords, 140)
        ada, bob = (actions.sign_up(name, "password").id for name in ("ada", "bob"))
        hello = actions.post(ada, "hello").id
        actions.follow(ada, "bob")
        actions.follow(bob, "ada")
        actions.like(bob, hello)
        actions.repost(bob, hello)
        actions.post(bob, "an answer", hello)
    assert counters() == (1, 1, 1, 1, 1)
    moderate("suspend")
    tidy()
    assert counters() == (0, 0, 0, 0, 0)
    moderate("unsuspend")
    moderate("suspend")
    tidy()
    assert counters() == (0, 0, 0, 0, 0)
    moderate("unsuspend")
    tidy()
    assert counters() == (1, 1, 1, 1, 1)
    with sessions() as session:
        assert not session.get(User, bob).closed


def test_a_load_counts_no_rows_of_suspended_accounts(tmp_path, database_url, sessions):
    ini = write_ini(tmp_path, database_url)
    assert load_tweets(tmp_path, ini, tweet("ada", "hello", id=1), tweet("bob", "hi", NOON + 1, id=2)) == 0
    assert main(["user", "suspend", ini, "bob"]) == 0
    lines = [
        tweet("bob", "answer", NOON + 2, id=3, parent=1), tweet("cat", "too", NOON + 3, id=4, parent=1),
        repost("bob", 1, NOON + 4, id=5), like("bob", 1, NOON + 5), like("cat", 1, NOON + 6),
    ]  # fmt: skip
    assert load_tweets(tmp_path, ini, *lines, name="more.jsonl") == 0
    assert load_follows(tmp_path, ini, "bob ada", "cat ada") == 0

    def counters():
        Housekeeper(sessions, timedelta(hours=24)).tidy()
        with sessions() as session:
            (hello,) = session.scalars(select(Tweet).where(Tweet.message == "hello"))
            columns = CounterChange.likes, CounterChange.reposts
            likes, reposts = session.execute(select(*(func.coalesce(func.sum(each), 0) for each in columns))).one()
            (followers,) = session.scalars(select(User.followers_count).where(User.username == "ada"))
            return followers, hello.replies_count, hello.likes_count + likes, hello.reposts_count + reposts

    assert counters() == (1, 1, 1, 0)
    assert main(["user", "unsuspend", ini, "bob"]) == 0
    assert counters() == (2, 2, 2, 1)


def test_anybodys_tweet_is_deleted_and_a_repost_undone(site_on_each, command):
    ada, bob = (Person(Browser(site_on_each), name) for name in ("ada", "bob"))
    ada.follow("bob")
    tweet = bob.post("hello")
    bob.send(f"/tweets/{tweet}/repost")
    with site_on_each.registry.database.sessions() as session:
        repost = session.scalar(select(Tweet.id).where(Tweet.repost_of_id == tweet))
    said = "Undid the repost by bob. The tweet of bob stays: hello"
    assert command("tweet", "delete", str(repost)) == (0, said)
    assert "reposted" not in ada.get("/").text
    assert command("tweet", "delete", str(tweet)) == (0, "Deleted the tweet of bob: hello")
    assert ada.ids("/") == ada.ids("/public") == []
    with site_on_each.registry.database.sessions() as session:
        assert session.scalar(select(User.tweets_count).where(User.username == "bob")) == 0


@pytest.mark.parametrize("words", [
    ("user", "suspend", "nobody"), ("user", "suspend", "no body"), ("tweet", "delete", "7"), ("tweet", "delete", "x"),
    ("tweet", "delete", "-1"), ("tweet", "delete", "99999999999999999999"), ("tweet", "delete", "٣"),
])  # fmt: skip
def test_what_is_not_there_is_a_clear_error(ini, capsys, words):
    try:
        code: object = main([*words[:2], ini, words[2]])
    except SystemExit as end:  # argparse takes -1 for an option
        code = end.code
    assert code in (1, 2)
    assert capsys.readouterr().err


def test_a_token_ends_with_the_suspension(sqlite_url, ini, capsys):
    with running(settings_of(sqlite_url)) as app:
        Person(Browser(app), "ada")
        api = Api(app).sign_in("ada")
        assert api.get("/api/v1/accounts/verify_credentials").json["username"] == "ada"
        assert main(["user", "suspend", ini, "ada"]) == 0
        api.get("/api/v1/accounts/verify_credentials", 401)
