"""Whether a store can continue from its checkpoint."""

from collections.abc import Iterable

from tweeter.outbox.checkpoint import Checkpoint
from tweeter.outbox.log import Log
from tweeter.outbox.site import SiteIdentity

RESTORED = "the database was restored from a backup, or its outbox was pruned beyond the checkpoint"


def why_cold(
    found: Checkpoint | None, was_there: bool, kinds: Iterable[str], site: SiteIdentity, log: Log, oldest: float
) -> str:
    """The reason why the store cannot continue from a checkpoint; empty if it can.

    Events are kept since `oldest` (seconds since 1970). `was_there`: there is a checkpoint that can't be used.
    """
    if found is None:
        return "its checkpoint is lost, or clearing it was interrupted" if was_there else "it is new"
    if not set(kinds) <= set(found.kinds):
        return "the last relay did not have all timeline kinds of this process"
    if found.epoch != site.epoch:
        return "the database moved to another server"
    if not log.knows(found.last):
        return RESTORED
    if found.time < oldest:
        return "nothing was delivered to it for longer than events are kept"
    return ""
