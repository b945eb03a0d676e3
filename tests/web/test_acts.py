"""Reposts and likes on pages, without JavaScript."""

import re
from collections.abc import Callable

import pytest
import webtest

from tests.support.people import PASSWORD, Person

ACTS = [("repost", "unrepost", "Repost", "Undo repost"), ("like", "unlike", "Like", "Unlike")]


def button(page: webtest.TestResponse, tweet: int, name: str) -> str:
    """The button's path, whether it is pressed, and its text for screen readers."""
    found = re.search(
        rf'<button class="act \w+" form="act" formaction="/tweets/{tweet}/({name})" aria-pressed="(\w+)">(.*?)</b',
        page.text,
    )
    return f"{found[2]} {re.sub('<[^>]+>', '', found[3])}" if found else ""


def act(
    person: Person, name: str, tweet: int, status: int = 303, headers: dict[str, str] | None = None
) -> webtest.TestResponse:
    url, fields = f"/tweets/{tweet}/{name}", {"csrf_token": person.token()}
    return person.browser.post(url, fields, status=status, headers=headers or {})


@pytest.mark.parametrize(("do", "undo", "name", "opposite"), ACTS)
def test_one_button_and_its_undo(ada: Person, bob: Person, do: str, undo: str, name: str, opposite: str) -> None:
    tweet = ada.post("hello")
    assert button(bob.get(f"/tweets/{tweet}"), tweet, do) == f"false {name}"
    for _ in range(2):  # twice is once
        assert act(bob, do, tweet).location == f"/tweets/{tweet}#tweet-{tweet}"
        assert button(bob.get(f"/tweets/{tweet}"), tweet, undo) == f"true {opposite}1 {do}"
    page = bob.get("/search?q=hello")
    assert button(page, tweet, undo) == f"true {opposite}1 {do}"
    assert button(ada.get(f"/tweets/{tweet}"), tweet, do) == f"false {name}1 {do}"
    act(ada, do, tweet)
    assert button(bob.get(f"/tweets/{tweet}"), tweet, undo) == f"true {opposite}2 {do}s"
    for _ in range(2):
        act(bob, undo, tweet)
        assert button(bob.get(f"/tweets/{tweet}"), tweet, do) == f"false {name}1 {do}"


def test_a_button_leads_back_to_the_page_with_the_tweet(ada: Person) -> None:
    tweet = ada.post("hello")
    own = f"/tweets/{tweet}"
    for came, leads in (
        ("http://localhost/", "/"),
        ("http://localhost/search?q=a%20b&before=9", "/search?q=a%20b&before=9"),
        ("http://localhost/tweets", own),  # only shows a rejected form
        ("http://elsewhere.example/x", own),
        ("http://localhost//elsewhere.example", own),
        ("http://[", own),
        ("", own),
    ):
        headers = {"Referer": came} if came else {}
        assert act(ada, "like", tweet, headers=headers).location == f"{leads}#tweet-{tweet}"
    assert f'id="tweet-{tweet}"' in ada.get("/").text


def test_scripts_get_an_empty_answer(ada: Person) -> None:
    tweet = ada.post("hello")
    assert act(ada, "like", tweet, 204, {"Accept": "application/json"}).body == b""
    assert button(ada.get(f"/tweets/{tweet}"), tweet, "unlike") == "true Unlike1 like"


def test_scripts_get_the_message_that_the_next_page_would_show(ada: Person, bob: Person) -> None:
    list_id = re.findall(r"/lists/(\d+)/", ada.send("/lists", name="friends").location)[0]
    said = "The list “friends” was changed."
    for url, fields, message in (
        ("/@bob/follow", {}, "You now follow @bob."),
        ("/@bob/unmute", {}, "You no longer mute @bob."),
        (f"/lists/{list_id}/members", {"action": "add", "username": "bob"}, "@bob is on “friends” now."),
        (f"/lists/{list_id}/members", {"action": "change", "name": "friends"}, said),
    ):
        body, headers = {"csrf_token": ada.token("/lists"), **fields}, {"Accept": "application/json"}
        assert ada.browser.post(url, body, headers=headers, status=200).json == {"message": message}
        assert message not in ada.get("/search").text
    ada.send(f"/lists/{list_id}/members", action="change", name="friends")
    assert said in ada.get("/search").text


def test_signed_out_readers_see_counts_above_zero_and_no_buttons(
    ada: Person, testapp: webtest.TestApp, backend: str
) -> None:
    tweet = ada.post("hello")
    assert 'class="act' not in testapp.get(f"/tweets/{tweet}").text
    act(ada, "like", tweet)
    for url in (f"/tweets/{tweet}", "/public"):
        page = testapp.get(url)
        assert "<button" not in page.text.partition("<article")[2].partition("</article>")[0]
        assert re.search(
            r'<span class="act like"><svg[^>]+><use href="#i-like"/></svg>1<span class="sr"> like<', page.text
        )
        assert '#i-repost"' not in page.text.partition("<article")[2]
    signed_out = testapp.post(f"/tweets/{tweet}/like", status="*")
    assert signed_out.status_int in (303, 400)


def test_a_session_that_ended_leads_to_the_sign_in_page_and_back(
    ada: Person, visitor: Callable[[], webtest.TestApp]
) -> None:
    tweet = ada.post("hello")
    other = Person(visitor())
    answer = other.send(f"/tweets/{tweet}/like", on="/login", status=303)
    assert answer.location == f"/login?next=/tweets/{tweet}"


def test_missing_tweets_and_missing_tokens(ada: Person) -> None:
    tweet = ada.post("hello")
    for name in ("repost", "like"):
        act(ada, name, 4096, 404)
    for name in ("unrepost", "unlike"):  # there is nothing to undo
        act(ada, name, 4096, 303)
    ada.browser.post(f"/tweets/{tweet}/like", {"csrf_token": "x"}, status="*")
    assert button(ada.get(f"/tweets/{tweet}"), tweet, "like") == "false Like"
    ada.get(f"/tweets/{tweet}/like", status=405)
    for kind in ("likes", "reposts"):
        ada.get(f"/tweets/4096/{kind}", status=404)


def test_a_repost_tells_who_and_its_address_leads_to_the_tweet(
    ada: Person, bob: Person, visitor: Callable[[], webtest.TestApp]
) -> None:
    eve = Person(visitor(), "eve")
    bob.send("/settings", action="profile", display_name="Bob <b>", bio="")
    tweet = ada.post("hello")
    bob.follow("Ada")
    eve.follow("bob")
    act(bob, "repost", tweet)

    def reason(person: Person, url: str) -> str:
        found = re.search(r'<p class="reason">(.*?)</p>', person.get(url).text)
        return re.sub("<[^>]+>", "", found[1]) if found else ""

    assert reason(eve, "/") == "Bob &lt;b&gt; reposted"
    assert '<a href="/@bob"><bdi>Bob &lt;b&gt;</bdi></a> reposted</span>' in eve.get("/").text
    assert reason(bob, "/@bob") == "You reposted"
    assert reason(eve, "/@bob") == "Bob &lt;b&gt; reposted"
    eve.follow("Ada")
    act(ada, "repost", tweet)
    assert reason(eve, "/") == "Ada and 1 other you follow reposted"
    assert eve.ids("/") == [tweet]
    act(eve, "repost", tweet)
    assert reason(eve, "/") == "You and 2 people you follow reposted"
    assert reason(ada, f"/tweets/{tweet}") == ""
    [repost] = {int(id_) for id_ in re.findall(r'"id": ?(\d+)', eve.get("/settings/export.json").text)} - {tweet}
    assert eve.get(f"/tweets/{repost}", status=302).location == f"/tweets/{tweet}"
    assert eve.get(f"/tweets/{repost}/likes", status=302).location == f"/tweets/{tweet}/likes"
    act(eve, "unrepost", tweet)
    eve.get(f"/tweets/{repost}", status=404)


def test_reposts_of_others_count_as_new_and_page_by_their_own_ids(ada: Person, bob: Person) -> None:
    tweets = [ada.post(f"tweet {number}") for number in range(3)]
    bob.send("/@Ada/follow", status=303)
    act(bob, "repost", tweets[0])  # the newest entry, and the reader's own
    page = bob.get("/")
    poll = re.search(r'data-poll="([^"]+)"', page.text)
    assert poll is not None
    url = poll[1].replace("&amp;", "&")
    assert url == f"/newer?timeline=home&since={tweets[2]}"
    assert bob.get(url).json == {"count": 0}
    act(ada, "repost", tweets[1])
    assert bob.get(url).json == {"count": 1}
    shown, next_url = [], "/?limit=1"
    while next_url:
        page = bob.get(next_url)
        shown += [int(id_) for id_ in re.findall(r'data-tweet-id="(\d+)"', page.text)]
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        next_url = older[1].replace("&amp;", "&") if older else ""
    assert shown == [tweets[1], tweets[0], tweets[2]]


def test_who_likes_and_who_reposted_a_tweet(ada: Person, bob: Person, visitor: Callable[[], webtest.TestApp]) -> None:
    eve = Person(visitor(), "eve")
    tweet = ada.post("hello")
    for name, kind in (("like", "likes"), ("repost", "reposts")):
        assert f'href="/tweets/{tweet}/{kind}"><strong>0<' in ada.get(f"/tweets/{tweet}").text
        for person in (ada, bob, eve):
            act(person, name, tweet)
        assert f'href="/tweets/{tweet}/{kind}"><strong>3<' in ada.get(f"/tweets/{tweet}").text
        names, url = [], f"/tweets/{tweet}/{kind}?limit=2"
        while url:
            page = visitor().get(url)
            names += re.findall(r'class="author" href="/@(\w+)"', page.text)
            older = re.search(r'rel="next" href="([^"]+)"', page.text)
            url = older[1].replace("&amp;", "&") if older else ""
        assert names == ["eve", "bob", "Ada"]  # the latest first
    eve.send("/settings", action="close", password=PASSWORD, confirm="yes")
    assert "@eve" not in ada.get(f"/tweets/{tweet}/likes").text


def test_export_lists_reposts_and_likes(ada: Person, bob: Person) -> None:
    tweet = ada.post("hello")
    act(bob, "repost", tweet)
    act(bob, "like", tweet)
    mine = bob.get("/settings/export.json").json
    assert [each["tweet_id"] for each in mine["reposts"]] == [each["tweet_id"] for each in mine["likes"]] == [tweet]
    assert mine["likes"][0]["date"].endswith("+00:00")
    assert mine["tweets"] == []
