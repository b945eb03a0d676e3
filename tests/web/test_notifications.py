"""The page of notifications, the unread number on its tab, and the choice of what notifies, on both databases."""

import json
import re

import pytest

from tests.support.people import Person
from tweeter.services.actions import acting

LIKE, STRANGERS = 2, 5  # check boxes of the settings


@pytest.fixture
def cat(visitor):
    return Person(visitor(), "cat")


def notices(page):
    """The words of each notice of a page, without its time."""
    found = re.findall(r'<span class="notice-words">(.*?)</span>\s*<time', page.text, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]*>", "", words).split()) for words in found]


def unread(person, url="/public"):
    """The number on the tab; empty without one."""
    [tab] = re.findall(r'<a href="/notifications".*?</a>', person.get(url).text, re.DOTALL)
    number = re.search(r'class="number">([^<]*)<', tab)
    return number[1] if number else ""


def choices(person):
    """The form of the settings that chooses what notifies."""
    return next(form for form in person.get("/settings").forms.values() if "notifies" in form.fields)


def act(person, *path):
    return person.send("/" + "/".join(map(str, path)), status=303)


def test_each_kind_notifies_and_is_counted_until_the_page_shows_it(ada, bob):
    tweet = ada.post("first")
    bob.post("a reply, @ada", tweet)
    bob.post("hello @ada")
    for name in ("like", "repost"):
        act(bob, "tweets", tweet, name)
    bob.follow("Ada")
    assert unread(ada) == "5"
    page = ada.get("/notifications")
    assert notices(page) == [
        "bob followed you, unread", "bob reposted your tweet, unread", "bob liked your tweet, unread",
        "bob mentioned you, unread", "bob replied to you, unread",
    ]  # fmt: skip
    assert page.text.count("first") == 2
    assert "a reply, " in page.text
    assert unread(ada, "/notifications") == ""
    assert notices(ada.get("/notifications"))[0] == "bob followed you"
    assert unread(bob) == ""


def test_likes_of_one_tweet_are_one_notice_of_the_newest_and_the_number_of_others(ada, bob, cat):
    first, second = ada.post("first"), ada.post("second")
    act(bob, "tweets", first, "like")
    act(cat, "tweets", second, "like")
    act(cat, "tweets", first, "like")
    assert notices(ada.get("/notifications")) == [
        "cat and 1 other liked your tweet, unread",
        "cat liked your tweet, unread",
    ]
    act(cat, "tweets", first, "unlike")
    assert notices(ada.get("/notifications")) == ["cat liked your tweet", "bob liked your tweet"]


def test_pages_lead_to_older_notices_and_repeat_none(ada, bob):
    for number in range(5):
        bob.post(f"@ada {number}")
    page, seen = ada.get("/notifications?limit=2"), []
    while True:
        seen += re.findall(r"</a></bdi> (\d)</span>", page.text)
        if 'rel="next"' not in page.text:
            break
        page = page.click("Older")
    assert seen == ["4", "3", "2", "1", "0"]
    assert "Older" not in page.text


def test_undo_and_delete_remove_the_notice(ada, bob):
    tweet = ada.post("first")
    reply = bob.post("reply", tweet)
    for name in ("like", "repost"):
        act(bob, "tweets", tweet, name)
    bob.follow("Ada")
    for path in (f"tweets/{tweet}/unlike", f"tweets/{tweet}/unrepost", "@Ada/unfollow", f"tweets/{reply}/delete"):
        act(bob, path)
    assert unread(ada) == ""
    assert "No notifications yet." in ada.get("/notifications")


def test_a_mute_hides_notices_and_its_end_shows_them_again(ada, bob):
    bob.post("hello @ada")
    act(ada, "@bob", "mute")
    bob.post("not now @ada")
    assert unread(ada) == ""
    assert notices(ada.get("/notifications")) == []
    act(ada, "@bob", "unmute")
    assert unread(ada) == "1"
    act(bob, "@Ada", "block")
    assert unread(ada) == ""


def test_settings_choose_what_notifies(ada, bob, cat):
    tweet = ada.post("first")
    act(bob, "tweets", tweet, "like")
    bob.follow("Ada")
    form = choices(ada)
    assert all(box.checked for box in form.fields["notifies"])
    form.set("notifies", False, index=LIKE)
    form.submit(status=303)
    assert notices(ada.get("/notifications")) == ["bob followed you, unread"]
    act(cat, "tweets", tweet, "like")
    assert unread(ada) == ""
    ada.follow("cat")
    form = choices(ada)
    form.set("notifies", True, index=LIKE)
    form.set("notifies", False, index=STRANGERS)
    form.submit(status=303)
    cat.post("hello @ada")
    bob.post("hello @ada")
    assert unread(ada) == "1"
    assert notices(ada.get("/notifications")) == ["cat mentioned you, unread"]
    ada.send("/settings", action="notifies", notifies="everything", status=400)


def test_more_than_99_are_shown_as_99_plus(app, ada, bob):
    def post(many):
        with acting(app.registry) as actions:
            him = actions.find("bob").id
            for number in range(many):
                actions.post(him, f"@ada {number}")

    post(99)
    assert unread(ada) == "99"
    post(20)
    assert unread(ada) == "99+"
    ada.get("/notifications")
    assert unread(ada) == ""


def test_the_number_takes_no_further_statement(ada, bob):
    def statements():
        return re.findall(r'desc="(\d+) quer', ada.get("/public").headers["Server-Timing"])

    bob.post("hello everybody")
    statements()  # warm
    before = statements()
    assert len(before) == 1
    bob.post("hello @ada")
    assert unread(ada) == "1"
    assert statements() == before


def test_a_page_fetched_in_advance_stays_unread(ada, bob):
    bob.post("hello @ada")
    ada.get("/notifications", headers={"Sec-Purpose": "prefetch"})
    ada.browser.head("/notifications")
    assert unread(ada) == "1"


def test_signed_out_readers_are_sent_to_the_sign_in_page(testapp):
    assert "/login" in testapp.get("/notifications", status=303).location
    assert "/notifications" not in testapp.get("/public").text


def test_export_contains_notifications_and_what_notifies(ada, bob):
    tweet = ada.post("first")
    act(bob, "tweets", tweet, "like")
    bob.follow("Ada")
    found = json.loads(ada.get("/settings/export.json").body)
    assert [(each["kind"], each["username"], each.get("tweet_id")) for each in found["notifications"]] == [
        ("follow", "bob", None), ("like", "bob", tweet)
    ]  # fmt: skip
    assert found["profile"]["notifies"] == ["reply", "mention", "like", "repost", "follow", "strangers"]
