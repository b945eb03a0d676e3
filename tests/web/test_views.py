"""The site, page by page, through a browser; on both databases and several backends."""

import html
import json
import re
from collections.abc import Callable

import pytest
import webtest
from pyramid.request import Request
from pyramid.router import Router
from sqlalchemy.exc import OperationalError

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person, articles_on, ids_on
from tweeter.devtools.servers import PostgreSQL

Visitor = Callable[[], webtest.TestApp]


# timelines


def test_home_shows_own_and_followed_tweets_newest_first(ada: Person, bob: Person) -> None:
    before = bob.post("before")
    ada.follow("bob")
    mine, after = ada.post("mine"), bob.post("after")
    assert ada.ids("/") == [after, mine, before]
    assert bob.ids("/") == [after, before]
    ada.unfollow("bob")
    assert ada.ids("/") == [mine]


def test_anonymous_visitors_see_the_public_timeline_and_sign_up(testapp: webtest.TestApp, ada: Person) -> None:
    tweet = ada.post("hello")
    page = testapp.get("/")
    assert ids_on(page) == [tweet] == ids_on(testapp.get("/public"))
    assert page.forms
    assert 'action="/signup"' in page.text


def test_paging_has_no_duplicates_or_gaps(ada: Person) -> None:
    tweets = [ada.post(f"tweet {n}") for n in range(45)][::-1]
    for start in ("/", "/public", "/@Ada", "/search?q=tweet"):
        seen, url, sizes = [], start, []
        while url:
            page = ada.get(url)
            seen += ids_on(page)
            sizes.append(len(ids_on(page)))
            older = re.search(r'rel="next" href="([^"]+)"', page.text)
            url = older.group(1).replace("&amp;", "&") if older else ""
        assert (seen, sizes) == (tweets, [20, 20, 5]), start
    page = ada.get(f"/?limit=30&before={tweets[4]}")
    assert ids_on(page) == tweets[5:35]
    assert f"?before={tweets[34]}&amp;limit=30" in page.text
    assert len(ada.ids("/?limit=100")) == len(ada.ids("/?limit=1000")) == len(ada.ids(f"/?limit={10**30}")) == 45
    assert "That is all." in ada.get("/?before=1").text


NONSENSE = [
    *("before=x", "before=0", "before=-1", f"before={2**53 + 1}", "before=", "before=%D9%A3", f"before={'9' * 5000}"),
    *("limit=x", "limit=0", "limit=-5", "limit=1.5", "limit="),
]


@pytest.mark.parametrize("page", ["/", "/public", "/@Ada", "/mentions", "/search?q=x", "/@Ada/followers"])
def test_invalid_numbers_get_an_error_page(ada: Person, page: str) -> None:
    for query in NONSENSE:
        answer = ada.get(page + ("&" if "?" in page else "?") + query, status=400)
        assert "must be a whole number" in answer.text, query


def test_a_tweet_is_the_same_html_for_every_reader(ada: Person, bob: Person, testapp: webtest.TestApp) -> None:
    tweet = ada.post("for @bob and https://example.org/x?a=1&b=2. #Tag <b>&")
    pages = [ada.get("/"), ada.get(f"/tweets/{tweet}"), bob.get("/public"), bob.get("/mentions"), testapp.get("/@ada")]
    pages = [page.follow() if page.status_int == 301 else page for page in pages]
    own = re.compile(' <(a class="delete"|button class="act).*?</(a|button)>')
    (article,) = {own.sub("", articles_on(page)[0]) for page in pages}
    assert '<a href="/@bob">@bob</a>' in article
    assert 'href="https://example.org/x?a=1&amp;b=2" rel="nofollow ugc noopener noreferrer">' in article
    assert '<a href="/tag/Tag">#Tag</a>' in article
    assert "&lt;b&gt;&amp;" in article
    assert 'href="/@Ada"' in article
    assert re.search(r'<time datetime="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', article)
    assert '<p class="message" dir="ltr">' in article


def test_a_name_leads_to_its_profile_and_shadows_no_route(ada: Person, bob: Person, backend: str) -> None:
    assert ada.get("/BOB", status=303).location.endswith(f"/@{bob.username}")
    assert ada.get("/nobody_x", status=404)
    assert ada.browser.post("/bob", status="*").status_int in (400, 404)
    Person(ada.browser, "public")
    assert "The tweets of all users" in ada.browser.get("/public").text


def test_an_empty_home_shows_people_to_follow(ada: Person, bob: Person, backend: str) -> None:
    assert "People to follow" not in ada.get("/").text
    tweet = bob.post("hello")
    page = ada.get("/")
    assert "People to follow" in page.text
    assert 'action="/@bob/follow"' in page.text
    assert 'action="/@ada/follow"' not in page.text.lower()
    ada.follow("bob")
    assert ada.ids("/") == [tweet]
    assert "People to follow" not in ada.get("/").text


def test_the_right_column_suggests_authors_whom_the_reader_does_not_follow(
    ada: Person, bob: Person, backend: str
) -> None:
    for person in (ada, bob):
        person.post("hello")
    assert 'data-suggestions="/suggestions?following=0&amp;hidden=0"' in ada.get("/").text
    suggestions = ada.get("/suggestions?following=0")
    assert suggestions.headers["Cache-Control"] == "private, max-age=300"
    assert 'action="/@bob/follow"' in suggestions.text
    assert 'action="/@ada/follow"' not in suggestions.text.lower()
    ada.follow("bob")
    assert 'data-suggestions="/suggestions?following=1&amp;hidden=0"' in ada.get("/").text
    assert not ada.get("/suggestions?following=1").text.strip()


def test_own_tweets_have_a_link_that_opens_the_form_to_delete_them(ada: Person, bob: Person, backend: str) -> None:
    tweet = ada.post("mine")
    link = f'href="/tweets/{tweet}?delete#delete"'
    assert ada.get("/").text.count(link) == ada.get("/public").text.count(link) == 1
    assert link not in bob.get("/public").text
    assert '<details class="own" id="delete" open>' in ada.get(f"/tweets/{tweet}?delete").text
    bob.post("a reply", parent=tweet)
    assert re.search(r'class="replies">1<span class="sr"> reply</span>', ada.get("/").text)
    assert "Your tweet was deleted" in ada.send(f"/tweets/{tweet}/delete", status=303).follow().text


def test_footer_and_header_show_the_cost_of_the_page(ada: Person, backend: str) -> None:
    ada.post("x")
    ada.get("/")
    page = ada.get("/")
    foot = re.search(r'class="costs">(.+?)<', page.text)
    assert foot
    if backend == "memory":
        told = re.fullmatch(
            r"Served by memory in [\d.]+ ms · (\d) store calls? · (\d) SQL quer(y|ies), none for the timeline",
            foot[1],
        )
        assert told, foot[1]
        assert int(told[2]) <= 2  # the current user; the end of the log
    else:
        assert re.fullmatch(
            r"Served by sql in [\d.]+ ms · 0 store round trips · 3 SQL queries, 2 for the timeline", foot[1]
        ), foot[1]
    timing = page.headers["Server-Timing"]
    trips = r"\d calls?" if backend == "memory" else "0 round trips"
    assert re.fullmatch(
        r'total;dur=[\d.]+, sql;dur=[\d.]+;desc="\d quer(y|ies)", '
        rf'store;dur=[\d.]+;desc="{trips}", backend;desc="{backend}"',
        timing,
    ), timing
    settings = ada.get("/settings")
    assert re.search(r'class="costs">Page in [\d.]+ ms · 1 SQL query<', settings.text)
    assert "backend" not in settings.headers["Server-Timing"]


def test_mentions(ada: Person, bob: Person) -> None:
    assert "No mentions yet" in bob.get("/mentions").text
    tweet = ada.post("hello @BOB!")
    ada.post("mail me at ada@bob.example")
    assert bob.ids("/mentions") == [tweet]
    ada.delete(tweet)
    assert bob.ids("/mentions") == []


# posting, replying, deleting


@pytest.mark.parametrize("message", ["x", "é" * 140, "👨‍👩‍👧‍👦" * 140, "e\u0301" * 140, "x" * 139 + "\r\n" * 20])
def test_messages_up_to_the_limit_are_accepted(ada: Person, message: str) -> None:
    assert ada.send("/tweets", message=message).location.endswith("/")
    assert len(ada.ids()) == 1


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "The message is empty."),
        (" \n\u200b\u2800", "The message is empty."),
        ("\x00\x07\u202e", "The message is empty."),
        ("é" * 141, "The message is 1 character too long."),
        ("👨‍👩‍👧‍👦" * 150, "The message is 10 characters too long."),
    ],
)
def test_invalid_messages_are_returned_with_the_error(ada: Person, message: str, says: str) -> None:
    page = ada.send("/tweets", message=message, status=400)
    assert says in page.text
    assert 'aria-describedby="message-error"' in page.text
    kept = "".join(character for character in message if character not in "\x00\x07\n ")
    assert html.escape(kept) in page.text
    assert ada.ids() == []


def test_replies(ada: Person, bob: Person) -> None:
    first = ada.post("first")
    answer = bob.post("answer", parent=first)
    again = ada.post("again", parent=answer)
    other = bob.post("other", parent=first)
    assert ada.ids(f"/tweets/{first}") == [first, answer, other]
    assert ada.ids(f"/tweets/{again}") == [first, answer, again]
    assert f'In reply to <a href="/tweets/{first}">@Ada</a>' in ada.get("/@bob").text
    refused = ada.send("/tweets", message="x" * 150, parent_id=str(first), status=400)
    assert ids_on(refused) == [first, answer, other]
    assert "10 characters too long" in refused.text
    assert "x" * 150 in refused.text
    refused = ada.send("/tweets", message="x" * 150, parent_id="1", status=400)
    assert "10 characters too long" in refused.text
    assert "x" * 150 in refused.text


def test_a_refused_tweet_comes_back_on_a_home_page_that_works(ada: Person) -> None:
    tweets = [ada.post(f"tweet {n}") for n in range(21)][::-1]
    page = ada.send("/tweets", message="", status=400)
    assert ids_on(page) == tweets[:20]
    assert f'href="/?before={tweets[19]}"' in page.text
    assert 'data-page="/"' in page.text


def test_many_replies_and_long_conversations_are_paged(ada: Person) -> None:
    first = ada.post("first")
    answers = [ada.post(f"answer {n}", parent=first) for n in range(23)]
    page = ada.get(f"/tweets/{first}")
    assert ids_on(page) == [first, *answers[:20]]
    assert f'href="/tweets/{first}?after={answers[19]}"' in page.text
    assert ada.ids(f"/tweets/{first}?after={answers[19]}") == [first, *answers[20:]]
    chain = [first]
    for n in range(23):
        chain.append(ada.post(f"deeper {n}", parent=chain[-1]))
    page = ada.get(f"/tweets/{chain[-1]}")
    assert ids_on(page) == chain[-21:]
    assert f'href="/tweets/{chain[-22]}">Earlier' in page.text


def test_deleted_tweet_disappears_and_its_replies_note_it(ada: Person, bob: Person) -> None:
    tweet = ada.post("first")
    answer = bob.post("answer", parent=tweet)
    assert "Delete this tweet" in ada.get(f"/tweets/{tweet}").text
    assert "Delete this tweet" not in bob.get(f"/tweets/{tweet}").text
    assert ada.delete(tweet).location.endswith("/@Ada")
    assert ada.ids() == []
    assert "In reply to a deleted tweet" in bob.get(f"/tweets/{answer}").text
    gone = bob.get(f"/tweets/{tweet}", status=404)
    assert "Tweet not found" in gone.text
    assert ids_on(gone) == [answer]
    ada.delete(tweet, status=404)
    page = bob.send("/tweets", message="too late", parent_id=str(tweet), status=400)
    assert "The tweet you reply to was deleted" in page.text
    assert "too late" in page.text
    assert bob.ids("/@bob") == [answer]


@pytest.mark.parametrize("parent", ["x", "-1", "0", "1.5", "9" * 30, " 1"])
def test_invalid_parents_are_refused(ada: Person, parent: str) -> None:
    ada.send("/tweets", message="hello", parent_id=parent, status=400)


@pytest.mark.parametrize("id_", ["0", "1", "9999999999999999", "9" * 40, "x", "-1", "1.0", "%D9%A3"])
def test_unknown_tweets_are_404(testapp: webtest.TestApp, id_: str) -> None:
    testapp.get(f"/tweets/{id_}", status=404)


# people


def test_profile_urls_ignore_case(ada: Person, bob: Person) -> None:
    tweet = ada.post("hello")
    answer = bob.get("/@aDA/followers?limit=5", status=301)
    assert answer.location.endswith("/@Ada/followers?limit=5")
    page = bob.get("/@ada").follow()
    assert ids_on(page) == [tweet]
    assert 'action="/@Ada/follow"' in page.text
    bob.follow("ADA")
    page = bob.get("/@Ada")
    assert 'action="/@Ada/unfollow"' in page.text
    assert re.search(r"<strong>1</strong>\s*follower<", page.text)
    assert not re.search('action="/@Ada/(un)?follow"', ada.get("/@Ada").text)


@pytest.mark.parametrize("name", ["nobody", "%00", "a%00b", "x" * 21, "a-b", "%F0%9F%90%A6", "%25", "_%25"])
def test_unknown_users_are_404(ada: Person, name: str) -> None:
    for page in ("", "/followers", "/following"):
        ada.get(f"/@{name}{page}", status=404)
    ada.follow(name, status=404)
    ada.unfollow(name, status=404)


def test_following_twice_and_oneself(ada: Person, bob: Person) -> None:
    assert ada.follow("bob").location.endswith("/@bob")
    ada.follow("BOB")
    assert re.search(r"<strong>1</strong> following", ada.get("/@Ada").text)
    assert "follow yourself" in ada.follow("ada", status=400).text
    ada.unfollow("bob")
    ada.unfollow("bob")
    assert re.search(r"<strong>0</strong> following", ada.get("/@Ada").text)


def test_lists_of_people_are_paged(ada: Person, visitor: Visitor) -> None:
    assert "@Ada has no followers yet." in ada.get("/@Ada/followers").text
    assert "@Ada does not follow anyone yet." in ada.get("/@Ada/following").text
    for n in range(23):
        Person(visitor(), f"reader_{n}").follow("Ada")
    page = ada.get("/@Ada/followers")
    assert re.findall(r'"author" href="/@(\w+)"', page.text) == [f"reader_{n}" for n in range(22, 2, -1)]
    older = re.search(r'rel="next" href="([^"]+)"', page.text)
    assert older
    assert re.findall(r'"author" href="/@(\w+)"', ada.get(older[1]).text) == ["reader_2", "reader_1", "reader_0"]
    assert ada.send("/@reader_3/follow", next="/@Ada/followers").location.endswith("/@Ada/followers")
    assert "reader_3" in ada.get("/@Ada/following").text


# settings


def test_a_new_name_and_bio(ada: Person) -> None:
    tweet = ada.post("hello")
    ada.send("/settings", action="profile", display_name="Ada <3", bio="I like @bob\nand tea")
    page = ada.get("/@Ada")
    assert "Ada &lt;3" in page.text
    assert '<a href="/@bob">@bob</a>' in page.text
    assert "Ada &lt;3" in articles_on(ada.get(f"/tweets/{tweet}"))[0]
    wrong = ada.send("/settings", action="profile", display_name="x" * 51, bio="kept", status=400)
    assert 'id="display_name-error"' in wrong.text
    assert "x" * 51 in wrong.text
    assert "kept" in wrong.text
    ada.send("/settings", action="profile", display_name="", bio="")
    assert '<bdi class="name">Ada</bdi>' in ada.get("/@Ada").text
    ada.send("/settings", action="nonsense", status=400)


def test_export_contains_all_data_of_the_user(ada: Person, bob: Person) -> None:
    first = ada.post("“quoted”\nand more")
    bob.follow("Ada")
    ada.follow("bob")
    answer = ada.post("more", parent=first)
    mention = bob.post("hi @ada")
    export = ada.get("/settings/export.json")
    assert export.content_type == "application/json"
    assert "attachment" in export.headers["Content-Disposition"]
    mine = json.loads(export.body)
    assert mine["profile"]["username"] == "Ada"
    assert [(tweet["id"], tweet["message"], tweet["parent_id"]) for tweet in mine["tweets"]] == [
        (answer, "more", first),
        (first, "“quoted”\nand more", None),
    ]
    assert mine["tweets"][0]["date"].endswith("+00:00")
    assert (mine["followers"], mine["following"]) == (["bob"], ["bob"])
    assert [tweet["id"] for tweet in mine["mentions"]] == [mention]


def test_closing_the_account_asks_twice(ada: Person, bob: Person) -> None:
    tweet = ada.post("hello")
    bob.follow("Ada")
    assert "Wrong password." in ada.send("/settings", action="close", password="wrong", status=400).text
    sure = ada.send("/settings", action="close", password=PASSWORD)
    assert "Close @Ada?" in sure.text
    assert "Wrong password." in ada.send("/settings", action="close", confirm="yes", password="wrong", status=400).text
    assert bob.ids("/") == [tweet]
    closed = ada.send("/settings", action="close", confirm="yes", password=PASSWORD)
    assert "Your account was closed" in closed.follow().text
    assert bob.ids("/") == []
    bob.get("/@Ada", status=404)
    assert ada.get("/settings", status=303).location.endswith("/login?next=/settings")
    assert ada.sign_in("Ada").status_int == 400


def test_names_within_other_scripts_are_mentions(ada: Person, bob: Person) -> None:
    named = [bob.post(message) for message in ("@Adaさん", "元気@ada", "＠ADA", "و@ada", "https://example.org/a。@Ada")]
    for message in ("a@ada", "@adaé", "@ada@host.example", "https://example.org/@ada", "用户@ada.example"):
        bob.post(message)
    assert ada.ids("/mentions") == named[::-1]
    for tweet in ada.ids("/public"):
        linked = re.search('<a href="/@ada"', bob.get(f"/tweets/{tweet}").text, re.IGNORECASE)
        assert bool(linked) == (tweet in named)


# search


def test_search_finds_people_and_tweets(ada: Person, bob: Person) -> None:
    tag = ada.post("Über den Wolken #Moss")
    longer = ada.post("#mosses are not the tag; 100% sure_ly")
    assert ada.ids("/search?q=%23moss") == [tag]
    assert ada.ids("/search?q=mOss") == [longer, tag]
    assert ada.ids("/search?q=%C3%BCBER") == [tag]
    assert ada.ids("/search?q=100%25") == [longer]
    assert ada.ids("/search?q=0%25+s") == [longer]
    assert ada.ids("/search?q=%25") == [longer]
    assert ada.ids("/search?q=sure_l") == [longer]
    assert ada.ids("/search?q=sure%5Fly") == [longer]
    assert ada.ids("/search?q=s_re") == []
    assert "Nothing found." in ada.get("/search?q=zzz").text
    assert "Search people and tweets" in ada.get("/search?q=%00+").text
    assert "Search people and tweets" in ada.get("/search").text
    bob.send("/settings", action="profile", display_name="Robert Ada", bio="")
    assert re.findall(r'"author" href="/@(\w+)"', ada.get("/search?q=ADA").text) == ["Ada", "bob"]
    assert re.findall(r'"author" href="/@(\w+)"', ada.get("/search?q=%40ad").text) == ["Ada"]
    bob.follow("Ada")
    assert re.findall(r'"author" href="/@(\w+)"', ada.get("/search?q=ada").text) == ["Ada", "bob"]


# polls of the page's script


def test_newer_counts_tweets_of_others(ada: Person, bob: Person, testapp: webtest.TestApp) -> None:
    old = bob.post("old")
    ada.follow("bob")
    poll = re.search(r'data-poll="([^"]+)"', ada.get("/").text)
    assert poll
    url = poll[1].replace("&amp;", "&")
    assert url == f"/newer?timeline=home&since={old}"
    nothing = ada.get(url)
    assert nothing.json == {"count": 0}
    unchanged = {"If-None-Match": nothing.headers["ETag"]}
    assert ada.get(url, headers=unchanged, status=304).body == b""
    ada.post("my own")
    ada.get(url, headers=unchanged, status=304)
    bob.post("new")
    assert ada.get(url, headers=unchanged, status=200).json == {"count": 1}
    assert testapp.get(f"/newer?timeline=public&since={old}").json == {"count": 2}
    testapp.get(url, status=401)
    for wrong in ("", "?timeline=x", "?timeline=public&since=x", "?timeline=profile&user=x", "?timeline=profile"):
        ada.get(f"/newer{wrong}", status=400)
    assert "data-poll" not in ada.get(f"/?before={old}").text


def test_avatars_are_drawn_from_the_name(testapp: webtest.TestApp) -> None:
    one, same, other = (testapp.get(f"/avatars/{name}.svg") for name in ("ada", "ADA", "bob"))
    assert one.content_type == "image/svg+xml"
    assert one.body == same.body != other.body
    assert "style" not in one.text
    assert "max-age=31536000" in one.headers["Cache-Control"]


# monitoring and errors


def test_health(testapp: webtest.TestApp, backend: str) -> None:
    assert testapp.get("/healthz").json == {"backend": backend, "sql": "ok"}


def test_unavailable_database_gives_503_pages(
    testapp: webtest.TestApp, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = testapp.app.registry
    token = ada.token()

    def refuse(*args: object, **options: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection"))

    for way in ("connect", "raw_connection"):
        monkeypatch.setattr(type(registry.database.engine), way, refuse)
    down = testapp.get("/healthz", status=503)
    assert down.json["sql"] == "down"
    for page in ("/", "/settings", "/@Ada", "/mentions"):
        answer = ada.get(page, status=503)
        assert "Database unavailable" in answer.text
        assert "SELECT" not in answer.text
    ada.browser.post("/tweets", {"csrf_token": token, "message": "x"}, status=503)
    assert testapp.get("/login", status=200)


def test_unsupported_methods_get_405(testapp: webtest.TestApp) -> None:
    assert testapp.put("/", status=405).headers["Allow"] == "GET, HEAD"
    assert testapp.get("/logout", status=405).headers["Allow"] == "POST"
    assert testapp.delete("/login", status=405).headers["Allow"] == "GET, HEAD, POST"
    assert "Method not allowed" in testapp.get("/tweets", status=405).text
    for page in ("/", "/public", "/login", "/healthz", "/search?q=x", "/avatars/ada.svg"):
        assert testapp.head(page, status=200).body == b""


@pytest.mark.parametrize("url", ["/%FF", "/?before=%FF", "/search?q=%C3", "/@%E2%82", "/tweets/%FF"])
def test_invalid_utf8_gets_400(app: Router, url: str) -> None:
    answer = Request.blank(url).get_response(app)  # webtest's cookie handling fails on such addresses
    assert answer.status_int == 400
    assert "not valid text" in answer.text


def test_undecodable_forms_get_400(ada: Person) -> None:
    token = ada.token().encode()
    for body in (b"csrf_token=" + token + b"&message=%FF%FE", b"csrf_token=" + token + b"&mess%FFage=x"):
        ada.browser.post("/tweets", body, content_type="application/x-www-form-urlencoded", status=400)
    files = [("message", "x.txt", b"a file")]
    ada.browser.post("/tweets", {"csrf_token": ada.token()}, upload_files=files, status=400)
    for kind in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded; charset=utf-16"):
        ada.browser.post("/tweets", b"{}", content_type=kind, status=400)


def test_errors_have_their_own_pages(testapp: webtest.TestApp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Page not found" in testapp.get("/nothing", status=404).text
    assert "Page not found" in testapp.get("/static/nothing.css", status=404).text
    monkeypatch.setattr("tweeter.web.views.search.find_people", lambda *_: 1 / 0)
    page = testapp.get("/search?q=x", status=500)
    assert "The site failed to show this page" in page.text
    assert "ZeroDivision" not in page.text


def test_locked_database_is_retried(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from tweeter.services.actions import Actions

    tries = []
    post = Actions.post

    def busy(self: Actions, *args: object, **options: object) -> object:
        tries.append(args)
        if len(tries) < 3:
            raise OperationalError("INSERT", {}, Exception("database is locked"))
        return post(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Actions, "post", busy)
    ada.send("/tweets", message="at last")
    assert len(tries) == 3
    assert len(ada.ids()) == 1


def test_lost_connection_is_retried(postgresql_server: PostgreSQL, postgresql_url: str) -> None:
    """As after a restart of the database."""
    with running(settings_of(postgresql_url)) as app:
        ada = Person(Browser(app), "Ada")
        database = postgresql_url.rpartition("/")[2]
        postgresql_server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        assert ada.get("/").status_int == 200
