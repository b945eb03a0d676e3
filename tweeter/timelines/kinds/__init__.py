"""The timeline kinds: one module each. A kind says which tweets a timeline contains; nothing else names one.

    def includeme(config):
        config.add_timeline_kind(Replies())

`tweeter.timelines.kinds = replies.kind` includes further modules. Each kind is materialized in every backend, and has
its line in `tweeter verify`, the lab and the published property test.
"""

import re
from collections.abc import Iterable, Iterator

from pyramid.config import Configurator
from zope.interface import implementer
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tweeter.errors import Missing, SettingError
from tweeter.interfaces import ITimelineKind, ITimelineKinds
from tweeter.plugins import built_in, include
from tweeter.timelines.kind import TimelineKind
from tweeter.values import Timeline

_NAME = re.compile("[a-z][a-z0-9_-]{0,29}")


@implementer(ITimelineKinds)
class Kinds(dict[str, TimelineKind]):
    """The timeline kinds of a site, by name."""

    def __missing__(self, name: str) -> TimelineKind:
        raise Missing(f"There are no {name} timelines.")

    def timelines(self, users: Iterable[int]) -> Iterator[Timeline]:
        """All timelines of the site, and those of these users."""
        yield from (Timeline(name) for name, kind in self.items() if not kind.owned)
        for user in users:
            yield from (Timeline(name, user) for name, kind in self.items() if kind.owned)

    def of_followers(self) -> list[str]:
        """The names of the kinds whose timelines contain the tweets of their owner's followees."""
        return [name for name, kind in self.items() if kind.to_followers]

    def keys_of_followers(self, followers: Iterable[int]) -> list[str]:
        """The keys of these followers' timelines that contain the tweets of their followees."""
        kinds = self.of_followers()
        return [Timeline(kind, follower).key for follower in followers for kind in kinds]


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
    if not kind.owned and (kind.private or kind.to_followers):
        return "has no owners: it can't be private, or to_followers"
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
    config.registry.registerUtility(Kinds(), ITimelineKinds)
    config.add_directive("add_timeline_kind", add_timeline_kind)
    for name in [*built_in(__name__), *config.get_settings()["tweeter.timelines.kinds"].split()]:
        include(config, "tweeter.timelines.kinds", name, __name__)
