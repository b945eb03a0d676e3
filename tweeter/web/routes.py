"""Every URL of the site."""

from urllib.parse import quote

from pyramid.config import Configurator
from pyramid.request import Request

UNQUOTED = "/~!$()*+=:@"  # in the path below which the site is mounted; the rest is safe in HTML and in cookies, too


def at(request: Request, path: str = "") -> str:
    """The URL path of a path of the site: begins with the path below which a server mounts it, usually with none."""
    return quote(request.script_name, UNQUOTED) + path if request.environ.get("SCRIPT_NAME") else path


def includeme(config: Configurator) -> None:
    config.add_route("static", "/static/{name}")
    config.add_route("favicon", "/favicon.ico")
    config.add_route("robots", "/robots.txt")
    config.add_route("index", "/")
    config.add_route("public", "/public")
    config.add_route("signup", "/signup")
    config.add_route("login", "/login")
    config.add_route("logout", "/logout")
    config.add_route("tweets", "/tweets")
    config.add_route("tweet", "/tweets/{id:[0-9]{1,16}}")
    config.add_route("delete", "/tweets/{id:[0-9]{1,16}}/delete")
    config.add_route("act", "/tweets/{id:[0-9]{1,16}}/{act:(un)?(repost|like)}")
    config.add_route("admirers", "/tweets/{id:[0-9]{1,16}}/{kind:(repost|like)s}")
    config.add_route("mentions", "/mentions")
    config.add_route("notifications", "/notifications")
    config.add_route("timeline", "/timelines/{kind}")
    config.add_route("tag", "/tag/{name}")
    config.add_route("lists", "/lists")
    config.add_route("list", "/lists/{id:[0-9]{1,16}}")
    config.add_route("members", "/lists/{id:[0-9]{1,16}}/members")
    config.add_route("search", "/search")
    config.add_route("settings", "/settings")
    config.add_route("export", "/settings/export.json")
    config.add_route("muted", "/settings/muted")
    config.add_route("blocked", "/settings/blocked")
    config.add_route("newer", "/newer")
    config.add_route("suggestions", "/suggestions")
    config.add_route("avatar", "/avatars/{username:[A-Za-z0-9_]{1,20}}.svg")
    config.add_route("follow", "/@{username}/follow")
    config.add_route("unfollow", "/@{username}/unfollow")
    for action in ("mute", "unmute", "block", "unblock"):
        config.add_route(action, f"/@{{username}}/{action}")
    config.add_route("followers", "/@{username}/followers")
    config.add_route("following", "/@{username}/following")
    config.add_route("lists of", "/@{username}/lists")
    config.add_route("profile", "/@{username}")
