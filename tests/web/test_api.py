"""The API: entities, paging and rules, as Mastodon documents them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate
from pyramid.router import Router

from tests.conftest import running, settings_of
from tests.support.api import Api, shared_site, someone
from tests.support.people import Browser, Person
from tweeter.api.endpoints import ENDPOINTS
from tweeter.api.openapi import document


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


def ids(statuses: list[Any]) -> list[str]:
    return [status["id"] for status in statuses]


def walk(api: Api, url: str) -> list[str]:
    """The ids of this page and of all older ones."""
    walked = []
    while url:
        page = api.get(url)
        walked += ids(page.json)
        following = re.match(r'<([^>]+)>; rel="next"', page.headers.get("Link", ""))
        url = following[1] if following else ""
    return walked


def test_status(api: Api, ada: Person, bob: Person) -> None:
    first = api.toot(f"Hello @{bob.username.upper()}, <b>see</b> https://example.org #Tag\n\nBye")
    assert first["id"] in ids(api.get("/api/v1/timelines/home").json)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["created_at"])
    assert first["url"] == first["uri"] == f"http://localhost/tweets/{first['id']}"
    assert f'<a href="http://localhost/@{bob.username.upper()}">' in first["content"]
    assert "&lt;b&gt;see&lt;/b&gt;" in first["content"]
    assert first["content"].count("<br>") == 2
    assert [(mention["acct"], mention["url"]) for mention in first["mentions"]] == [
        (bob.username, f"http://localhost/@{bob.username}")
    ]
    assert first["tags"] == [{"name": "tag", "url": "http://localhost/tag/tag"}]
    assert first["account"]["statuses_count"] == 1
    assert first["account"]["last_status_at"] == first["created_at"][:10]
    reply = api.toot("A reply", in_reply_to_id=first["id"])
    assert reply["in_reply_to_id"] == first["id"]
    assert reply["in_reply_to_account_id"] == first["account"]["id"]
    assert reply["mentions"] == []
    assert api.get(f"/api/v1/statuses/{first['id']}/").json["replies_count"] == 1
    assert api.get(f"/api/v1/statuses/{first['id']}/source").json["text"].startswith("Hello @")
    deleted = api.request("DELETE", f"/api/v1/statuses/{reply['id']}").json
    assert deleted["text"] == "A reply"
    assert api.get(f"/api/v1/statuses/{reply['id']}", 404).json["error"] == "Record not found"
    found = api.get(f"/api/v1/statuses?id[]={first['id']}&id[]={reply['id']}").json
    assert ids(found) == [first["id"]]
    [version] = api.get(f"/api/v1/statuses/{first['id']}/history").json
    shown = api.get(f"/api/v1/statuses/{first['id']}").json
    assert version == {name: shown[name] for name in version}


def test_context(api: Api) -> None:
    root = api.toot("root")["id"]
    one = api.toot("one", in_reply_to_id=root)["id"]
    two = api.toot("two", in_reply_to_id=root)["id"]
    below = api.toot("below one", in_reply_to_id=one)["id"]
    around = api.get(f"/api/v1/statuses/{root}/context").json
    assert (ids(around["ancestors"]), ids(around["descendants"])) == ([], [one, below, two])
    around = api.get(f"/api/v1/statuses/{below}/context").json
    assert (ids(around["ancestors"]), ids(around["descendants"])) == ([root, one], [])


def test_paging(api: Api) -> None:
    me = api.get("/api/v1/accounts/verify_credentials").json
    tag = f"paging{me['username']}"
    posted = [api.toot(f"{number} #{tag}")["id"] for number in range(130)]
    newest = posted[::-1]
    for path in ("/api/v1/timelines/home", f"/api/v1/accounts/{me['id']}/statuses", f"/api/v1/timelines/tag/{tag}"):
        page = api.get(f"{path}?limit=2&max_id={newest[3]}")
        assert ids(page.json) == newest[4:6]
        follow = re.fullmatch(r'<([^>]+)>; rel="next", <([^>]+)>; rel="prev"', page.headers["Link"])
        assert follow is not None
        assert ids(api.get(follow[1]).json) == newest[6:8]
        assert ids(api.get(follow[2]).json) == newest[2:4]
        assert ids(api.get(f"{path}?limit=2&since_id={posted[5]}").json) == newest[:2]
        assert ids(api.get(f"{path}?since_id={newest[1]}").json) == newest[:1]
        assert ids(api.get(f"{path}?limit=3&min_id={posted[5]}").json) == posted[6:9][::-1]
        assert ids(api.get(f"{path}?limit=1&min_id={posted[0]}").json) == posted[1:2]
        assert ids(api.get(f"{path}?limit=3&min_id={newest[2]}").json) == newest[:2]
        assert api.get(f"{path}?min_id={newest[0]}").json == []
        assert api.get(f"{path}?max_id=0").json == []
        assert len(api.get(f"{path}?limit=1000").json) == 40
        assert walk(api, f"{path}?limit=40") == newest


def test_a_page_of_several_hashtags(api: Api) -> None:
    posted = [api.toot(f"{number} #{'several' if number % 3 else 'other'} #n{number}")["id"] for number in range(12)]
    newest = posted[::-1]
    tags = "/api/v1/timelines/tag/several?"
    both = f"{tags}any[]=other&any[]=unheard&"
    assert ids(api.get(both).json) == newest
    assert walk(api, f"{both}limit=5") == newest
    assert ids(api.get(f"{both}limit=3&min_id={posted[2]}").json) == posted[3:6][::-1]
    assert ids(api.get(f"{both}all[]=%23N3&limit=3").json) == [posted[3]]
    assert ids(api.get(f"{tags}all[]=n4&all[]=n5").json) == []
    assert ids(api.get(f"{both}none=n11&none=n9&limit=2").json) == [posted[10], posted[8]]
    assert ids(api.get(f"{tags}none[]=n11&limit=2").json) == [posted[10], posted[8]]


def test_account_statuses_without_replies_are_full_pages(api: Api) -> None:
    root = api.toot("root")["id"]
    for _ in range(25):
        api.toot("reply", in_reply_to_id=root)
    me = api.get("/api/v1/accounts/verify_credentials").json["id"]
    for true in ("1", "True", "true"):
        assert ids(api.get(f"/api/v1/accounts/{me}/statuses?limit=5&exclude_replies={true}").json) == [root]
    assert len(api.get(f"/api/v1/accounts/{me}/statuses?limit=5&exclude_replies=false").json) == 5
    assert api.get(f"/api/v1/accounts/{me}/statuses?pinned=1").json == []


def test_accounts_and_relationships(app: Router, api: Api, ada: Person, bob: Person) -> None:
    other = api.get(f"/api/v1/accounts/lookup?acct={bob.username}@localhost").json
    for query in (f"id={other['id']}", f"id[]={other['id']}", f"id[]={other['id']}&id[]={other['id']}"):
        assert [each["following"] for each in api.get(f"/api/v1/accounts/relationships?{query}").json] == [False]
    assert api.post(f"/api/v1/accounts/{other['id']}/follow", reblogs="1", notify="0").json["following"] is True
    me = api.get("/api/v1/accounts/verify_credentials").json
    assert me["following_count"] == 1
    assert ids(api.get(f"/api/v1/accounts/{me['id']}/following").json) == [other["id"]]
    assert ids(api.get(f"/api/v1/accounts/{other['id']}/followers").json) == [me["id"]]
    assert ids(api.get(f"/api/v1/accounts/search?q={bob.username}&following=1").json) == [other["id"]]
    assert me["role"]["name"] == ""
    assert ids(api.get(f"/api/v1/accounts?id[]={me['id']}&id[]=999999&id[]={other['id']}").json) == [
        me["id"],
        other["id"],
    ]
    bobs = Api(app).sign_in(bob.username)
    assert bobs.post(f"/api/v1/accounts/{me['id']}/remove_from_followers").json["followed_by"] is False
    assert api.get(f"/api/v1/accounts/{me['id']}/following").json == []
    assert api.post(f"/api/v1/accounts/{other['id']}/follow").json["following"] is True
    bob.post("Follow me")
    assert other["id"] not in ids(api.get("/api/v1/suggestions").json)
    bare = api.browser.post(
        f"/api/v1/accounts/{other['id']}/unfollow", headers={"Authorization": f"Bearer {api.token}"}
    )
    assert bare.json["following"] is False
    assert other["id"] in [each["account"]["id"] for each in api.get("/api/v2/suggestions").json]
    assert api.post(f"/api/v1/accounts/{me['id']}/follow", 422).json["error"].startswith("Validation failed: ")
    api.post("/api/v1/accounts/999999/follow", 404)
    changed = api.patch("/api/v1/accounts/update_credentials", **{"display_name": "New", "source[privacy]": "x"})
    assert (changed.json["display_name"], changed.json["note"]) == ("New", "")
    changed = api.patch("/api/v1/accounts/update_credentials", note="Bio #here")
    assert changed.json["source"]["note"] == "Bio #here"
    assert changed.json["display_name"] == "New"
    assert api.toot("x")["account"]["display_name"] == "New"
    assert ada.get(f"/@{ada.username}").html.select_one("h1").text.strip().startswith("New")


def test_favourites(api: Api, app: Router, bob: Person) -> None:
    other = Api(app).sign_in(bob.username)
    posted = [other.toot(f"tweet {number}")["id"] for number in range(5)]
    for id_ in [*posted, posted[0]]:
        status = api.post(f"/api/v1/statuses/{id_}/favourite").json
        assert (status["id"], status["favourited"], status["favourites_count"]) == (id_, True, 1)
    assert other.get(f"/api/v1/statuses/{posted[0]}").json["favourited"] is False
    page = api.get("/api/v1/favourites?limit=2")
    assert ids(page.json) == posted[:2:-1]
    follow = re.fullmatch(r'<([^>]+)>; rel="next", <([^>]+)>; rel="prev"', page.headers["Link"])
    assert follow is not None
    assert ids(api.get(follow[1]).json) == posted[2:0:-1]
    status = api.post(f"/api/v1/statuses/{posted[4]}/unfavourite").json
    assert (status["favourited"], status["favourites_count"]) == (False, 0)
    assert ids(api.get("/api/v1/favourites").json) == posted[3::-1]
    me = api.get("/api/v1/accounts/verify_credentials").json["id"]
    assert ids(api.get(f"/api/v1/statuses/{posted[0]}/favourited_by").json) == [me]
    api.post("/api/v1/statuses/4096/favourite", 404)
    reader = Api(app).sign_in(bob.username, scope="read")
    reader.post(f"/api/v1/statuses/{posted[0]}/favourite", 403)


def test_reblogs(api: Api, app: Router, bob: Person) -> None:
    other = Api(app).sign_in(bob.username)
    me = api.get("/api/v1/accounts/verify_credentials").json
    first, second = (other.toot(f"tweet {number}")["id"] for number in range(2))
    mine = api.toot("mine")["id"]
    repost = api.post(f"/api/v1/statuses/{first}/reblog").json
    assert repost["id"] != first
    assert repost["account"]["id"] == me["id"]
    assert (repost["reblogged"], repost["reblogs_count"], repost["content"]) == (True, 1, repost["reblog"]["content"])
    original = repost["reblog"]
    assert (original["id"], original["account"]["username"], original["reblog"]) == (first, bob.username, None)
    assert api.post(f"/api/v1/statuses/{repost['id']}/reblog").json["id"] == repost["id"]
    for path in ("/api/v1/timelines/home", f"/api/v1/accounts/{me['id']}/statuses"):
        assert ids(api.get(path).json) == [repost["id"], mine]
        assert ids(api.get(f"{path}?max_id={repost['id']}").json) == [mine]
        assert ids(api.get(f"{path}?since_id={mine}").json) == [repost["id"]]
        assert api.get(path).json[0]["reblog"]["id"] == first
    assert ids(api.get(f"/api/v1/accounts/{me['id']}/statuses?exclude_reblogs=1").json) == [mine]
    assert ids(api.get(f"/api/v1/statuses/{first}/reblogged_by").json) == [me["id"]]
    liked = api.post(f"/api/v1/statuses/{repost['id']}/favourite").json
    assert (liked["id"], liked["favourited"], liked["reblog"]["favourites_count"]) == (repost["id"], True, 1)
    other.request("DELETE", f"/api/v1/statuses/{repost['id']}", 404)
    undone = api.post(f"/api/v1/statuses/{repost['id']}/unreblog").json
    assert (undone["id"], undone["reblogged"], undone["reblogs_count"]) == (first, False, 0)
    api.get(f"/api/v1/statuses/{repost['id']}", 404)
    repost = api.post(f"/api/v1/statuses/{second}/reblog").json
    api.request("DELETE", f"/api/v1/statuses/{repost['id']}")
    assert api.get(f"/api/v1/statuses/{second}").json["reblogs_count"] == 0


def test_search(api: Api, ada: Person, bob: Person) -> None:
    unique = f"needle{bob.username}"
    posted = api.toot(f"{unique} #{unique}")
    found = api.get(f"/api/v2/search?q={unique}&resolve=true").json
    assert (ids(found["statuses"]), [tag["name"] for tag in found["hashtags"]]) == ([posted["id"]], [unique])
    found = api.get(f"/api/v2/search?q=@{bob.username.upper()}&type=accounts&resolve=1").json
    assert [account["acct"] for account in found["accounts"]] == [bob.username]
    assert (found["statuses"], found["hashtags"]) == ([], [])
    assert ids(api.get(f"/api/v2/search?q={posted['url']}&type=statuses").json["statuses"]) == [posted["id"]]
    found = api.get(f"/api/v2/search?q=http://localhost/@{bob.username}").json
    assert [account["acct"] for account in found["accounts"]] == [bob.username]
    assert api.get("/api/v2/search?q=@bob@elsewhere.example").json == {"accounts": [], "statuses": [], "hashtags": []}


def test_posting_in_all_spellings(api: Api) -> None:
    assert (
        "form" in api.post("/api/v1/statuses", status="form 100%ff", sensitive="0", visibility="public").json["content"]
    )
    body = {"status": "json 100%ff", "media_ids": [], "sensitive": False, "in_reply_to_id": None, "poll": None}
    assert "100%ff" in api.send_json("/api/v1/statuses", body).json["content"]
    authorization = {"Authorization": f"Bearer {api.token}"}
    content_type, multipart = api.browser.encode_multipart([("status", "multipart"), ("media_ids[]", "")], [])
    answer = api.browser.post("/api/v1/statuses/", multipart, headers=authorization | {"Content-Type": content_type})
    assert "multipart" in answer.json["content"]
    nameless = multipart.replace(b' name="media_ids[]"', b"")
    assert nameless != multipart
    answer = api.browser.post("/api/v1/statuses/", nameless, headers=authorization | {"Content-Type": content_type})
    assert "multipart" in answer.json["content"]
    assert "query" in api.post("/api/v1/statuses?status=query").json["content"]
    assert "CW" in api.toot("text", spoiler_text="CW")["content"]
    for wrong in ({}, {"status": ""}, {"status": "x" * 141}, {"status": "x", "visibility": "direct"},
                  {"status": "x", "media_ids": ["1"]}, {"status": "x", "in_reply_to_id": "5"},
                  {"status": "x", "in_reply_to_id": "five"}):  # fmt: skip
        status = 404 if wrong.get("in_reply_to_id") == "5" else 422
        assert api.send_json("/api/v1/statuses", wrong, status).json["error"]
    bad = api.browser.post(
        "/api/v1/statuses", "{", headers=authorization | {"Content-Type": "application/json"}, status=400
    )
    assert bad.json["error"].startswith("The body is not JSON")


def test_idempotency_key(api: Api, app: Router, bob: Person) -> None:
    once = api.post("/api/v1/statuses", 200, {"Idempotency-Key": "k"}, status="once").json
    again = api.post("/api/v1/statuses", 200, {"Idempotency-Key": "k"}, status="once").json
    assert once["id"] == again["id"]
    assert api.post("/api/v1/statuses", 200, {"Idempotency-Key": "l"}, status="once").json["id"] != once["id"]
    api.post("/api/v1/statuses", 422, {"Idempotency-Key": "m"}, status="")
    api.post("/api/v1/statuses", 200, {"Idempotency-Key": "m"}, status="now it has a text")
    other = Api(app).sign_in(bob.username)
    assert other.post("/api/v1/statuses", 200, {"Idempotency-Key": "k"}, status="mine").json["id"] != once["id"]


def test_errors_and_headers(api: Api, app: Router) -> None:
    posted = api.post("/api/v1/statuses", status="x")
    assert posted.headers["X-RateLimit-Limit"] == "500"
    assert int(posted.headers["X-RateLimit-Remaining"]) < 500
    assert posted.headers["X-RateLimit-Reset"].endswith("Z")
    assert posted.headers["Access-Control-Allow-Origin"] == "*"
    for path, status in (("/api/v1/nothing", 404), ("/api/v1/accounts/ada", 404), ("/api/v1/streaming", 404),
                         (f"/api/v1/statuses/{'9' * 30}", 404), (f"/api/v1/accounts/{2**63}", 404),
                         ("/api/v1/statuses/007", 404),
                         ("/api/v1/timelines/home?limit=x", 422), ("/api/v1/timelines/home?max_id=-1", 422),
                         ("/api/v1/timelines/home?q=%ff", 400),
                         ("/.well-known/oauth-authorization-server", 404)):  # fmt: skip
        answer = api.get(path, status)
        assert isinstance(answer.json["error"], str), path
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
    refused = api.request("PUT", "/api/v1/timelines/home", 405)
    assert refused.json["error"]
    assert refused.headers["Allow"] == "GET"
    anonymous = Browser(app)
    [node] = anonymous.get("/.well-known/nodeinfo").json["links"]
    assert anonymous.get(node["href"]).json["metadata"]["upstream"] == {"name": "mastodon"}
    assert anonymous.get("/api/v1/instance").json["urls"] == {"streaming_api": ""}
    assert anonymous.get("/api/v2/instance").json["configuration"]["urls"] == {"streaming": ""}
    assert anonymous.get("/api/v1/timelines/home", status=401).json == {"error": "The access token is invalid"}
    assert anonymous.get("/api/v1/timelines/public", headers={"Authorization": "Bearer x"}, status=401)
    assert anonymous.get("/api/v1/instance", headers={"Authorization": "Bearer x"}).json
    asked = anonymous.options(
        "/api/v1/statuses", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    )
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
    assert "Link" in anonymous.get("/api/v1/timelines/public").headers["Access-Control-Expose-Headers"]


def test_limits_of_pages_hold(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url) | {"tweeter.limits.post": "2/hour"}) as app:
        person = someone(app)
        api = Api(app).sign_in(person.username)
        person.send("/tweets", message="on the page")
        api.toot("by the API")
        answer = api.post("/api/v1/statuses", 429, status="too many")
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.headers["Retry-After"]
    assert answer.json["error"]


def test_markers(api: Api, app: Router) -> None:
    assert api.get("/api/v1/markers?timeline[]=home").json == {}
    assert api.post("/api/v1/markers", **{"home[last_read_id]": "5"}).json["home"]["version"] == 1
    assert api.send_json("/api/v1/markers", {"home": {"last_read_id": "7"}}).json["home"]["version"] == 2
    assert api.get("/api/v1/markers?timeline[]=home&timeline[]=notifications").json["home"]["last_read_id"] == "7"
    api.post("/api/v1/markers", 422, **{"home[last_read_id]": "x"})


def test_every_answer_matches_the_document(app: Router, api: Api, bob: Person) -> None:
    described = api.get("/api/openapi.json").json
    validate(described)
    posted = api.toot("Hello #there")
    api.post("/api/v1/markers", **{"home[last_read_id]": "5"})
    Api(app).sign_in(bob.username).post(f"/api/v1/statuses/{posted['id']}/favourite")
    [notified] = api.get("/api/v1/notifications").json
    made = api.post("/api/v1/lists", title="friends").json
    values: dict[str, dict[str, str]] = {
        "id": {
            "statuses": posted["id"],
            "accounts": posted["account"]["id"],
            "notifications": notified["id"],
            "lists": made["id"],
            "timelines": made["id"],
        }
    }
    asked = {
        "lookup": f"?acct={posted['account']['acct']}",
        "search": "?q=there",
        "relationships": "?id=1",
        "markers": "?timeline=home",
    }
    checked = 0
    for each in ENDPOINTS:
        if each.method != "GET" or each.streams:
            continue
        kind = each.path.split("/")[3] if each.path.count("/") > 2 else ""
        path = each.path.replace("{id}", values["id"].get(kind, "")).replace("{hashtag}", "there")
        answer = api.get(path + asked.get(path.rpartition("/")[2], "")).json
        schema = document()["paths"][each.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(schema | {"components": document()["components"]}).validate(answer)
        checked += 1
    assert checked > 50


def test_lists(api: Api, app: Router, bob: Person) -> None:
    tweet = bob.post("hello #tagoflists")
    made = api.post("/api/v1/lists", title="friends").json
    path = f"/api/v1/lists/{made['id']}"
    assert made["title"] == "friends"
    account = api.get(f"/api/v1/accounts/lookup?acct={bob.username}").json["id"]
    api.post(f"{path}/accounts", **{"account_ids[]": account})
    assert [each["id"] for each in api.get(f"{path}/accounts").json] == [account]
    mine = api.get("/api/v1/accounts/verify_credentials").json["id"]
    api.post(f"{path}/accounts", **{"account_ids[]": mine})
    assert len(api.get(f"{path}/accounts?limit=1").json) == 1
    assert {each["id"] for each in api.get(f"{path}/accounts?limit=0").json} == {mine, account}
    api.request("DELETE", f"{path}/accounts?account_ids={mine}", 200)
    assert [each["id"] for each in api.get(f"/api/v1/accounts/{account}/lists").json] == [made["id"]]
    assert [each["id"] for each in api.get(f"/api/v1/timelines/list/{made['id']}").json] == [str(tweet)]
    assert [each["id"] for each in api.get("/api/v1/timelines/tag/TagOfLists").json] == [str(tweet)]
    assert api.get("/api/v1/tags/%23TagOfLists").json["name"] == "tagoflists"
    assert api.get("/api/v1/tags/foo%20bar", status=404).json == {"error": "Record not found"}
    assert api.get("/api/v1/timelines/tag/foo%20bar").json == []
    assert api.request("PUT", path, 200, POST={"title": "others"}).json["title"] == "others"
    assert api.get("/api/v1/lists").json == [{**made, "title": "others"}]
    other = Api(app).sign_in(bob.username)
    for url in (path, f"{path}/accounts", f"/api/v1/timelines/list/{made['id']}"):
        assert other.request("GET", url, "*").status_int == 404
    assert other.request("DELETE", path, "*").status_int == 404
    api.request("DELETE", f"{path}/accounts?account_ids[]={account}", 200)
    assert api.get(f"/api/v1/timelines/list/{made['id']}").json == []
    api.request("DELETE", path, 200)
    assert api.get("/api/v1/lists").json == []


def test_notifications(app: Router, api: Api, ada: Person, bob: Person) -> None:
    other = Api(app).sign_in(bob.username)
    tweet = api.toot("first")["id"]
    assert api.get("/api/v1/notifications").json == []
    reply = other.toot("a reply", in_reply_to_id=tweet)["id"]
    mention = other.toot(f"hello @{ada.username}")["id"]
    for act in ("favourite", "reblog"):
        other.post(f"/api/v1/statuses/{tweet}/{act}")
    other.post(f"/api/v1/accounts/{api.get('/api/v1/accounts/verify_credentials').json['id']}/follow")
    found = api.get("/api/v1/notifications").json
    assert [(each["type"], each["status"] and each["status"]["id"]) for each in found] == [
        ("follow", None), ("reblog", tweet), ("favourite", tweet), ("mention", mention), ("mention", reply)
    ]  # fmt: skip
    assert {each["account"]["acct"] for each in found} == {bob.username}
    assert api.get("/api/v1/notifications/unread_count").json == {"count": 5}
    assert api.get(f"/api/v1/notifications/{found[1]['id']}").json == found[1]
    page = api.get("/api/v1/notifications?limit=2")
    assert page.json == found[:2]
    older = re.findall(r'<http://localhost(.*?)>; rel="next"', page.headers["Link"])
    assert api.get(older[0]).json == found[2:4]
    assert api.get("/api/v1/notifications?types[]=follow&types[]=poll").json == found[:1]
    assert api.get("/api/v1/notifications?types[]=poll").json == []
    assert api.get("/api/v1/notifications?exclude_types[]=mention").json == found[:3]
    mine, bobs = found[1]["status"]["account"]["id"], found[0]["account"]["id"]
    assert api.get(f"/api/v1/notifications?account_id={bobs}").json == found
    assert api.get(f"/api/v1/notifications?account_id={mine}").json == []
    assert api.get(f"/api/v1/notifications?account_id={2**63 - 1}").json == []
    api.send_json("/api/v1/markers", {"notifications": {"last_read_id": found[1]["id"]}})
    assert api.get("/api/v1/notifications/unread_count").json == {"count": 1}
    other.post(f"/api/v1/notifications/{found[0]['id']}/dismiss", 404)
    api.post(f"/api/v1/notifications/{found[0]['id']}/dismiss")
    api.get(f"/api/v1/notifications/{found[0]['id']}", 404)
    assert api.get("/api/v1/notifications").json == found[1:]
    api.post("/api/v1/notifications/clear")
    assert api.get("/api/v1/notifications").json == []
