"""`tweeter visit`: what a page costs on the network: its requests and bytes at the first visit, and an hour later."""

import argparse
import http.client
import re
from contextlib import closing
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from tweeter.bench.figures import Table, show
from tweeter.console.commands import CommandError

CODINGS = {"uncompressed": "", "gzip": "gzip", "brotli": "br", "as browsers ask": "gzip, deflate, br, zstd"}
LATER = 3600  # seconds between the visits
PATIENCE = 30

_age = re.compile(r"max-age=(\d+)").search


class Response(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes
    size: int  # of headers and body

    @property
    def kept(self) -> bool:
        """Whether a browser still uses it an hour later without asking."""
        caching = self.headers.get("Cache-Control", "")
        age = _age(caching)
        return "no-store" not in caching and "no-cache" not in caching and age is not None and int(age[1]) >= LATER


class Files(HTMLParser):
    """The addresses of the files that a page loads."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self._base = base
        self.found: dict[str, None] = {}  # in order

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = {"img": "src", "script": "src", "link": "href", "use": "href"}.get(tag, "")
        address = given.get(name) or ""
        if not address or address.startswith(("#", "data:")):
            return
        if tag != "link" or {"stylesheet", "icon"} & set((given.get("rel") or "").split()):
            self.found[urljoin(self._base, address).partition("#")[0]] = None


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "visit",
        help="count the requests and bytes of a page",
        description=f"""Loads a page of a running site and its files in each content coding, as a browser without
        cookies: first with an empty cache, and {LATER // 60} minutes later only what Cache-Control does not let it
        keep, with the ETags that it has. Bytes include the headers of the responses.""",
    )
    parser.add_argument("url", metavar="URL", help="the page, for example http://localhost:6543/public")


def run(args: argparse.Namespace) -> int:
    url = urlsplit(args.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise CommandError(f"{args.url} is no URL of a page; an example is http://localhost:6543/public")
    rows = [[name, *_visits(url, coding)] for name, coding in CODINGS.items()]
    head = ("", "page", "requests", "bytes", "requests later", "bytes later")
    show(Table(f"{args.url}: first visit, and {LATER // 60} minutes later", head, rows, left=1))
    return 0


def _visits(url: SplitResult, coding: str) -> list[int]:
    """The bytes of the page's body; then requests and bytes of the first and of the second visit."""
    connect = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    page = _path(url)
    with closing(connect(url.hostname or "", url.port, timeout=PATIENCE)) as connection:
        plain = _get(connection, page, "")
        if plain.status != http.client.OK:
            raise CommandError(f"{url.geturl()} has status {plain.status}")
        files = Files(url.geturl())
        files.feed(plain.body.decode(errors="replace"))
        paths = [_path(address) for address in map(urlsplit, files.found) if address.netloc == url.netloc]
        first = {path: _get(connection, path, coding) for path in (page, *paths)}
        again = [_get(connection, path, coding, known) for path, known in first.items() if not known.kept]
    sizes = [response.size for response in first.values()], [response.size for response in again]
    return [len(first[page].body), *(number for visit in sizes for number in (len(visit), sum(visit)))]


def _path(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")


def _get(connection: http.client.HTTPConnection, path: str, coding: str, known: Response | None = None) -> Response:
    headers = {"Accept-Encoding": coding or "identity"}
    if known and (etag := known.headers.get("ETag")):
        headers["If-None-Match"] = etag
    elif known and (modified := known.headers.get("Last-Modified")):
        headers["If-Modified-Since"] = modified
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    status_line = len(f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n")
    size = status_line + len(body) + sum(len(f"{name}: {value}\r\n") for name, value in response.headers.items())
    return Response(response.status, response.headers, body, size)
