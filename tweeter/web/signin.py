"""Limits on wrong passwords."""

from contextlib import suppress

from pyramid.config import Configurator
from pyramid.request import Request

from tweeter.errors import TooManyRequests
from tweeter.text import USERNAME
from tweeter.web.clients import client_network
from tweeter.web.cookies import Headers, KnownBrowser
from tweeter.web.ratelimits import RateLimits


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

    def remember(self, username: str) -> Headers:
        """The cookie of a browser in which the owner of the name has signed in."""
        return self._browsers.headers(username)

    def _who(self, request: Request, username: str) -> tuple[str, str, str]:
        # All invalid names count as one, or they would fill the store.
        name = username.lower() if USERNAME.fullmatch(username) else ""
        return name, self._browsers.read(request, name), client_network(request)


def includeme(config: Configurator) -> None:
    """Adds the registry's "sign_in_guard"."""
    settings = config.get_settings()
    browsers = KnownBrowser(settings["tweeter.secret"], settings["tweeter.secure_cookies"])
    config.registry["sign_in_guard"] = SignInGuard(config.registry["rate_limits"], browsers)
    config.registry["passwords"].check("", "")  # creates the decoy; else the first unknown name would take longer
