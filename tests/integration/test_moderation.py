"""Moderation by the command line: suspended accounts, and deleting anybody's tweet."""

import re

import pytest
from sqlalchemy import select

from tests.conftest import running, settings_of, write_ini
from tests.support.api import Api
from tests.support.people import Browser, Person
from tweeter.cli import main
from tweeter.interfaces import IDelivery
from tweeter.models import Tweet, User
from tweeter.services.people import SUSPENDED


@pytest.fixture
def ini(tmp_path, sqlite_url):
    return write_ini(tmp_path, sqlite_url)


@pytest.fixture
def command(site_on_each, ini, capsys):
    """`command("user", "suspend", "bob")`: the exit code and what the command prints, once all is delivered."""

    def command(*words):
        code = main([*words[:2], ini, *words[2:]])
        assert site_on_each.registry.getUtility(IDelivery).drain(20)
        said = capsys.readouterr()
        return code, (said.out + said.err).strip()

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
