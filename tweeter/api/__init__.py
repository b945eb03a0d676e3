"""Mastodon's client REST API: phone, terminal and web clients work with the site unmodified.

It is another form of the pages: the same actions, timelines, searches and limits. See docs/how-to/api.md.
"""

from pyramid.config import Configurator

from tweeter.api.instance import Counter
from tweeter.api.tokens import Tokens
from tweeter.api.writing import People


def includeme(config: Configurator) -> None:
    """Adds all endpoints, the pages about applications, and the feeds."""
    settings, database = config.get_settings(), config.registry.database
    config.registry["tokens"] = Tokens(settings["tweeter.secret"], database.statements, database.watch is not None)
    config.registry["people"] = People(database.read_sessions)
    config.registry["counter"] = Counter(database.read_sessions)
    config.include(".errors")
    config.include(".consent")
    config.include(".feeds")
    config.include(".live")
    # Importing them declares their endpoints, in the order in which routes are matched.
    for part in (
        "timelines",
        "statuses",
        "acts",
        "accounts",
        "lists",
        "search",
        "notifications",
        "instance",
        "rest",
        "streaming",
        "websockets",
        "oauth",
        "openapi",
    ):
        config.maybe_dotted(f"tweeter.api.{part}")
    config.include(".endpoints")
