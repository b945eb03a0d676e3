"""What the API refuses and hides: blocks, scopes, suspended accounts, and requests that are not readable."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyramid.router import Router
from sqlalchemy import select

from tests.support.api import Api, shared_site, someone
from tests.support.people import PASSWORD, Browser, Person
from tweeter.interfaces import IDelivery
from tweeter.models import User
from tweeter.services.moderation import Moderation
from tweeter.services.recounting import recount_some


@pytest.fixture(scope="module")
def app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    with shared_site(sqlite_template, tmp_path_factory.mktemp("api")) as app:
        yield app


@pytest.fixture
def ada(app: Router) -> Person:
    return someone(app)


@pytest.fixture
def bob(app: Router) -> Person:
    return someone(app)


@pytest.fixture
def api(app: Router, ada: Person) -> Api:
    return Api(app).sign_in(ada.username)


def id_of(api: Api, person: Person) -> str:
    return str(api.get(f"/api/v1/accounts/lookup?acct={person.username}").json["id"])


def moderate(app: Router, act: str, person: Person) -> None:
    registry = app.registry
    with registry.database.writing_sessions.begin() as session:
        user = session.scalars(select(User).where(User.username == person.username)).one()
        moderation = Moderation(session, registry["passwords"], registry.settings["tweeter.message_limit"])
        assert getattr(moderation, act)(user.id)
    with registry.database.writing_sessions.begin() as session:
        while recount_some(session, 100):  # the account returns at the end
            pass
    assert registry.getUtility(IDelivery).drain(10)


@pytest.mark.parametrize("blocker", ["author", "reader"])
def test_no_endpoint_shows_a_tweet_across_a_block(
    app: Router, api: Api, ada: Person, bob: Person, blocker: str
) -> None:
    cyd = someone(app)
    tweet, original = bob.post("plainly visible"), cyd.post("of somebody else")
    bob.send(f"/tweets/{original}/repost", status=303)
    repost = Api(app).sign_in(bob.username).get(f"/api/v1/accounts/{id_of(api, bob)}/statuses?limit=1").json[0]["id"]
    api.post(f"/api/v1/statuses/{tweet}/favourite")
    api.post(f"/api/v1/statuses/{tweet}/reblog")
    one, other = (bob, ada) if blocker == "author" else (ada, bob)
    one.send(f"/@{other.username}/block", status=303)
    for id_ in (tweet, repost):
        for path in ("", "/source", "/context", "/history", "/favourited_by", "/reblogged_by"):
            assert api.get(f"/api/v1/statuses/{id_}{path}", 404).json == {"error": "Record not found"}
        for act in ("unfavourite", "unreblog", "favourite", "reblog"):
            assert "visible" not in api.request("POST", f"/api/v1/statuses/{id_}/{act}", "*").text
    assert api.get(f"/api/v1/statuses?id[]={tweet}&id[]={repost}&id[]={original}").json[0]["id"] == str(original)
    assert len(api.get(f"/api/v1/statuses?id[]={tweet}&id[]={repost}&id[]={original}").json) == 1
    assert api.get(f"/api/v2/search?q=http://localhost/tweets/{tweet}").json["statuses"] == []
    assert api.get(f"/api/v1/statuses/{original}").json["id"] == str(original)


@pytest.mark.parametrize("scope", ["push", "profile", "write", "read:lists"])
def test_a_token_without_the_scope_reads_nothing_that_anonymous_readers_may(
    app: Router, ada: Person, scope: str
) -> None:
    tweet = ada.post("hello")
    api = Api(app, scopes="read write push profile").sign_in(ada.username, scope=scope)
    for path in (f"statuses/{tweet}", "timelines/public", "timelines/tag/x", f"accounts/lookup?acct={ada.username}"):
        assert "scopes" in api.get(f"/api/v1/{path}", 403).json["error"]
        Browser(app).get(f"/api/v1/{path}")
    api.get("/api/v2/search?q=x", 403)
    api.get("/api/v1/apps/verify_credentials")  # any token will do


@pytest.mark.parametrize(("scope", "granted"), [("read:me", True), ("read:nonsense", False), ("write:", False)])
def test_only_known_scopes_are_granted(app: Router, ada: Person, scope: str, granted: bool) -> None:
    api = Api(app, scopes="read write")
    asked = {"grant_type": "password", "username": ada.username, "password": PASSWORD, "scope": scope}
    answer = api.post("/oauth/token", 200 if granted else 400, **asked, **api.keys).json
    assert answer.get("error") == (None if granted else "invalid_scope")
    app_ = {"client_name": "x", "redirect_uris": "urn:ietf:wg:oauth:2.0:oob", "scopes": scope}
    api.post("/api/v1/apps", 200 if granted else 422, **app_)


def test_search_of_one_author_finds_old_tweets_among_many_of_others(api: Api, ada: Person, bob: Person) -> None:
    wanted = [bob.post("qwzx #qwtag one"), bob.post("another QWZX two")]
    for number in range(45):
        ada.post(f"qwzx #qwtag {number}")
    author = f"account_id={id_of(api, bob)}"

    def found(query: str) -> list[int]:
        return [int(each["id"]) for each in api.get(f"/api/v2/search?{query}").json["statuses"]]

    assert found(f"q=qwzx&{author}") == wanted[::-1]
    assert found(f"q=qwzx&{author}&limit=1&offset=1") == [wanted[0]]
    assert found(f"q=qwzx&{author}&max_id={wanted[1]}") == [wanted[0]]
    assert found(f"q=%23qwtag&{author}") == [wanted[0]]
    assert found("q=qwzx&account_id=987654321") == []
    ada.send(f"/@{bob.username}/mute", status=303)
    assert found(f"q=qwzx&{author}") == []


@pytest.mark.parametrize(
    ("media", "body", "status"),
    [
        ("application/json", b'{"status":"a\xffc"}', 400),
        ("application/json", b'{"status":%s}' % (b"[" * 10_000 + b"]" * 10_000), 400),
        ("application/json", b"[1]", 400),
        ("multipart/form-data", b"foo", 400),
        ("Application/JSON; charset=UTF-8", b'{"status":"a"}', 200),
        ("application/x-www-form-urlencoded", b"status=b&poll[options][]=&poll[expires_in]=&media_ids[]=", 200),
        ("application/x-www-form-urlencoded", b"status=b&poll[options][]=x", 422),
    ],
)
def test_bodies(api: Api, media: str, body: bytes, status: int) -> None:
    answer = api.request("POST", "/api/v1/statuses", status, body=body, content_type=media)
    assert ("error" in answer.json) == (status != 200)
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_relationships_are_those_of_accounts_that_exist(api: Api, bob: Person) -> None:
    known = id_of(api, bob)
    related = api.get(f"/api/v1/accounts/relationships?id[]={known}&id[]=987654321").json
    assert [each["id"] for each in related] == [known]


def test_statuses_of_an_account_are_back_at_once_after_a_suspension(app: Router, api: Api, bob: Person) -> None:
    account, tweet = id_of(api, bob), bob.post("hello")
    moderate(app, "suspend", bob)
    api.get(f"/api/v1/statuses/{tweet}", 404)
    assert api.get(f"/api/v1/accounts?id[]={account}").json == []
    moderate(app, "unsuspend", bob)
    assert [each["id"] for each in api.get("/api/v1/timelines/public?limit=1").json] == [str(tweet)]


def test_a_reply_to_a_deleted_tweet_names_no_parent(api: Api, ada: Person, bob: Person) -> None:
    parent = bob.post("a question")
    reply = ada.post("an answer", parent)
    assert api.get(f"/api/v1/statuses/{reply}").json["in_reply_to_id"] == str(parent)
    bob.delete(parent)
    shown: dict[str, Any] = api.get(f"/api/v1/statuses/{reply}").json
    assert shown["in_reply_to_id"] is shown["in_reply_to_account_id"] is None
