"""The outbox: committed events, read as a log. See `tweeter.outbox.events`."""

from tweeter.outbox.events import NUMBER, RECORDED, encode, prune, record, size

__all__ = ["NUMBER", "RECORDED", "encode", "prune", "record", "size"]
