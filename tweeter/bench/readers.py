"""Two readers for `tweeter bench page`: one with few followees, one with many; both see the same newest tweets."""

import http.client
import json
import time
from itertools import count as numbers
from urllib.parse import parse_qs, urlsplit

from pyramid.registry import Registry
from sqlalchemy import select

from tweeter.bench.browser import Browser
from tweeter.bench.plain import Constants
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError
from tweeter.ids import first_id_of_ms
from tweeter.interfaces import ITimelines
from tweeter.models import User
from tweeter.values import Cursor, Timeline
from tweeter.web.security import IDENTITY_COLUMNS, Identity

FEW = 10  # followees
MOST = 100  # tweets on a page
RECENT = 80  # tweets of each of the few: both timelines are full, and differ by the followees only
PASSWORD = "only for measuring"  # noqa: S105 (no other user can reach the site)
OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
WARM = 30  # seconds to wait until the store serves pages

MESSAGES = (
    "The kettle has opinions about the weather, and so have I.",
    "Reading @user{} on small machines: the cheapest request is the one nobody makes. #slowweb",
    "Notes are at https://example.org/notes/{} if anybody wants them, crossings-out & all.",
    "Second coffee. The deploy went out before the first <3",
)


def fill(scratch: Scratch, registry: Registry, followees: int) -> tuple[Identity, Identity]:
    """Two readers, one with few followees, one with many; both see the same newest tweets."""
    moment = numbers(time.time_ns() // 1_000_000 - 30 * 24 * 3600 * 1000, 60_000)  # a tweet a minute
    few = min(FEW, followees)
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(followees)
        readers = rows.people(2, "reader", registry["passwords"].hash(PASSWORD))
        pairs = [(readers[0], author) for author in authors[:few]] + [(readers[1], author) for author in authors]
        rows.follows(pairs, len(pairs))
        by = [*authors, *(authors[n % few] for n in range(few * RECENT))]
        tweets = [(first_id_of_ms(next(moment)), by[n], MESSAGES[n % len(MESSAGES)].format(n)) for n in range(len(by))]
        rows.tweets(tweets, len(tweets))
    with registry.database.sessions() as session:
        found = session.execute(select(*IDENTITY_COLUMNS).where(User.id.in_(readers)).order_by(User.id)).all()
    one, other = (Identity(*row) for row in found)
    return one, other


def sign_in(browser: Browser, username: str, backend: str) -> None:
    """Signs in, and reads until the backend's store serves the page. Raises CommandError if it does not."""
    browser.sign_in(username, PASSWORD)
    deadline = time.monotonic() + WARM
    while True:
        answer = browser.get(f"/?limit={MOST}")
        if answer.served_by == backend:
            return
        if answer.status != http.client.OK or time.monotonic() > deadline:
            raise CommandError(f"The site does not serve pages from {backend}: {answer.status}")
        time.sleep(0.1)


def token_of(browser: Browser) -> str:
    """The token of an application to which the browser's user gives access."""
    app = json.loads(browser.send("/api/v1/apps", client_name="Benchmark", redirect_uris=OUT_OF_BAND).text)
    known = {"client_id": app["client_id"], "redirect_uri": OUT_OF_BAND}
    allowed = browser.send("/oauth/authorize", decision="allow", response_type="code", scope="read", **known)
    [code] = parse_qs(urlsplit(allowed.headers["Location"]).query)["code"]
    grant = {"grant_type": "authorization_code", "client_secret": app["client_secret"]}
    return str(json.loads(browser.send("/oauth/token", code=code, **grant, **known).text)["access_token"])


def constants(registry: Registry, reader: Identity) -> Constants:
    """The reader's home page, for the rivals."""
    page = registry.getUtility(ITimelines).page(Timeline("home", reader.id), Cursor(limit=MOST))
    return Constants(reader, page.tweets, f"/?before={page.older}")
