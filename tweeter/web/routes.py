"""Every URL of the site."""

import hashlib
from pathlib import Path

from pyramid.config import Configurator
from pyramid.settings import asbool
from pyramid.static import QueryStringConstantCacheBuster

STATIC = Path(__file__).with_name("static")


def includeme(config: Configurator) -> None:
    reload = asbool(config.get_settings().get("pyramid.reload_templates"))
    config.add_static_view("static", "tweeter.web:static", cache_max_age=0 if reload else 30 * 24 * 3600)
    config.add_cache_buster("tweeter.web:static", QueryStringConstantCacheBuster(_version()))
    config.add_route("index", "/")
    config.add_route("public", "/public")
    config.add_route("signup", "/signup")
    config.add_route("login", "/login")
    config.add_route("logout", "/logout")
    config.add_route("tweets", "/tweets")
    config.add_route("tweet", "/tweets/{id:[0-9]{1,16}}")
    config.add_route("delete", "/tweets/{id:[0-9]{1,16}}/delete")
    config.add_route("mentions", "/mentions")
    config.add_route("timeline", "/timelines/{kind}")
    config.add_route("search", "/search")
    config.add_route("settings", "/settings")
    config.add_route("export", "/settings/export.json")
    config.add_route("newer", "/newer")
    config.add_route("avatar", "/avatars/{username:[A-Za-z0-9_]{1,20}}.svg")
    config.add_route("follow", "/@{username}/follow")
    config.add_route("unfollow", "/@{username}/unfollow")
    config.add_route("followers", "/@{username}/followers")
    config.add_route("following", "/@{username}/following")
    config.add_route("profile", "/@{username}")


def _version() -> str:
    """A version that changes with the static files, so that browsers may cache them for long."""
    digest = hashlib.blake2b(digest_size=6)
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
