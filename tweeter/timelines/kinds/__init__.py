"""The timeline kinds: one module each. A kind says which tweets a timeline contains; nothing else names one.

    def includeme(config):
        config.add_timeline_kind(Replies())

`tweeter.timelines.kinds = replies.kind` includes further modules. Each kind is materialized in every backend, and has
its line in `tweeter verify`, the lab and the published property test.
"""

import re
from collections.abc import Collection, Iterable, Iterator

from pyramid.config import Configurator
from zope.interface import implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tweeter.db.sessions import SessionFactory
from tweeter.errors import Missing, SettingError
from tweeter.interfaces import ITimelineKind, ITimelineKinds
from tweeter.plugins import built_in, include
from tweeter.timelines.kind import TimelineKind
from tweeter.values import Event, Timeline

# No kind, but the key of the celebrities' tweets and of each reader's celebrities: `tweeter.timelines.celebrities`.
CELEBRITIES = "_celebrities"
_NAME = re.compile("[a-z][a-z0-9_-]{0,29}")


@implementer(ITimelineKinds)
class Kinds(dict[str, TimelineKind]):
    """The timeline kinds of a site, by name. `celebrity_followers` is the setting, 0 if no author is a celebrity."""

    celebrity_followers = 0

    def __missing__(self, name: str) -> TimelineKind:
        raise Missing(f"There are no {name} timelines.")

    def timelines(self, users: Iterable[int], sessions: SessionFactory | None = None) -> Iterator[Timeline]:
        """All timelines of the site, and those of these users; with sessions, also those of their lists and the like.

        Each once.
        """
        yield from (Timeline(name) for name, kind in self.items() if not kind.owned)
        others = {name: set[int]() for name, kind in self.items() if not kind.of_users and sessions}
        for user in users:
            yield from (Timeline(name, user) for name, kind in self.items() if kind.owned and kind.of_users)
            if sessions is None:
                continue
            with sessions() as session:
                found = {name: set(self[name].owners_of(session, user)) - seen for name, seen in others.items()}
            for name, owners in found.items():
                others[name] |= owners
                yield from (Timeline(name, owner) for owner in sorted(owners))

    def of_followers(self, reposts: bool = False) -> list[str]:
        """The names of the kinds whose timelines contain the tweets of their owner's followees, or their reposts."""
        return [name for name, kind in self.items() if kind.to_followers and (kind.reposts or not reposts)]

    def keys_of_followers(self, followers: Iterable[int], reposts: bool = False) -> list[str]:
        """The keys of these followers' timelines that contain the tweets of their followees, or their reposts."""
        kinds = self.of_followers(reposts)
        return [Timeline(kind, follower).key for follower in followers for kind in kinds]

    def delivered(self) -> tuple[str, ...]:
        """The names of what a relay with this configuration keeps in stores."""
        return (*self, CELEBRITIES) if self.celebrity_followers else tuple(self)

    def can_continue(self, delivered: Collection[str]) -> bool:
        """Whether a relay with this configuration can continue where one that delivered to those has ended."""
        return set(self) <= set(delivered) and (CELEBRITIES in delivered) == bool(self.celebrity_followers)

    def made_cold(self, event: Event) -> set[str]:
        """The keys that an event makes cold."""
        cold = {(name, owner) for name, kind in self.items() for owner in kind.made_cold(event)}
        keys = {Timeline(name, owner).key for name, owner in cold}
        return keys | {celebrities_key(owner) for name, owner in cold if self._merged(name)}

    def keys_to_drop(self, followers: Iterable[int]) -> list[str]:
        """The keys of these followers' timelines that depend on whom they follow."""
        followers = list(followers)
        return self.keys_of_followers(followers) + [
            celebrities_key(follower) for follower in followers if self.celebrity_followers
        ]

    def _merged(self, name: str) -> bool:
        return bool(self.celebrity_followers) and self[name].to_followers


def celebrities_key(owner: int) -> str:
    """The key of the celebrities whom a user follows."""
    return Timeline(CELEBRITIES, owner).key


def add_timeline_kind(config: Configurator, kind: TimelineKind) -> None:
    """Directive: registers an ITimelineKind under its name. Two kinds of the same name conflict.

    `config.introspector` lists them in the category "timeline kinds".
    """
    try:
        verifyObject(ITimelineKind, kind)
    except Invalid as error:
        raise SettingError(f"the timeline kind {kind!r} is not complete: {error}") from error
    if problem := _problem(kind):
        raise SettingError(f"the timeline kind {kind.name!r} {problem}")
    kinds = config.registry.getUtility(ITimelineKinds)
    introspectable = config.introspectable("timeline kinds", kind.name, kind.name, "timeline kind")
    introspectable["kind"] = kind
    config.action(("timeline kind", kind.name), kinds.__setitem__, (kind.name, kind), introspectables=(introspectable,))


def _problem(kind: TimelineKind) -> str:
    """Why the kind cannot be materialized; empty if it can."""
    if not _NAME.fullmatch(str(kind.name)):
        return "must have a name of at most 30 small letters, digits, - and _, because keys and URLs contain it"
    if not (kind.owned and kind.of_users) and (kind.private or kind.to_followers):
        return "is owned by no users: it can't be private, or to_followers"
    silent = all(getattr(type(kind), name, None) is getattr(TimelineKind, name) for name in ("owners", "made_cold"))
    if silent and not kind.related and not kind.to_followers:
        return "does not say which timelines a new tweet belongs to: it needs owners, related_owners or to_followers"
    return ""


def built_in_kinds() -> Kinds:
    """The kinds of this package, for programs that have no site."""
    config = Configurator(settings={"tweeter.timelines.kinds": ""})
    config.include(__name__)
    config.commit()
    kinds: Kinds = config.registry.getUtility(ITimelineKinds)
    return kinds


def includeme(config: Configurator) -> None:
    kinds = Kinds()
    kinds.celebrity_followers = config.get_settings().get("tweeter.celebrity_followers", 0)
    config.registry.registerUtility(kinds, ITimelineKinds)
    config.add_directive("add_timeline_kind", add_timeline_kind)
    for name in [*built_in(__name__), *config.get_settings()["tweeter.timelines.kinds"].split()]:
        include(config, "tweeter.timelines.kinds", name, __name__)
