"""The rivals of the home page: the same page of constants in plain templates; and `hello`, which shows nothing.

`in_site` adds a page to the whole site, with its session and everything around a request, but without store and SQL.
The tweets are constants, rendered by their template in a loop; links and dates are made for each request, as in any
application that caches no HTML.

`bare` is the lower bound for a page from templates: nothing is around it (no session, no transaction, no log), and
links and dates are constants, too.

One line of the site's templates is replaced: the one where a page takes the HTML of its tweets from the cache.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

import tweeter
from tweeter.bench.children import ChildError
from tweeter.values import TweetView
from tweeter.web.marking import UNMARKED, buttons
from tweeter.web.rendering import made_of
from tweeter.web.security import Identity
from tweeter.web.views.forms import Form

TEMPLATES = Path(tweeter.__file__).parent / "web" / "templates"
CACHED = '{{ tweets_html(tweets, marks, among=among|default("")) }}'
LOOP = (
    "{%% for tweet in tweets %%}{%% set message, iso, shown = made_of(tweet) %%}{%% set acts = acts_of(tweet) %%}"
    "%s{%% endfor %%}"
)


class Constants(NamedTuple):
    """The content of the page."""

    me: Identity
    tweets: Sequence[TweetView]
    older: str  # the URL of the next page


def hello(settings: dict[str, Any]) -> Router:
    """Pyramid's own first application: a single view and nothing else."""
    with Configurator() as config:
        config.add_route("hello", "/")
        config.add_view(lambda request: Response("Hello World!"), route_name="hello")
        return config.make_wsgi_app()


def bare(settings: dict[str, Any], folder: str, constants: Constants) -> Router:
    """A WSGI application with a single page, `/?limit=20`. `folder` is for its templates."""
    made = {tweet: made_of(tweet) for tweet in constants.tweets}
    nothing = {"costs": str, "flashes": list, "get_csrf_token": lambda: "f" * 40, "made_of": made.__getitem__}
    with Configurator(settings={"jinja2.trim_blocks": "true", "jinja2.lstrip_blocks": "true"} | settings) as config:
        config.include("pyramid_jinja2")
        config.include("tweeter.web.routes")
        config.include("tweeter.web.views.layout")
        config.add_view(_view(constants, nothing), route_name="index", renderer=_home(folder))
        return config.make_wsgi_app()


def in_site(settings: dict[str, Any], folder: str, constants: Constants) -> Router:
    """The site with one more page: `/constants?limit=20`."""
    return tweeter.main({}, **settings | {"pyramid.includes": __name__, "folder": folder, "constants": constants})


def includeme(config: Configurator) -> None:
    """Adds the page to the site."""
    settings = config.get_settings()
    config.include("pyramid_jinja2")
    config.add_route("constants", "/constants")
    view = _view(settings["constants"], {"made_of": made_of})
    config.add_view(view, route_name="constants", renderer=_home(settings["folder"]))


def _home(folder: str) -> str:
    """The path of a home page template with a loop. All templates are copied to its folder."""
    shutil.copytree(TEMPLATES, folder)
    parts = Path(folder, "parts.jinja2")
    text = parts.read_text(encoding="utf-8")
    if text.count(CACHED) != 1:
        raise ChildError(f"The templates have changed: parts.jinja2 must contain {CACHED} exactly once.")
    article = Path(folder, "tweet_article.jinja2").read_text(encoding="utf-8")
    parts.write_text(text.replace(CACHED, LOOP % article), encoding="utf-8")
    return str(Path(folder, "home.jinja2"))


def _view(constants: Constants, more: dict[str, Any]) -> Callable[[Request], dict[str, Any]]:
    pages: dict[str, Sequence[TweetView]] = {}

    def home(request: Request) -> dict[str, Any]:
        limit = request.GET["limit"]
        if limit not in pages:
            pages[limit] = constants.tweets[: int(limit)]
        return {
            "title": "Home", "first": True, "page": "/", "older": constants.older, "tweets": pages[limit],
            "acts_of": lambda tweet: Markup(buttons(tweet, UNMARKED, constants.me.id, "").decode()),  # noqa: S704 (constants)
            "poll": f"/newer?timeline=home&since={constants.tweets[0].id}", "me": constants.me, "form": Form(),
        } | more  # fmt: skip

    return home
