"""Mutes and blocks on the pages and in the API, on every backend: effective at the next page."""

import json
import re

import pytest

from tests.conftest import running, settings_of
from tests.support.api import Api
from tests.support.people import Browser, Person
from tweeter import measure
from tweeter.services.people import find_user
from tweeter.web.viewers import HiddenAuthors


@pytest.fixture
def app(sqlite_url):
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "memory"}) as app:
        yield app


def three(app):
    return [Person(Browser(app), name) for name in ("ada", "bob", "cat")]


def act(person, action, other, status=303):
    return person.send(f"/@{other}/{action}", status=status)


def ids_of(text):
    return [int(id_) for id_ in re.findall(r' data-tweet-id="(\d+)"', text)]


def places(person, root):
    """The ids of the tweets on each page that lists tweets of several authors."""
    urls = ("/", "/public", "/mentions", "/search?q=%23tag", "/search?q=word", f"/tweets/{root}", "/timelines/public")
    return {url: person.ids(url) for url in urls}


def without(shown, *ids):
    return {url: [id_ for id_ in found if id_ not in ids] for url, found in shown.items()}


def test_mute_takes_effect_on_the_next_page_everywhere_and_ends_with_the_unmute(site_on_each):
    ada, bob, cat = three(site_on_each)
    ada.follow("bob")
    ada.follow("cat")
    root = ada.post("the beginning")
    reply = bob.post("word #tag @ada", root)
    below = cat.post("an answer", reply)
    other = cat.post("word #tag @ada", root)
    everything = places(ada, root)
    assert all(reply in found and other in found for found in everything.values())
    act(ada, "mute", "bob")
    assert places(ada, root) == without(everything, reply)
    assert reply in bob.ids("/public")  # bob does not notice
    assert reply in ada.ids("/@bob")
    assert f"/tweets/{reply}" in ada.get(f"/tweets/{reply}").text
    assert ada.ids(f"/tweets/{below}") == [root, below]  # without the muted ancestor
    newer = bob.post("word #tag @ada again", root)
    assert places(ada, root) == without(everything, reply)
    act(ada, "unmute", "bob")
    assert all({reply, newer} <= set(found) for found in places(ada, root).values())


@pytest.mark.parametrize("blocker", [0, 1])
def test_block_hides_each_from_the_other_on_the_next_page_everywhere(site_on_each, blocker):
    people = ada, bob, cat = three(site_on_each)
    for one in people:
        for other in people:
            if one is not other:
                one.follow(other.username)
    root = cat.post("the beginning @ada @bob")
    of_ada, of_bob = ada.post("word #tag @bob", root), bob.post("word #tag @ada", root)
    before = {one: places(one, root) for one in people}
    one, other = (ada, bob) if blocker == 0 else (bob, ada)
    act(one, "block", other.username)
    assert places(ada, root) == without(before[ada], of_bob)
    assert places(bob, root) == without(before[bob], of_ada)
    assert places(cat, root) == before[cat]
    for reader, author, tweet in ((ada, bob, of_bob), (bob, ada, of_ada)):
        said = f"You blocked @{author.username}" if reader is one else f"@{author.username} blocked you"
        for url in (f"/@{author.username}", f"/tweets/{tweet}"):
            page = reader.get(url)
            assert said in page.text
            assert tweet not in ids_of(page.text)
            assert "word #tag" not in page.text
    act(one, "unblock", other.username)
    assert of_bob in ada.ids("/mentions")
    assert of_bob in ada.ids("/public")
    assert of_bob not in ada.ids("/")  # the follow has ended


def test_blocked_people_cannot_follow_reply_or_mention_in_both_directions(app):
    ada, bob, _ = three(app)
    ada.follow("bob")
    bob.follow("ada")
    tweets = {"ada": ada.post("of ada"), "bob": bob.post("of bob")}
    act(ada, "block", "bob")
    counts = re.compile(r"<strong>(\d+)</strong> (?:following|followers?)")
    assert counts.findall(ada.get("/@ada").text) == counts.findall(bob.get("/@bob").text) == ["0", "0"]
    for one, other, reason in ((ada, "bob", "you blocked them"), (bob, "ada", "they blocked you")):
        refused = one.send(f"/@{other}/follow", status=400)
        assert reason in refused.text
        reply = one.send("/tweets", message="an answer", parent_id=str(tweets[other]), status=400)
        assert reason in reply.text
        assert "an answer" in reply.text  # the text is not lost
        one.post(f"hello @{other}")
    assert ada.ids("/mentions") == bob.ids("/mentions") == []
    act(ada, "unblock", "bob")
    assert ada.ids("/mentions") == bob.ids("/mentions") == []  # they were not recorded
    bob.follow("ada")
    assert bob.post("welcome", tweets["ada"]) in ada.ids("/public")


@pytest.mark.parametrize("action", ["mute", "block"])
def test_hidden_people_are_not_suggested_and_not_listed_among_those_who_like_a_tweet(app, action):
    ada, bob, cat = three(app)
    tweet = cat.post("hello")
    bob.post("hello from bob")
    for act_ in ("like", "repost"):
        bob.send(f"/tweets/{tweet}/{act_}")
    places = (f"/tweets/{tweet}/likes", f"/tweets/{tweet}/reposts", "/suggestions")
    for place in places:
        assert "/avatars/bob" in ada.get(place).text
    act(ada, action, "bob")
    for place in places:
        assert "/avatars/bob" not in ada.get(place).text
    assert "/avatars/bob" in cat.get(places[0]).text


def test_pages_offer_no_button_to_follow_blocked_people(app):
    ada, bob, _ = three(app)
    for one in (ada, bob):
        one.follow("cat")
    urls = ("/search?q=bob", "/@cat/followers")
    for url in urls:
        assert 'action="/@bob/follow"' in ada.get(url).text
    ada.send("/@bob/mute")
    for url in urls:
        assert 'action="/@bob/follow"' in ada.get(url).text
    bob.send("/@ada/block")
    for url in urls:
        assert "@bob" in ada.get(url).text
        assert 'action="/@bob/follow"' not in ada.get(url).text


def test_a_mute_and_two_blocks_end_independently(app):
    ada, bob, _ = three(app)
    tweet = bob.post("hello")
    for person, action in ((ada, "mute"), (ada, "block"), (bob, "block"), (ada, "block"), (ada, "mute")):
        act(person, action, "bob" if person is ada else "ada")
    for person, action in ((ada, "unblock"), (ada, "unblock"), (bob, "unblock")):
        assert tweet not in ada.ids("/public")
        act(person, action, "bob" if person is ada else "ada")
    assert tweet not in ada.ids("/public")  # the mute remains
    assert ada.ids("/@bob") == [tweet]
    act(ada, "unmute", "bob")
    assert tweet in ada.ids("/public")


def test_nobody_can_mute_or_block_themselves_or_a_stranger(app):
    ada, _, _ = three(app)
    for action in ("mute", "block"):
        assert f"You can&#39;t {action} yourself." in act(ada, action, "ada", 400).text
    for action in ("mute", "unmute", "block", "unblock"):
        act(ada, action, "nobody", 404)
        assert Browser(app).post(f"/@bob/{action}").location.startswith("/login")


def test_lists_have_muted_and_blocked_people_with_their_undo(app):
    ada, bob, _ = three(app)
    act(ada, "mute", "bob")
    act(ada, "block", "cat")
    assert "/settings/muted" in ada.get("/settings").text
    for url, undo, listed, other in (("muted", "unmute", "bob", "cat"), ("blocked", "unblock", "cat", "bob")):
        page = ada.get(f"/settings/{url}").text
        assert f"/@{listed}/{undo}" in page
        assert f"/@{other}/" not in page
        ada.send(f"/@{listed}/{undo}", next=f"/settings/{url}", status=303)
        assert f"/@{listed}/{undo}" not in ada.get(f"/settings/{url}").text
    assert "You mute nobody." in bob.get("/settings/muted").text


def test_profile_has_a_menu_that_works_without_scripts(app):
    ada, bob, _ = three(app)
    act(ada, "mute", "bob")
    page = ada.get("/@bob")
    assert re.search(r"<details.*/@bob/unmute.*/@bob/block.*</details>", page.text, re.DOTALL)
    assert "/@bob/block" not in bob.get("/@bob").text
    assert "/@bob/block" not in Browser(app).get("/@bob").text


def test_export_has_muted_and_blocked_people(app):
    ada, _, _ = three(app)
    act(ada, "mute", "bob")
    act(ada, "block", "cat")
    export = json.loads(ada.get("/settings/export.json").text)
    assert (export["muted"], export["blocked"]) == (["bob"], ["cat"])


def test_public_page_of_each_reader_is_their_own(app):
    ada, bob, cat = three(app)
    tweet = bob.post("hello")
    pages = [person.ids("/public") for person in (ada, cat)]
    act(ada, "mute", "bob")
    assert tweet not in ada.ids("/public")
    assert tweet in cat.ids("/public")
    assert tweet in ids_of(Browser(app).get("/public").text)
    assert pages == [[tweet], [tweet]]


def test_polls_do_not_count_hidden_tweets(app):
    ada, bob, _ = three(app)
    act(ada, "mute", "bob")
    bob.post("hello")
    assert ada.get("/newer?timeline=public&since=0").json == {"count": 0}
    act(ada, "block", "bob")
    assert ada.get(f"/newer?timeline=profile&user={id_of(app, 'bob')}&since=0").json == {"count": 0}


def test_closed_account_leaves_no_mutes_and_blocks(app):
    ada, bob, _ = three(app)
    act(ada, "mute", "bob")
    act(ada, "block", "bob")
    act(bob, "block", "cat")
    bob.send("/settings", action="close", password="a good password", confirm="yes")
    app.registry["housekeeper"].wake(20)
    with app.registry.database.sessions() as session:
        for table in ("mutes", "blocks", "hidden"):
            assert session.connection().exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() == 0
    assert "/@bob" not in ada.get("/settings/blocked").text


# the API


def test_api_mutes_and_blocks(app):
    for name in ("ada", "bob"):
        Person(Browser(app), name)
    api, other = Api(app).sign_in("ada"), Api(app).sign_in("bob")
    status = other.toot("hello #tag")
    bob = status["account"]["id"]
    related = "/api/v1/accounts/relationships?id[]=" + bob

    def shown():
        urls = ("/api/v1/timelines/public", "/api/v1/timelines/tag/tag")
        return [[each["id"] for each in api.get(url).json] for url in urls]

    everything = shown()
    assert everything == [[status["id"]], [status["id"]]]
    for action, undo, listed, flag in (
        ("mute", "unmute", "mutes", "muting"), ("block", "unblock", "blocks", "blocking"),
    ):  # fmt: skip
        assert api.post(f"/api/v1/accounts/{bob}/{action}").json[flag] is True
        assert api.get(related).json[0][flag] is True
        assert [account["id"] for account in api.get(f"/api/v1/{listed}").json] == [bob]
        assert shown() == [[], []]
        visible = 200 if action == "mute" else 404
        assert api.request("GET", f"/api/v1/statuses/{status['id']}", "*").status_int == visible
        of_account = api.get(f"/api/v1/accounts/{bob}/statuses").json
        assert len(of_account) == (1 if action == "mute" else 0)
        assert other.get("/api/v1/timelines/public").json != []
        assert api.post(f"/api/v1/accounts/{bob}/{undo}").json[flag] is False
        assert api.get(f"/api/v1/{listed}").json == []
        assert shown() == everything


# the cache of hidden authors


def test_hidden_authors_are_read_once_per_version_and_the_least_used_are_forgotten(app):
    ada, bob, _ = three(app)
    for one in (ada, bob):
        act(one, "mute", "cat")
    me, other, hidden = (id_of(app, name) for name in ("ada", "bob", "cat"))
    authors = HiddenAuthors(app.registry.database.statements, most=3)
    for viewer, version, expected in (
        (me, 5, 1), (me, 5, 0), (me, 6, 1), (other, 5, 1), (me, 6, 1), (other, 5, 1), (other, 5, 0), (me, 0, 0)
    ):  # fmt: skip
        with measure.measuring() as meter:
            assert authors.of(viewer, version) == (frozenset({hidden}) if version else frozenset())
        assert meter.sql == expected


def id_of(app, username):
    with app.registry.database.sessions() as session:
        user = find_user(session, username)
        assert user
        return user.id
