"""The rivals of the home page: the same page out of constants, by plain templates.

The `bare` one has nothing around it: no session, no transaction, no log, no store, no SQL. What is left is Pyramid, the
site's own layout, and a loop over the tweets. The one `in_site` is one more page of the whole site, with its session
and all that stands around a request; it has no store and no SQL either.

Of the site's templates one line is another: where a page takes the HTML of its tweets from the cache, the template of a
tweet stands in a loop.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.router import Router

import tweeter
from tweeter.bench.children import ChildError
from tweeter.rendering import text_html
from tweeter.security import Identity
from tweeter.values import TweetView
from tweeter.views.forms import Form

CACHED = "{{ tweets_html(tweets) }}"
LOOP = (
    "{%% for tweet in tweets %%}{%% set message, iso, shown = tweet.message, tweet.iso, tweet.shown %%}%s{%% endfor %%}"
)


class Constants(NamedTuple):
    """What the page shows."""

    me: Identity
    tweets: Sequence[TweetView]
    older: str  # the address of the next page


class _Tweet(NamedTuple):
    """All that the template of a tweet shows, ready to be shown."""

    id: int
    user_id: int
    username: str
    display_name: str
    parent_id: int | None
    parent_username: str | None
    message: Markup
    iso: str
    shown: str

    @classmethod
    def of(cls, view: TweetView) -> "_Tweet":
        date = view.date
        return cls(
            view.id, view.user_id, view.username, view.display_name, view.parent_id, view.parent_username,
            text_html(view.message), f"{date:%Y-%m-%dT%H:%M:%SZ}", f"{date.day} {date:%b %Y, %H:%M}",
        )  # fmt: skip


def bare(settings: dict[str, Any], folder: str, constants: Constants) -> Router:
    """A WSGI application that has one page, `/?limit=20`. The folder is for its templates."""
    _write_templates(Path(folder))
    nothing = {"costs": str, "flashes": list, "get_csrf_token": lambda: "f" * 40}
    with Configurator(settings={"jinja2.trim_blocks": "true", "jinja2.lstrip_blocks": "true"} | settings) as config:
        config.include("pyramid_jinja2")
        config.include("tweeter.routes")
        config.include("tweeter.views.layout")
        config.add_jinja2_search_path("tweeter:templates")
        config.add_jinja2_search_path(folder, prepend=True)
        config.add_view(_view(constants, nothing), route_name="index", renderer="home.jinja2")
        return config.make_wsgi_app()


def in_site(settings: dict[str, Any], folder: str, constants: Constants) -> Router:
    """The site, with one more page: `/constants?limit=20`."""
    _write_templates(Path(folder))
    return tweeter.main({}, **settings | {"pyramid.includes": __name__, "folder": folder, "constants": constants})


def includeme(config: Configurator) -> None:
    """Adds the page to the site."""
    config.include("pyramid_jinja2")
    config.add_jinja2_search_path(config.get_settings()["folder"], prepend=True)
    config.add_route("constants", "/constants")
    config.add_view(_view(config.get_settings()["constants"], {}), route_name="constants", renderer="home.jinja2")


def _write_templates(folder: Path) -> None:
    templates = Path(tweeter.__file__).with_name("templates")
    parts = (templates / "parts.jinja2").read_text(encoding="utf-8")
    if parts.count(CACHED) != 1:
        raise ChildError(f"The templates have changed: {CACHED} is not there once in parts.jinja2.")
    article = (templates / "tweet_article.jinja2").read_text(encoding="utf-8")
    folder.mkdir()
    (folder / "parts.jinja2").write_text(parts.replace(CACHED, LOOP % article), encoding="utf-8")


def _view(constants: Constants, more: dict[str, Any]) -> Callable[[Request], dict[str, Any]]:
    tweets = [_Tweet.of(view) for view in constants.tweets]
    pages: dict[str, list[_Tweet]] = {}

    def home(request: Request) -> dict[str, Any]:
        limit = request.GET["limit"]
        if limit not in pages:
            pages[limit] = tweets[: int(limit)]
        return {
            "title": "Home", "first": True, "page": "/", "older": constants.older, "tweets": pages[limit],
            "poll": f"/newer?timeline=home&since={tweets[0].id}", "me": constants.me, "form": Form(),
        } | more  # fmt: skip

    return home
