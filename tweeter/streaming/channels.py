"""Channels: what Pushpin knows a stream by. Their names say all that is needed to write their events."""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from tweeter.values import Timeline

# Forms of events: for applications that may read notifications, for others, and for pages.
API, UNNOTIFIED, PAGE = "api", "unnotified", "page"
_SAFE = "/:@.-_~"  # Pushpin's headers separate channels by commas and parameters by semicolons


class Channel(NamedTuple):
    """The events of one timeline for one viewer; 0 is everyone who is not signed in.

    `form` says how events are written, `base` is the address of the site as the client knows it, `stream` the name of
    the stream. `owner` and `label` are the timeline's owner, by id, or by name if it has no id yet.
    """

    form: str
    base: str
    stream: str
    kind: str  # of the timeline; empty: none
    owner: int
    viewer: int
    label: str = ""

    @property
    def name(self) -> str:
        return _name(self)

    @classmethod
    def parse(cls, name: str) -> "Channel | None":
        """The channel of this name; None if it is the channel of a credential."""
        parts = [unquote(part) for part in name.split("|")]
        if len(parts) != len(cls._fields):
            return None
        form, base, stream, kind, owner, viewer, label = parts
        return cls(form, base, stream, kind, int(owner), int(viewer), label)

    @property
    def timeline(self) -> Timeline:
        return Timeline(self.kind, self.owner)


@lru_cache(maxsize=20_000)
def _name(channel: Channel) -> str:
    return "|".join(quote(str(part), safe=_SAFE) for part in channel)


class Credential(NamedTuple):
    """What a stream was opened with: the hash of a token. The stream ends when it is void."""

    kind: str
    token_hash: bytes

    @property
    def name(self) -> str:
        return f"{self.kind}|{self.token_hash.hex()}"

    @classmethod
    def parse(cls, name: str) -> "Credential | None":
        kind, _, digits = name.partition("|")
        return cls(kind, bytes.fromhex(digits)) if "|" not in digits else None
