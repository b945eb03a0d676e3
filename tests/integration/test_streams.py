"""Streams of the API, through a real Pushpin."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from queue import SimpleQueue
from typing import Any

import pytest
import websocket
from mastodon import Mastodon, StreamListener
from prometheus_client import REGISTRY
from pyramid.router import Router

from tests.conftest import running, settings_of
from tests.support.api import Api, someone
from tests.support.streams import Events, reconnect, streaming_site
from tweeter.devtools.servers import Pushpin

Site = tuple[Router, Pushpin]


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    url = request.getfixturevalue(f"{request.param}_url")
    with streaming_site(url, **{"tweeter.timelines": "memory" if request.param == "sqlite" else "sql"}) as site:
        yield site


def test_streams_say_what_happens(site: Site) -> None:
    app, pushpin = site
    ada, bob, eve = someone(app), someone(app), someone(app)
    reader, writer = Api(app).sign_in(ada.username), Api(app).sign_in(bob.username)
    ada.follow(bob.username)
    ada.follow(eve.username)
    base = f"{pushpin.url}/api/v1/streaming"
    made = reader.post("/api/v1/lists", title="friends").json["id"]
    account = reader.get(f"/api/v1/accounts/lookup?acct={bob.username}").json["id"]
    reader.post(f"/api/v1/lists/{made}/accounts", **{"account_ids[]": account})
    paths = ("user", "public", "public/local", f"list?list={made}", "hashtag?tag=%23Unheard")
    streams = [Events(f"{base}/{path}", reader.token) for path in paths]
    nobody = Events(f"{base}/public")
    posted = writer.toot("Hello #unheard")
    for stream in (*streams, nobody):
        name, status = stream.next()
        assert (name, status["id"]) == ("update", posted["id"])
        assert "Hello" in status["content"]
        assert status["url"] == f"{pushpin.url}/tweets/{posted['id']}"
    writer.request("DELETE", f"/api/v1/statuses/{posted['id']}")
    for stream in (*streams, nobody):
        assert stream.next() == ("delete", posted["id"])

    ada.send(f"/@{eve.username}/mute")
    eve.post("from a muted author")
    theirs = eve.ids(f"/@{eve.username}")[0]
    writer.post(f"/api/v1/statuses/{theirs}/reblog")
    seen = writer.toot(f"@{ada.username} hi")
    assert nobody.next()[1]["id"] == str(theirs)
    for stream in streams[:4]:
        assert stream.next()[1]["id"] == seen["id"]
    name, notification = streams[0].next()
    assert (name, notification["type"], notification["status"]["id"]) == ("notification", "mention", seen["id"])
    assert streams[4].within(0.1) is None
    for stream in (*streams, nobody):
        stream.close()


def test_a_stream_without_the_scope_of_notifications_has_none(site: Site) -> None:
    app, pushpin = site
    ada, bob = someone(app), someone(app)
    reader, writer = Api(app).sign_in(ada.username, scope="read:statuses"), Api(app).sign_in(bob.username)
    ada.follow(bob.username)
    with Events(f"{pushpin.url}/api/v1/streaming/user", reader.token) as stream:
        first, second = writer.toot(f"@{ada.username} hi"), writer.toot("no mention")
        assert [stream.next()[1]["id"] for _ in range(2)] == [first["id"], second["id"]]


def test_those_who_saw_a_repost_learn_of_the_deletion_of_the_tweet(site: Site) -> None:
    app, pushpin = site
    ada, bob, eve = someone(app), someone(app), someone(app)
    reader, author, reposter = (Api(app).sign_in(each.username) for each in (ada, eve, bob))
    ada.follow(bob.username)  # and not the author
    theirs = author.toot("Repost this")["id"]
    with closing(Events(f"{pushpin.url}/api/v1/streaming/user", reader.token)) as stream:
        repost = reposter.post(f"/api/v1/statuses/{theirs}/reblog").json["id"]
        name, status = stream.next()
        assert (name, status["id"], status["reblog"]["id"]) == ("update", repost, theirs)
        author.request("DELETE", f"/api/v1/statuses/{theirs}")
        assert stream.next() == ("delete", theirs)


def test_metrics_show_the_streams_and_the_delay_of_their_events(site: Site) -> None:
    app, pushpin = site
    ada = someone(app)
    api = Api(app).sign_in(ada.username)
    shown = {
        "updates": ("tweeter_stream_events_total", {"event": "update"}),
        "delays": ("tweeter_stream_delay_seconds_count", {}),
    }
    before = {name: REGISTRY.get_sample_value(*sample) or 0 for name, sample in shown.items()}
    with closing(Events(f"{pushpin.url}/api/v1/streaming/user", api.token)) as stream:
        api.toot("Hello")
        assert stream.next()[0] == "update"
        assert REGISTRY.get_sample_value("tweeter_stream_channels") == 1
    assert REGISTRY.get_sample_value(*shown["updates"]) == before["updates"] + 1
    deadline = time.monotonic() + 10
    while REGISTRY.get_sample_value(*shown["delays"]) == before["delays"]:  # after it was sent
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_streams_need_a_token_and_end_with_it(site: Site) -> None:
    app, pushpin = site
    ada = someone(app)
    api = Api(app).sign_in(ada.username)
    base = f"{pushpin.url}/api/v1/streaming"
    for path, status in (("user", 401), ("list?list=5", 401), ("hashtag?tag=", 400), ("nothing", 404)):
        with pytest.raises(ConnectionError, match=str(status)):
            Events(f"{base}/{path}")
    with pytest.raises(ConnectionError, match="404"):
        Events(f"{base}/list?list=5", api.token)
    stream = Events(f"{base}/user?access_token={api.token}")
    api.post("/oauth/revoke", token=api.token, **api.keys)
    with pytest.raises(EOFError):
        stream.next()
    stream.close()
    with pytest.raises(ConnectionError, match="401"):
        Events(f"{base}/user?access_token={api.token}")


def test_the_stream_of_a_page_ends_with_its_session(site: Site) -> None:
    app, pushpin = site
    ada, bob = someone(app), someone(app)
    ada.follow(bob.username)
    url, cookie = f"{pushpin.url}/live?timeline=home", f"ticket={ada.browser.cookies['ticket']}"
    with pytest.raises(ConnectionError, match="401"):
        Events(url)
    with Events(url, first="retry", Cookie=cookie) as stream:
        ada.post("mine is on the page already")
        theirs = bob.post("hello")
        assert stream.next() == ("update", str(theirs))
        bob.delete(theirs)
        assert stream.next() == ("delete", str(theirs))
        ada.sign_out()
        with pytest.raises(EOFError):
            stream.next()


def test_without_pushpin_streams_do_not_exist(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url)) as app:
        for path in ("", "/user", "/public", "/health"):
            error = Api(app).get(f"/api/v1/streaming{path}", 404).json["error"]
            assert "Pushpin" in error


def test_a_request_past_pushpin_is_not_held(site: Site) -> None:
    app, _ = site
    assert "Pushpin" in Api(app).get("/api/v1/streaming/public", 404).json["error"]


def test_streams_work_again_after_pushpin_was_killed(site: Site) -> None:
    app, pushpin = site
    api = Api(app).sign_in(someone(app).username)
    url = f"{pushpin.url}/api/v1/streaming/user"
    stream = Events(url, api.token)
    pushpin.kill()
    with pytest.raises((EOFError, OSError)):
        stream.next()
    stream.close()
    api.toot("unheard")
    pushpin.start()
    deadline = time.monotonic() + 20
    posted = set()
    while True:
        with reconnect(url, api.token) as stream:
            while not app.registry["streams"].listening:  # until the publisher has reconnected, too
                assert time.monotonic() < deadline
                time.sleep(0.01)
            posted.add(api.toot("heard")["id"])
            with suppress(EOFError):  # it ends a stream that may have missed an event
                assert stream.next()[1]["id"] in posted
                break


def test_a_websocket_has_several_streams(site: Site) -> None:
    app, pushpin = site
    ada, bob = someone(app), someone(app)
    reader, writer = Api(app).sign_in(ada.username), Api(app).sign_in(bob.username)
    ada.follow(bob.username)
    address = f"{pushpin.url.replace('http', 'ws')}/api/v1/streaming"
    for path, options in (
        ("?stream=user", {"subprotocols": [reader.token]}),
        (f"?stream=user&access_token={reader.token}", {"origin": "https://client.example"}),
        ("?stream=user", {"header": [f"Authorization: Bearer {reader.token}"]}),
    ):
        with closing(websocket.create_connection(address + path, timeout=5, **options)) as connected:
            posted = writer.toot("Hello #tagged")
            event = json.loads(connected.recv())
            assert (event["stream"], event["event"]) == (["user"], "update")
            assert json.loads(event["payload"])["id"] == posted["id"]
    with closing(websocket.create_connection(address, timeout=5, subprotocols=[reader.token])) as connected:
        for order in (
            {"type": "subscribe", "stream": "hashtag", "tag": "Tagged"},
            {"type": "subscribe", "stream": "public"},
            {"type": "unsubscribe", "stream": "public"},
        ):
            connected.send(json.dumps(order))
        for order, status in (
            ({"type": "subscribe", "stream": "list", "list": "77"}, 404),
            ({"type": "subscribe", "stream": "nothing"}, 400),
            ({"type": "dance"}, 400),
        ):
            connected.send(json.dumps(order))
            assert json.loads(connected.recv())["status"] == status
        writer.toot("without")
        posted = writer.toot("with #tagged")
        event = json.loads(connected.recv())
        assert (event["stream"], event["event"]) == (["hashtag", "Tagged"], "update")
        assert json.loads(event["payload"])["id"] == posted["id"]
        writer.request("DELETE", f"/api/v1/statuses/{posted['id']}")
        event = json.loads(connected.recv())
        assert (event["event"], event["payload"]) == ("delete", posted["id"])
        reader.post("/oauth/revoke", token=reader.token, **reader.keys)
        opcode, _ = connected.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        connected.shutdown()  # `close` leaves it open then
    for path in ("?stream=user", "?stream=list&list=5"):
        with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
            websocket.create_connection(address + path, timeout=5)


class Heard(StreamListener):
    """What an unmodified client hears."""

    def __init__(self) -> None:
        self.events: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def on_update(self, status: Any) -> None:
        self.events.put(("update", str(status.id)))

    def on_delete(self, status_id: Any) -> None:
        self.events.put(("delete", str(status_id)))

    def on_notification(self, notification: Any) -> None:
        self.events.put((notification.type, str(notification.status.id)))


def test_mastodon_py_listens(sqlite_url: str) -> None:
    with streaming_site(sqlite_url) as (app, pushpin):
        ada, bob = someone(app), someone(app)
        reader, writer = Api(app).sign_in(ada.username), Api(app).sign_in(bob.username)
        client, heard = Mastodon(access_token=reader.token, api_base_url=pushpin.url), Heard()
        assert client.stream_healthy()
        handle = client.stream_user(heard, run_async=True)
        while not app.registry["streams"].listening:
            time.sleep(0.01)
        mine = reader.toot("mine")["id"]
        assert heard.events.get(timeout=5) == ("update", mine)
        writer.post(f"/api/v1/statuses/{mine}/favourite")
        assert heard.events.get(timeout=5) == ("favourite", mine)
        reader.request("DELETE", f"/api/v1/statuses/{mine}")
        assert heard.events.get(timeout=5) == ("delete", mine)
        handle.close()


def test_pages_of_other_origins_may_listen(sqlite_url: str) -> None:
    with streaming_site(sqlite_url) as (app, pushpin):
        api = Api(app).sign_in(someone(app).username)
        with Events(f"{pushpin.url}/api/v1/streaming/user?access_token={api.token}", Origin="https://a.example") as it:
            assert it.response.headers["Access-Control-Allow-Origin"] == "*"
            assert it.response.headers["Content-Type"].startswith("text/event-stream")
        urls = api.get("/api/v1/instance").json["urls"]
        assert urls == {"streaming_api": "ws://localhost"}


def test_more_clients_reconnect_at_once_than_the_site_takes_connections(sqlite_url: str) -> None:
    """None waits until another's connection to the site is closed. Pushpin refuses some: its queues take 100."""
    waiting = 300  # waitress takes 100
    deadline = time.monotonic() + 20
    with streaming_site(sqlite_url) as (_, pushpin), ExitStack() as stack:
        while waiting:
            address = (pushpin.host, pushpin.port)
            sockets = [stack.enter_context(socket.create_connection(address, 20)) for _ in range(waiting)]
            for each in sockets:
                each.sendall(b"GET /api/v1/streaming/public HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers = [each.recv(12) for each in sockets]
            assert set(answers) <= {b"HTTP/1.1 200", b"HTTP/1.1 502"}
            waiting = answers.count(b"HTTP/1.1 502")
            assert time.monotonic() < deadline
