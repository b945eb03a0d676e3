"""A user's browsers, one for each process of the site: every request goes to one of them at random."""

import http.client
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from tweeter.bench.browser import Answer, Browser
from tweeter.bench.chaos.history import History, Shown
from tweeter.devtools.servers.processes import SiteProcess
from tweeter.values import Timeline

PRIMARY = "primary"  # as in `History.outages`
LIMIT = 100  # tweets of a page

_ARTICLE = re.compile(r'<article[^>]* data-tweet-id="(\d+)"[^>]*>\s*<a[^>]* href="/@(\w+)"')


class Visitor:
    """Implements `Site` for one user over HTTP. It complains about responses that no outage explains."""

    def __init__(self, name: str, history: History, sites: Mapping[str, SiteProcess], seed: int) -> None:
        self._name = name
        self._users = {name: user for user, name in history.names.items()}
        self._history = history
        self._browsers = {part: Browser(site.address) for part, site in sites.items()}
        self._parts: Sequence[str] = sorted(sites)
        self._chance = random.Random(seed)  # noqa: S311 (no secret)

    def sign_in(self, password: str) -> None:
        """In each browser. Raises CommandError."""
        for browser in self._browsers.values():
            browser.sign_in(self._name, password)
            browser.get("/")  # has the form's token

    def close(self) -> None:
        for browser in self._browsers.values():
            browser.close()

    def post(self, message: str) -> bool:
        return self._write("/tweets", "/", message=message)

    def delete(self, tweet: int) -> bool:
        return self._write(f"/tweets/{tweet}/delete", f"/@{self._name}")

    def follow(self, name: str, begin: bool) -> bool:
        return self._write(f"/@{name}/{'follow' if begin else 'unfollow'}", f"/@{name}")

    def page(self, timeline: Timeline) -> Shown | None:
        path = "/" if timeline.kind == "home" else f"/@{self._history.names[timeline.owner]}"
        answer = self._ask(lambda browser: browser.get(f"{path}?limit={LIMIT}"))
        if answer is None:
            return None
        if answer.status != http.client.OK:
            self._history.complain(f"{self._name} got {answer.status} from {path}")
            return None
        tweets = {int(id_): self._users.get(name, 0) for id_, name in _ARTICLE.findall(answer.text)}
        if len(tweets) != len(answer.tweets):
            self._history.complain(f"{self._name} was shown a tweet twice, or one without author")
        return Shown(tweets, answer.served_by, "data-older" in answer.text)

    def served_by(self, part: str) -> str:
        """The backend that serves the home page of a process, without checks; empty if it does not respond."""
        with suppress(OSError, http.client.HTTPException):
            return self._browsers[part].get("/").served_by
        self._browsers[part].close()
        return ""

    def metrics(self, part: str) -> str:
        """The text of /metrics; empty if the process does not respond."""
        with suppress(OSError, http.client.HTTPException):
            return self._browsers[part].get("/metrics").text
        self._browsers[part].close()
        return ""

    def _write(self, path: str, onward: str, **fields: str) -> bool:
        """Whether it was acknowledged: a redirect to the page that follows."""
        answer = self._ask(lambda browser: browser.send(path, **fields))
        if answer is None:
            return False
        location = answer.headers.get("Location", "")
        if answer.status == http.client.SEE_OTHER and location.partition("?")[0] == onward:
            return True
        self._history.complain(f"{self._name} got {answer.status} {location} from {path}")
        return False

    def _ask(self, request: Callable[[Browser], Answer]) -> Answer | None:
        """The response of one of the sites. None if its process is dead, or if it failed."""
        part = self._chance.choice(self._parts)
        outages = self._history.outages
        began = time.monotonic()
        try:
            answer = request(self._browsers[part])
        except (OSError, http.client.HTTPException) as error:
            self._browsers[part].close()
            self._count(unanswered=1)
            if not outages.during(part, began, time.monotonic()):
                self._history.complain(f"{part} runs, and did not respond: {error!r}")
            time.sleep(0.02)
            return None
        if answer.status >= http.client.INTERNAL_SERVER_ERROR:
            self._count(failed=1)
            if not outages.during(PRIMARY, began, time.monotonic()):
                self._history.complain(f"{part} responded {answer.status}, and the primary runs")
            time.sleep(0.02)
            return None
        self._count()
        return answer

    def _count(self, failed: int = 0, unanswered: int = 0) -> None:
        """A request counts when it ends: what a kill breaks belongs to that kill."""
        tally = self._history.tally
        tally.requests += 1
        tally.failed += failed
        tally.unanswered += unanswered
