"""Lists of people and hashtags: their timelines, on every backend and both databases, and the forms."""

import re
from urllib.parse import quote

import pytest

from tests.support.people import PASSWORD, Browser, Person
from tweeter.services import lists as services


def people(site, *names):
    return [Person(Browser(site), name) for name in names]


def make(person, name="friends", members=(), **fields):
    """Makes a list; its id."""
    made = person.send("/lists", on="/lists", status=303, name=name, **fields)
    id_ = int(re.findall(r"/lists/(\d+)/members$", made.location)[0])
    for member in members:
        change(person, id_, "add", username=member)
    return id_


def change(person, list_id, action, status=303, **fields):
    return person.send(f"/lists/{list_id}/members", on="/lists", status=status, action=action, **fields)


def test_a_list_shows_tweets_and_reposts_of_its_members(site_on_each):
    ada, bob, cat, dan = people(site_on_each, "ada", "bob", "cat", "dan")
    earlier = bob.post("before the list")
    list_id = make(ada, members=["bob", "CAT"])
    url = f"/lists/{list_id}"
    assert ada.ids(url) == [earlier]
    other = dan.post("not on the list")
    tweet = cat.post("hello")
    assert ada.ids(url) == [tweet, earlier]
    cat.send(f"/tweets/{other}/repost")
    assert ada.ids(url) == dan.ids(url) == [other, tweet, earlier]
    assert "reposted" in ada.get(url).text
    change(ada, list_id, "remove", username="cat")
    assert ada.ids(url) == [earlier]
    change(ada, list_id, "add", username="@dan")
    assert ada.ids(url) == [other, earlier]
    bob.send(f"/tweets/{earlier}/delete")
    assert ada.ids(url) == [other]


def test_a_list_hides_whom_its_reader_muted_or_blocked(site_on_each):
    ada, bob, cat = people(site_on_each, "ada", "bob", "cat")
    list_id = make(ada, members=["bob", "cat"])
    url = f"/lists/{list_id}"
    tweet, other = bob.post("of bob"), cat.post("of cat")
    cat.send(f"/tweets/{tweet}/repost")
    assert ada.ids(url) == [tweet, other]
    ada.send("/@cat/mute")
    assert ada.ids(url) == [tweet]
    assert "reposted" not in ada.get(url).text  # the repost is hidden, the tweet is not
    assert bob.ids(url) == [tweet, other]
    ada.send("/@cat/unmute")
    ada.send("/@bob/block")
    assert ada.ids(url) == [other]
    assert "@bob" not in ada.get(f"{url}/members").text
    bob.get(url, status=404)
    assert "You can&#39;t add @bob" in change(ada, list_id, "add", status=400, username="bob").text
    ada.send("/@bob/unblock")
    assert "/avatars/bob" not in ada.get(f"{url}/members").text  # a block ends the membership
    assert ada.ids(url) == [tweet, other]  # cat reposted it


def test_a_list_does_not_say_that_the_reader_follows_its_members(app):
    ada, bob, cat = people(app, "ada", "bob", "cat")
    list_id = make(ada, members=["ada", "bob", "cat"])
    tweet = ada.post("hello")

    def reason(url):
        [line] = re.findall(r'<p class="reason">(.*?)</p>', ada.get(url).text)
        return re.sub("<[^>]+>", "", line)

    for person, shown in ((bob, "bob"), (cat, "cat and 1 other"), (ada, "You and 2 people")):
        person.send(f"/tweets/{tweet}/repost")
        others = " on this list" if " and " in shown else ""
        assert reason(f"/lists/{list_id}") == f"{shown}{others} reposted"
        assert reason(f"/timelines/list?user={list_id}") == f"{shown} reposted"


def test_the_number_of_members_is_that_of_the_members_shown(app):
    ada, bob, cat = people(app, "ada", "bob", "cat")
    list_id = make(ada, members=["bob", "cat"])
    assert "2 members" in ada.get("/lists").text
    bob.send("/settings", action="close", password=PASSWORD, confirm="yes", status=303)
    assert "1 member<" in ada.get("/lists").text
    assert "1 member<" in cat.get("/@ada/lists").text
    assert "@bob" not in ada.get(f"/lists/{list_id}/members").text


def test_a_private_list_is_seen_by_its_owner_only(site_on_each):
    ada, bob = people(site_on_each, "ada", "bob")
    list_id = make(ada, "secret plans", ["bob"], private="yes")
    tweet = bob.post("hello")
    urls = (f"/lists/{list_id}", f"/lists/{list_id}/members", f"/timelines/list?user={list_id}")
    assert ada.ids(urls[0]) == ada.ids(urls[2]) == [tweet]
    for url in (*urls, f"/newer?timeline=list&user={list_id}"):
        ada.get(url)
        for reader in (bob, Person(Browser(site_on_each))):
            assert "secret plans" not in reader.get(url, status=404).text
    assert "secret plans" not in bob.get("/@ada/lists").text
    for action in ("add", "remove", "change", "delete"):
        assert change(bob, list_id, action, status=404, username="bob", name="taken")
    change(ada, list_id, "change", name="open plans")
    assert bob.ids(urls[0]) == [tweet]
    assert "open plans" in bob.get("/@ada/lists").text
    assert change(bob, list_id, "delete", status=403)
    change(ada, list_id, "delete")
    ada.get(urls[0], status=404)
    assert "was deleted" in ada.get("/lists").text
    assert "open plans" not in ada.get("/lists").text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "A list needs a name."),
        ({"name": "\u200b \n"}, "A list needs a name."),
        ({"name": "x" * 51}, "at most 50 characters"),
    ],
)
def test_a_list_with_a_bad_name_is_refused_and_the_form_keeps_the_text(app, fields, said):
    ada = people(app, "ada")[0]
    page = ada.send("/lists", on="/lists", status=400, **fields)
    assert said in page.text
    assert f'value="{fields["name"]}"' in page.text or not fields["name"].strip("\u200b \n")


def test_members_who_do_not_exist_and_unknown_actions_are_refused(app):
    ada = people(app, "ada")[0]
    list_id = make(ada)
    assert "There is no user called nobody" in change(ada, list_id, "add", status=400, username="nobody").text
    for empty in ("", " ", "@"):
        assert "A username is missing." in change(ada, list_id, "add", status=400, username=empty).text
    change(ada, list_id, "destroy", status=400)
    for path in ("/lists/0", "/lists/9999999999999999", "/lists/x"):
        ada.get(path, status=404)


def test_lists_and_members_have_limits(app, monkeypatch):
    monkeypatch.setattr(services, "MOST_LISTS", 2)
    monkeypatch.setattr(services, "MOST_MEMBERS", 1)
    ada, _, _ = people(app, "ada", "bob", "cat")
    list_id = make(ada, members=["bob"])
    assert "has 1 members already" in change(ada, list_id, "add", status=400, username="cat").text
    make(ada, "more")
    assert "You have 2 lists already" in ada.send("/lists", on="/lists", status=400, name="most").text


def test_the_answer_names_a_member_as_their_profile_does(app):
    ada, _ = people(app, "ada", "Bob")
    list_id = make(ada)
    for action, expected in (("add", "@Bob is on “friends” now."), ("remove", "@Bob is not on “friends” any more.")):
        assert expected in change(ada, list_id, action, username=" @bOB ").follow().text


def test_a_profile_leads_to_the_lists_and_puts_its_user_on_them(app):
    ada, bob = people(app, "ada", "bob")
    list_id = make(ada)
    page = ada.get("/@bob").click("Lists", href="/@bob/lists$")
    form = next(form for form in page.forms.values() if form.action.endswith(f"/lists/{list_id}/members"))
    page = form.submit().follow()
    assert "is on “friends” now" in page.text
    form = next(form for form in page.forms.values() if form.action.endswith(f"/lists/{list_id}/members"))
    assert form["action"].value == "remove"
    assert "is not on “friends” any more" in form.submit().follow().text
    assert "friends" in bob.get("/@ada/lists").text


def test_lists_are_exported_and_go_with_the_account(site_on_each):
    ada, bob = people(site_on_each, "ada", "bob")
    list_id = make(ada, "friends", ["bob"], private="yes")
    exported = ada.get("/settings/export.json").json["lists"]
    assert [(each["id"], each["name"], each["private"], each["members"]) for each in exported] == [
        (list_id, "friends", True, ["bob"])
    ]
    open_ = make(ada, "open", ["bob"])
    tweet = bob.post("hello")
    assert bob.ids(f"/lists/{open_}") == [tweet]
    ada.send("/settings", action="close", password="a good password", confirm="yes", status=303)
    bob.get(f"/lists/{open_}", status=404)


def test_members_who_closed_their_account_leave_the_list(site_on_each):
    ada, bob = people(site_on_each, "ada", "bob")
    list_id = make(ada, members=["bob"])
    bob.post("hello")
    bob.send("/settings", action="close", password="a good password", confirm="yes", status=303)
    assert ada.ids(f"/lists/{list_id}") == []
    assert "Nobody is on this list yet" in ada.get(f"/lists/{list_id}/members").text


TAGS = {"#Straße": "STRASSE", "#ΟΔΟΣ": "οδος", "#Привет": "привет", "#日本語": "日本語", "#tag_1": "Tag_1"}


def test_a_tag_finds_tweets_in_any_script_and_case(site_on_each):
    ada, bob = people(site_on_each, "ada", "bob")
    for written, asked in TAGS.items():
        url = f"/tag/{quote(asked)}"
        assert "No tweets with this hashtag yet" in ada.get(url).text
        tweet, later = ada.post(f"one {written} two"), bob.post(f"{written} {written}")
        bob.post(f"{written}er")
        assert ada.ids(url) == [later, tweet]
        link = ada.get("/public").click(f"^{re.escape(written)}$", index=0)
        assert ada.ids(link.request.path) == [later, tweet]
    ada.send("/@bob/mute")
    assert ada.ids(url) == [tweet]
    ada.send(f"/tweets/{tweet}/delete")
    assert ada.ids(url) == []
    assert bob.ids(url) == [later]


@pytest.mark.parametrize("name", ["1", "two words", "a-b", "#", "x" * 101, "%00", "a%2Fb"])
def test_what_is_no_hashtag_has_no_page(app, name):
    Browser(app).get(f"/tag/{name}", status=404)


def test_pages_of_a_tag_neither_repeat_nor_skip_tweets(site_on_each):
    ada = people(site_on_each, "ada")[0]
    tweets = [ada.post(f"{number} #tag") for number in range(7)]
    found, url = [], "/tag/tag?limit=3"
    while url:
        page = ada.get(url)
        found += ada.ids(url)
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        url = older.group(1).replace("&amp;", "&") if older else ""
    assert found == tweets[::-1]
