"""Damaged values that a bug, another program or another version may write under a key of each store.

Those of Redis are functions of a client and a key's name, those of memcached of the existing value.
"""

import struct
from array import array
from contextlib import suppress

import msgspec
from redis import ResponseError

from tweeter.backends.memory import _Entry
from tweeter.testing.caches import tweet
from tweeter.timelines import packing as tweets
from tweeter.values import TweetView

UNDECODABLE = [
    b"",
    b"v",
    b"no tweet",
    b"l",
    b"l" + b"x" * 8 + b"\xff" * 4,
    b"l" + b"x" * 12,
    tweets.VERSION,
    tweets.VERSION + b"\x93\x01\x02",
    tweets.pack(tweet(1))[:-3],
    tweets.VERSION + msgspec.msgpack.encode([1, 7, b"ann", "Ann", "hello", 5, None, None]),
    tweets.VERSION + msgspec.msgpack.encode([1, 7, "ann", "Ann", "hello"]),
    tweets.VERSION + msgspec.msgpack.encode({"id": 1}),
    tweets.VERSION + b"\x98\x01\x07\xa3ann\xa3Ann\xa2\xff\xfe\x05\xc0\xc0",
    tweets.pack(tweet(99)),
]


class Later(TweetView, frozen=True, array_like=True, gc=False):
    """TweetView of a later version, with another field that has a default."""

    quotes: int = 0


LATER = tweets.version_of(Later) + msgspec.msgpack.encode(Later(1, 7, "ann", "Ann", "hello", 5))
TWEETS = [*UNDECODABLE, LATER]


# Redis


def other_types(client, name):
    """Values of wrong types; each is a function that writes one."""
    return [
        lambda: client.hset(name, "field", "x"),
        lambda: client.zadd(name, {"1": 1}),
        lambda: client.sadd(name, "1"),
        lambda: client.xadd(name, {"field": "x"}),
    ]


# Texts that are similar to those of ids which refer to a tweet.
NO_FRACTIONS = [
    "5.0",
    "5.00",
    "5.007",
    "5.0-7",
    "5.07x",
    "5.0 7",
    "5.07.08",
    "5.07,8",
    "5,-7",
    "5.17",
    "0.07",
    ".07",
    "-5.07",
    f"5.0{2**53}",
    f"{2**53}.07",
    "5629499534213120.1",
    "5629499534213120.0",
]


def no_timelines(client, name):
    """Lists that are not timelines, and values that are not lists."""
    lists = [
        ["nonsense"],
        ["0", "nonsense"],
        ["0", "-5"],
        ["0", "0"],
        ["0", str(2**53)],
        ["0", str(2**80)],
        ["0", "1.5"],
        ["0", "1e3"],
        ["0", "1,2"],
        ["0", ""],
        *[["0", *["9"] * before, text] for before in (0, 40) for text in NO_FRACTIONS],
        ["5.06", "7"],
        ["-5.06", "7"],
        ["0", "[1]"],
        ["0", "null"],
        ["", "7"],
        ["7", "8"],  # the header is lost
        ["-1.5", "7"],
        ["-x", "7"],
        ["- 1", "7"],
        [f"-{2**80}", "7"],
        ["t0123456789abcdef"],  # a token without an end
        ["t0123456789abcdef", "7"],
        ["0", *["x" * 16] * 40],
        ["0", *[str(10**15 + n) for n in range(20)], "x" * 16, *[str(10**15 + n) for n in range(30, 50)]],
        ["0", *[""] * 40],
    ]
    return [
        *other_types(client, name),
        lambda: client.set(name, "x"),
        *[lambda values=values: client.rpush(name, *values) for values in lists],
    ]


def damage_timeline(number):
    """A function that replaces a key's value by one of these."""

    def damage(client, name):
        with client.pipeline() as transaction:  # a relay may write the key at any time
            transaction.delete(name)
            every = no_timelines(transaction, name)
            every[number % len(every)]()
            transaction.execute()

    return damage


def spoil_timeline(client, name):
    """Appends to the existing value."""
    with suppress(ResponseError):  # it is no list
        client.rpush(name, "nonsense")


def damage_tweet(number):
    def damage(client, name):
        with client.pipeline() as transaction:
            transaction.delete(name)
            set_ = [lambda value=value: transaction.set(name, value) for value in TWEETS]
            every = [*other_types(transaction, name), *set_]
            every[number % len(every)]()
            transaction.execute()

    return damage


REDIS_TIMELINES = [spoil_timeline, *map(damage_timeline, range(len(no_timelines(None, ""))))]
REDIS_TWEETS = [*map(damage_tweet, range(len(other_types(None, "")) + len(TWEETS)))]


# memcached: the damaged value and its flags

FLIPPED = (lambda value: value[:8] + bytes(byte ^ 1 for byte in value[8:9]) + value[9:], 0)  # a bit of the floor
REFERS, TWEET = 1 << 63, 1 << 62
NO_REFERENCES = [
    (REFERS + 7,),  # no tweet follows
    (REFERS + 7, TWEET),
    (REFERS + 7, TWEET + 2**53),
    (REFERS + 7, 8),
    (REFERS + 7, REFERS + 8, TWEET + 9),
    (REFERS + 2**53, TWEET + 7),
    (TWEET + 7,),
    (2**53, 7),
]
MEMCACHED_TIMELINES = [
    (lambda value: value[:-3], 0),
    (lambda value: value[:7], 0),
    (lambda value: b"", 0),
    (lambda value: b"TwW1" + value[4:], 0),
    FLIPPED,
    (lambda value: value + b"x", 0),
    (lambda value: value + b"\xff" * 8, 0),
    *[(lambda value, words=words: value + struct.pack(f">{len(words)}Q", *words), 0) for words in NO_REFERENCES],
    (lambda value: b"\r\nEND\r\n" * 20, 0),
    (lambda value: value, 1),
]
MEMCACHED_EPOCHS = [each for each in MEMCACHED_TIMELINES if each is not FLIPPED]  # it would make another valid run
MEMCACHED_TWEETS = [
    *[(lambda value, damaged=damaged: damaged, 0) for damaged in TWEETS],
    (lambda value: tweets.pack(tweet(1)), 1),
]
NO_VALUE = b"TwW2" + b"\0" * 40  # the value that is damaged if the key is missing


# memory


def _entry(**values):
    entry = _Entry("token")
    entry.token = None
    for name, value in values.items():
        setattr(entry, name, value)
    return entry


MEMORY_TIMELINES = [
    lambda: "x",
    lambda: {1, 2},
    lambda: [1, 2],
    lambda: object(),
    lambda: _entry(ids=None),
    lambda: _entry(ids=["x"]),
    lambda: _entry(ids="x"),
    lambda: _entry(of=None),
    lambda: _entry(of="x"),
    lambda: _entry(floor="x"),
    lambda: _entry(floor=None),
    lambda: _Entry.__new__(_Entry),
    lambda: array("q", [1]),
]
MEMORY_TWEETS = ["x", 5, {"id": 1}, object(), tweet(99), Later(99, 7, "ann", "Ann", "hello", 5)]
