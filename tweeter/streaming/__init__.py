"""Streams: applications and browsers stay connected to Pushpin, which holds their requests, and get events at once.

A stream is a hint: an event may be lost, and what it says was true when it was sent. It holds no thread of the site
and no row: Pushpin says which channels have listeners, and the publisher renders events for those alone.
"""

from pyramid.config import Configurator

from tweeter.errors import SettingError

STREAMS = "streams"  # the key of the Publisher in the registry
SHORTEST_KEY = 32  # characters
WEBSOCKET_EVENTS = "application/websocket-events"  # the media type of Pushpin's requests for WebSockets


def includeme(config: Configurator) -> None:
    """Adds the Publisher to the registry; None if the site has no Pushpin.

    Raises SettingError.
    """
    settings = config.get_settings()
    config.registry[STREAMS] = None
    if not settings["tweeter.pushpin"]:
        return
    if len(settings["tweeter.pushpin.key"]) < SHORTEST_KEY:
        raise SettingError(
            f"tweeter.pushpin.key must be the sig_key of Pushpin: a random text of at least {SHORTEST_KEY} characters"
        )
    try:
        from tweeter.streaming.publisher import make_publisher
    except ModuleNotFoundError as error:
        raise SettingError(f"tweeter.pushpin: {error}; install tweeter[streams]") from error
    config.registry[STREAMS] = make_publisher(config.registry)
