"""Every URL of the site, on one screen."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.add_static_view("static", "tweeter:static", cache_max_age=3600)
    config.add_route("index", "/")
    config.add_route("public", "/public")
    config.add_route("signup", "/signup")
    config.add_route("login", "/login")
    config.add_route("logout", "/logout")
    config.add_route("tweets", "/tweets")
    config.add_route("tweet", r"/tweets/{id:\d{1,16}}")
    config.add_route("delete", r"/tweets/{id:\d{1,16}}/delete")
    config.add_route("mentions", "/mentions")
    config.add_route("search", "/search")
    config.add_route("settings", "/settings")
    config.add_route("export", "/settings/export.json")
    config.add_route("newer", "/newer")
    config.add_route("healthz", "/healthz")
    config.add_route("avatar", "/avatars/{username:[A-Za-z0-9_]{1,20}}.svg")
    config.add_route("follow", "/@{username}/follow")
    config.add_route("unfollow", "/@{username}/unfollow")
    config.add_route("followers", "/@{username}/followers")
    config.add_route("following", "/@{username}/following")
    config.add_route("profile", "/@{username}")
