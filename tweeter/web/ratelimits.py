"""Rate limits per account and per address, and limits on wrong passwords: `tweeter.limits.post = 500/hour`.

A view names its limit, `@view_config(…, limit="post")`; then each valid request counts for the account, or for the
address if it is anonymous. A request over the limit raises TooManyRequests before the view runs.

The counters come from the `limits` library (a sliding window). All processes share them if the backend provides a
storage: a function `limits_storage(settings)` in its module. `tweeter.limits.storage` selects another backend for it.
While that storage fails, each process counts in its own memory.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from operator import itemgetter, methodcaller
from typing import Any

import limits
from limits.storage import MemoryStorage, Storage
from limits.strategies import SlidingWindowCounterRateLimiter
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from tweeter.errors import SettingError, TooManyRequests
from tweeter.outbox.site import site_id
from tweeter.plugins import load, with_declared
from tweeter.settings import KNOWN
from tweeter.text import USERNAME
from tweeter.timelines import BACKENDS
from tweeter.web.clients import client_network, may_be_proxy
from tweeter.web.cookies import Headers, KnownBrowser

log = logging.getLogger(__name__)

PREFIX = "tweeter.limits."
NONE = "none"
PAUSE = 5.0  # seconds after a failure until a request tries the shared storage again
HINT_EVERY = 60.0  # seconds
NAMES = [key.removeprefix(PREFIX) for key in KNOWN if key.startswith(PREFIX) and key != f"{PREFIX}storage"]
UNLIMITED = {PREFIX + name: NONE for name in NAMES}  # settings for benchmarks
BY_ADDRESS = frozenset(("sign_up", "app"))  # also for signed-in users: else each sign-up would begin a new count


class RateLimits:
    """All limits of a site, by name. `site` returns its id, which separates the counters of sites on one server."""

    def __init__(
        self, specs: Mapping[str, str], shared: Storage | None = None, site: Callable[[], str] = lambda: ""
    ) -> None:
        self._items = {name: parse(name, spec) for name, spec in specs.items()}
        self._site = cache(site)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(shared) if shared is not None else None
        self._lock = threading.Lock()
        self._next_try = 0.0
        self._next_hint = 0.0

    def hit(self, name: str, *who: str) -> None:
        """Counts one more. Raises TooManyRequests if that exceeds the limit."""
        self._each("hit", name, who)

    def check(self, name: str, *who: str) -> None:
        """Raises TooManyRequests if one more would exceed the limit; counts nothing."""
        self._each("test", name, who)

    def is_new(self, name: str, *who: str) -> bool:
        """Whether nothing is currently counted for `who`."""
        return all(self._window(item, (self._site(), name, *who))[::2] == (0, 0) for item in self._items[name])

    def left(self, name: str, *who: str) -> tuple[int, int, float] | None:
        """How many are allowed, how many are left, and the time at which all are; of the limit with the least left."""
        key = (self._site(), name, *who)
        stats = [(item.amount, self._ask(methodcaller("get_window_stats", item, *key))) for item in self._items[name]]
        left = [(amount, found.remaining, found.reset_time) for amount, found in stats]
        return min(left, key=itemgetter(1), default=None)

    def hint(self, address: str) -> None:
        """Logs a possible misconfiguration if the refused address may be a proxy's."""
        if may_be_proxy(address) and time.monotonic() > self._next_hint:
            self._next_hint = time.monotonic() + HINT_EVERY
            log.warning(
                "%s reached a limit by address. If that is a proxy, all visitors share this limit: "
                "set trusted_proxy and trusted_proxy_headers in [server:main]",
                address or "a client without an address",
            )

    def _each(self, method: str, name: str, who: Sequence[str]) -> None:
        """Calls the limiter for each item of a limit. Raises TooManyRequests where one has no room."""
        key = (self._site(), name, *who)
        for item in self._items[name]:
            if not self._ask(methodcaller(method, item, *key)):
                raise TooManyRequests(until_room(*self._window(item, key), item.get_expiry(), item.amount), name)

    def _window(self, item: limits.RateLimitItem, key: Sequence[str]) -> tuple[int, float, int, float]:
        """For the previous and the current window: the count, and the seconds until it expires."""
        window = methodcaller("get_sliding_window", item.key_for(*key), item.get_expiry())
        found: tuple[int, float, int, float] = self._ask(lambda limiter: window(limiter.storage))
        return found

    def _ask(self, ask: Callable[[SlidingWindowCounterRateLimiter], Any]) -> Any:
        if self._shared is not None and self._may_try():
            try:
                found = ask(self._shared)
            except Exception as error:  # any error of its driver: a limit must not break a page
                if not self._next_try:
                    log.warning("the rate limit storage failed; falling back to counting in this process: %s", error)
                self._next_try = time.monotonic() + PAUSE
            else:
                if self._next_try:
                    log.warning("the rate limit storage has recovered")
                    self._next_try = 0.0
                return found
        return ask(self._own)

    def _may_try(self) -> bool:
        """Whether to use the shared storage; while it fails, one request every PAUSE seconds probes it."""
        if not self._next_try:
            return True
        with self._lock:
            if time.monotonic() < self._next_try:
                return False
            self._next_try = time.monotonic() + PAUSE
            return True


class SignInGuard:
    """Limits wrong passwords: by name and address, by name from all addresses, and by the names an address tries.

    Browsers in which the name's owner has signed in are counted separately. So an attacker cannot lock the owner out,
    even if all visitors share one address because a proxy is not configured.
    """

    def __init__(self, rates: RateLimits, browsers: KnownBrowser) -> None:
        self._rates = rates
        self._browsers = browsers

    def check(self, request: Request, username: str) -> None:
        """Called before the password is checked. Raises TooManyRequests."""
        name, browser, address = self._who(request, username)
        if browser:
            self._rates.check("sign_in", name, browser)
            return
        try:
            self._rates.check("sign_in", name, address)
            self._rates.check("sign_in_name", name)
            self._rates.check("sign_in_address", address)
        except TooManyRequests:
            self._rates.hint(address)
            raise

    def failed(self, request: Request, username: str) -> None:
        """Counts a wrong password."""
        name, browser, address = self._who(request, username)
        own = ("sign_in", name, browser or address)
        first = self._rates.is_new(*own)
        counts: list[tuple[str, ...]] = [own]
        if not browser:
            counts.append(("sign_in_name", name))
            if first:
                counts.append(("sign_in_address", address))
        for count in counts:
            with suppress(TooManyRequests):  # a concurrent failure reached the limit
                self._rates.hit(*count)

    def remember(self, request: Request, username: str) -> Headers:
        """The cookie of a browser in which the owner of the name has signed in."""
        return self._browsers.headers(request, username)

    def _who(self, request: Request, username: str) -> tuple[str, str, str]:
        # All invalid names count as one, or they would fill the store.
        name = username.lower() if USERNAME.fullmatch(username) else ""
        return name, self._browsers.read(request, name), client_network(request)


def until_room(before: int, before_left: float, now: int, now_left: float, length: int, most: int) -> int:
    """The seconds until a sliding window of `length` seconds has room for one more, if there are no other requests.

    `before` and `now` are the counts of the previous and the current window, each with the seconds until it expires.
    The weight of the previous window decreases during the current one.
    """
    if now < most:
        seconds = before_left - (most - now) * length / before if before else 0
    else:  # the next window must begin, and the weight of this one decrease
        seconds = now_left - length + length * (1 - most / now)
    return max(0, math.floor(seconds)) + 1


def parse(name: str, spec: str) -> list[limits.RateLimitItem]:
    """Parses `100/10 minutes`, `20/minute; 500/day`, or `none`, which has no items. Raises SettingError."""
    if spec.strip().lower() == NONE:
        return []
    try:
        items = limits.parse_many(spec)
    except ValueError:
        items = []
    if not items or any(item.amount < 1 or item.get_expiry() < 1 for item in items):
        raise SettingError(f"{PREFIX}{name} must be a limit (example: 100/10 minutes) or none, not {spec!r}")
    return items


def counted_for(request: Request, name: str) -> tuple[str, str]:
    """The account or the address for which a limit counts."""
    if request.identity is not None and name not in BY_ADDRESS:
        return "user", str(request.identity.id)
    return "address", client_network(request)


def count_request(request: Request, name: str) -> None:
    """Counts a request for a limit. Raises TooManyRequests."""
    rates: RateLimits = request.registry["rate_limits"]
    kind, who = counted_for(request, name)
    try:
        rates.hit(name, kind, who)
    except TooManyRequests:
        if kind == "address":
            rates.hint(who)
        raise


def limited(view: Callable[[Any, Request], Response], info: Any) -> Callable[[Any, Request], Response]:
    """The view deriver of `limit="…"`."""
    name = info.options.get("limit")
    if name is None:
        return view

    def count(context: Any, request: Request) -> Response:
        count_request(request, name)
        return view(context, request)

    return count


limited.options = ("limit",)  # type: ignore[attr-defined]


def includeme(config: Configurator) -> None:
    """Adds the view option `limit`, and the registry's "rate_limits" and "sign_in_guard"."""
    settings = config.get_settings()
    spec = settings[f"{PREFIX}storage"] or settings["tweeter.timelines"]
    module = load(f"{PREFIX}storage", spec, BACKENDS)
    make = getattr(module, "limits_storage", None)
    specs = {name: settings[PREFIX + name] for name in NAMES}
    sessions = config.registry.database.sessions
    shared = (make(with_declared(settings, module)), lambda: site_id(sessions)) if make else ()
    rates = config.registry["rate_limits"] = RateLimits(specs, *shared)
    browsers = KnownBrowser(settings["tweeter.secret"], settings["tweeter.secure_cookies"])
    config.registry["sign_in_guard"] = SignInGuard(rates, browsers)
    config.registry["passwords"].check("", "")  # creates the decoy; else the first unknown name would take longer
    config.add_view_deriver(limited)
