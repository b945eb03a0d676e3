"""Client addresses and host names: local and remote clients behind a proxy, and rejected hosts."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyramid.request import Request
from pyramid.router import Router

from tests.conftest import HERE, ROOT, running, serving
from tests.support.people import PASSWORD, Browser, Person
from tweeter.bench.web import server_settings
from tweeter.errors import SettingError
from tweeter.settings import read_ini
from tweeter.web.clients import client_network, is_allowed, is_from, parse_hosts, parse_networks, split_host

SECRET = "0123456789abcdef" * 2


@pytest.fixture
def site_with(sqlite_url: str) -> Iterator[Callable[..., Router]]:
    with ExitStack() as stack:

        def start(own: dict[str, str] | None = None, ini: str = "testing.ini") -> Router:
            settings = read_ini(str(ROOT / ini), {}) | {"sqlalchemy.url": sqlite_url}
            return stack.enter_context(running(settings | {"tweeter.secret": SECRET} | (own or {})))

        yield start


# pages for local clients


def visitor(peer: str, **headers: str) -> Request:
    environ = {"REMOTE_ADDR": peer} | {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    return Request.blank("/", environ)


@pytest.mark.parametrize(
    ("peer", "headers", "here"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("::ffff:127.0.0.1", {}, True),
        ("10.0.0.7", {}, True),
        ("192.0.2.1", {}, False),
        ("", {}, False),
        ("localhost", {}, False),
        # a proxy on this machine with a remote client
        ("127.0.0.1", {"x_forwarded_for": "203.0.113.9"}, False),
        ("127.0.0.1", {"x_forwarded_for": "10.0.0.7, 203.0.113.9"}, False),
        ("127.0.0.1", {"x_forwarded_for": "203.0.113.9, 10.0.0.7"}, False),
        ("127.0.0.1", {"x_forwarded_for": "2001:db8::1"}, False),
        ("127.0.0.1", {"forwarded": 'for=203.0.113.9;proto=http, for="[2001:db8::1]:4711"'}, False),
        ("127.0.0.1", {"forwarded": "proto=https"}, False),
        ("127.0.0.1", {"x_real_ip": "203.0.113.9"}, False),
        ("127.0.0.1", {"via": "1.1 proxy"}, False),
        ("127.0.0.1", {"x_forwarded_proto": "https"}, False),
        ("127.0.0.1", {"x_forwarded_host": "example.org"}, False),
        ("10.0.0.7", {"x_forwarded_for": "203.0.113.9"}, False),
        # and for remote clients that claim to be local
        ("127.0.0.1", {"x_forwarded_for": "127.0.0.1"}, False),
        ("127.0.0.1", {"x_forwarded_for": "::1"}, False),
        ("127.0.0.1", {"forwarded": "for=127.0.0.1"}, False),
        ("127.0.0.1", {"x_forwarded_for": ""}, False),
        ("127.0.0.1", {"x_forwarded_for": "unknown"}, False),
        ("127.0.0.1", {"x_forwarded_for": "10.0.0.7", "x_real_ip": "203.0.113.9"}, False),
        ("192.0.2.1", {"x_forwarded_for": "127.0.0.1"}, False),
        ("192.0.2.1", {"x_forwarded_for": "10.0.0.7"}, False),
        # and for allowed clients
        ("127.0.0.1", {"x_forwarded_for": "10.0.0.7"}, True),
        ("127.0.0.1", {"x_forwarded_for": "10.0.0.7:1234", "x_forwarded_proto": "https"}, True),
        ("127.0.0.1", {"forwarded": 'For="10.0.0.7:80"; proto=https'}, True),
        ("10.0.0.7", {"x_forwarded_for": "10.0.0.7"}, True),  # as waitress sets it behind a trusted proxy
    ],
)
def test_local_clients_are_recognized(peer: str, headers: dict[str, str], here: bool) -> None:
    networks = parse_networks("127.0.0.1 ::1 10.0.0.0/8", "tweeter.metrics")
    assert is_from(networks, visitor(peer, **headers)) is here


@given(st.text(), st.text(), st.text())
def test_headers_do_not_grant_access(forwarded_for: str, forwarded: str, via: str) -> None:
    networks = parse_networks("127.0.0.1 ::1", "tweeter.metrics")
    for headers in ({"x_forwarded_for": forwarded_for}, {"forwarded": forwarded}, {"via": via}):
        assert not is_from(networks, visitor("127.0.0.1", **headers))


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("", ""),
        ("localhost", ""),
    ],
)
def test_address_used_by_rate_limits(peer: str, network: str) -> None:
    assert client_network(visitor(peer, x_forwarded_for="198.51.100.7")) == network


def status(address: str, path: str, cookie: str = "", **headers: str) -> int:
    """Sends a request to a real server."""
    with closing(http.client.HTTPConnection(address.removeprefix("http://"))) as connection:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=sent | ({"Cookie": cookie} if cookie else {}))
        return connection.getresponse().status


@pytest.mark.parametrize("header", [{"X_Forwarded_For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}])
def test_development_ini_shows_nothing_to_the_world_behind_a_local_proxy(
    site_with: Callable[..., Router], header: dict[str, str]
) -> None:
    """The same with its server settings, by which waitress keeps the headers, and the debug toolbar."""
    ini = str(ROOT / "development.ini")
    app = site_with({"pyramid.includes": "pyramid_debugtoolbar"}, ini="development.ini")
    with serving(app, **server_settings(ini)) as address:
        ada = Person(Browser(app, HERE), "Ada")
        cookie = "; ".join(f"{name}={value}" for name, value in ada.browser.cookies.items())
        for path in ("/metrics", "/_debug_toolbar/", "/lab", "/lab/steps", "/lab/live"):
            assert status(address, path, cookie) == 200, path
            assert status(address, path, cookie, **header) in (403, 404), path
        assert status(address, "/", cookie, **header) == 200


def test_remote_clients_see_no_trace_of_the_lab(site_with: Callable[..., Router]) -> None:
    app = site_with({"tweeter.lab": "true", "tweeter.lab.backends": "sql memory", "tweeter.lab.hosts": "192.0.2.0/24"})
    there, here = (Person(Browser(app, {"REMOTE_ADDR": peer})) for peer in ("192.0.2.7", "127.0.0.1"))
    for person, name in ((there, "there"), (here, "here")):
        person.sign_up(name)
    assert 'href="/lab"' in there.get("/").text
    there.send("/lab/switch", backend="memory", status=303)
    assert 'href="/lab"' not in here.get("/").text
    for page in ("/lab", "/lab/steps", "/lab/live", "/lab/progress"):
        here.get(page, status=404)
    for button in ("/lab/switch", "/lab/store", "/lab/post", "/lab/tidy"):
        here.send(button, backend="memory", action="empty", status=404)
    with pytest.raises(SettingError, match=r"tweeter\.lab\.hosts must be addresses or networks"):
        site_with({"tweeter.lab": "true", "tweeter.lab.hosts": "nearby"})


# host names


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("example.org", "example.org"),
        ("Example.ORG:8080", "example.org"),
        ("example.org.", "example.org"),
        ("[::1]:80", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]"),
        ("127.0.0.1:6543", "127.0.0.1"),
        ("my_site", "my_site"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        *(
            (bad, "")
            for bad in ("", "a b", "a:b", "a:1:2", "a/b", "a@b", "<b>", "é.example", "[::1", "a,b", ":80", "a?")
        ),
    ],
)
def test_the_name_in_a_host_header(header: str, name: str) -> None:
    assert split_host(header) == name


def test_allowed_hosts_are_names_or_domains_with_subdomains() -> None:
    hosts = parse_hosts("Example.org, .example.net [::1]")
    for good in ("example.org", "example.net", "www.example.net", "a.b.example.net", "[::1]"):
        assert is_allowed(hosts, good), good
    for bad in ("www.example.org", "evil.example", "badexample.net", "example.org.evil.example", "", "net"):
        assert not is_allowed(hosts, bad), bad
    assert is_allowed(parse_hosts(""), "anything")
    for wrong in ("https://example.org", "example.org:443", "example.org/", "*", "a b@c"):
        with pytest.raises(SettingError, match=r"tweeter\.allowed_hosts"):
            parse_hosts(wrong)


URLS = ("/", "/login", "/@nobody", "/static/style.css", "/healthz", "/nothing", "/newer?timeline=public&since=0")


def test_other_hosts_get_400(site_with: Callable[..., Router]) -> None:
    app = site_with({"tweeter.allowed_hosts": "example.org .example.net"})
    browser = Browser(app)
    for host in ("example.org", "EXAMPLE.org:6543", "www.example.net"):
        for url in URLS:
            assert browser.get(url, headers={"Host": host}, status="*").status_int in (200, 404), (host, url)
    for host in (
        "evil.example",
        "example.org.evil.example",
        "localhost",
        "example.org@evil.example",
        "a b",
        "127.0.0.1",
    ):
        for url in URLS:
            page = browser.get(url, headers={"Host": host}, status=400)
            assert "evil" not in page.text
            assert "Location" not in page.headers
    page = browser.post("/login", {"username": "Ada"}, headers={"Host": "evil.example"}, status=400)
    assert "does not have that host name" in page.text


def test_forwarded_hosts_are_checked(site_with: Callable[..., Router]) -> None:
    """Only if waitress trusts the proxy."""
    app = site_with({"tweeter.allowed_hosts": "example.org 127.0.0.1"})
    with serving(app) as address:
        assert status(address, "/", X_Forwarded_Host="evil.example") == 200
        assert status(address, "/", Host="evil.example", X_Forwarded_Host="example.org") == 400
    trusting: dict[str, Any] = {"trusted_proxy": "127.0.0.1", "trusted_proxy_headers": "x-forwarded-host"}
    with serving(app, **trusting) as address:
        assert status(address, "/", X_Forwarded_Host="evil.example") == 400
        assert status(address, "/", Host="backend.invalid", X_Forwarded_Host="example.org") == 200


REDIRECTS = ("/settings", "/mentions", "/static/", "/static//evil.example", "/@ADA", "/@ADA/followers?limit=5")


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}])
def test_redirects_do_not_expose_the_host_header(site_with: Callable[..., Router], header: dict[str, str]) -> None:
    app = site_with()
    Person(Browser(app), "Ada")
    browser = Browser(app)
    for url in REDIRECTS:
        answer = browser.get(url, headers=header, status="*")
        location = answer.headers.get("Location", "/")
        assert location.startswith("/")
        assert not location.startswith("//")
        assert "evil.example" not in answer.text.replace("/static//evil.example", "")
    answer = browser.post("/tweets", {}, headers=header, status=303)
    assert answer.headers["Location"] == "/login?next=/"
    token = browser.get("/login", headers=header).forms[0]["csrf_token"].value
    answer = browser.post(
        "/login", {"csrf_token": token, "username": "Ada", "password": PASSWORD, "next": "/@Ada"}, headers=header
    )
    assert answer.headers["Location"] == "/@Ada"


# https


def test_production_over_https_stays_on_https(site_with: Callable[..., Router]) -> None:
    production = site_with({"tweeter.production": "true"})
    https = {"wsgi.url_scheme": "https", "HTTP_HOST": "example.org"}
    for url in (*URLS, "/settings", "/%ff"):
        header = Browser(production, https).get(url, status="*").headers["Strict-Transport-Security"]
        assert header == "max-age=31536000"
        assert "Strict-Transport-Security" not in Browser(production).get(url, status="*").headers
    for url in URLS:
        assert "Strict-Transport-Security" not in Browser(site_with(), https).get(url, status="*").headers
