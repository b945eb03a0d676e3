"""Encodes commands as bytes: single commands, scripts, and the bulk commands of fan-outs and pages."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import hiredis
import msgspec


def pack(*words: str | bytes | int) -> bytes:
    """A command in Redis's protocol."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # any number of words
    return packed


class Script:
    """A Lua script, called by its digest. Touches one key, or several in the slot of the first."""

    def __init__(self, text: str, keys: int = 1) -> None:
        self.load = pack("SCRIPT", "LOAD", text)
        self.keys = keys
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# The name of a command or a Script, its key, its arguments.
Call = tuple[Any, ...]


def encode(call: Call) -> bytes:
    name, *rest = call
    if isinstance(name, Script):
        return pack("EVALSHA", name.digest, name.keys, *rest)
    return pack(*call)


def appends(prefix: bytes, owners: Sequence[int], element: int | str) -> bytes:
    """RPUSHX of the element to the key of each owner, in Redis's protocol. The owners are in ascending order."""
    text = str(element).encode()
    end = b"\r\n$%d\r\n%b\r\n" % (len(text), text)
    parts = []
    first = 0
    while first < len(owners):
        digits = len(str(owners[first]))
        last = bisect_left(owners, 10**digits, first)  # ids with as many digits have keys of the same length
        begin = b"*3\r\n$6\r\nRPUSHX\r\n$%d\r\n%b" % (len(prefix) + digits, prefix)
        parts.append(_each(begin, owners[first:last], end))
        first = last
    return b"".join(parts)


def gets(prefix: bytes, numbers: Sequence[int]) -> bytes:
    """GET of the key of each number, in Redis's protocol."""
    digits = len(str(max(numbers, default=0)))
    if digits != len(str(min(numbers, default=0))):  # rare: ids keep one length for centuries
        return b"".join(gets(prefix, [number]) for number in numbers)
    begin = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b" % (len(prefix) + digits, prefix)
    return _each(begin, numbers, b"\r\n") if numbers else b""


def _each(begin: bytes, numbers: Sequence[int], end: bytes) -> bytes:
    """Joins `begin`, number and `end` for every number. Replacing the commas of "[1,2,3]" is the fastest way."""
    return begin + msgspec.json.encode(list(numbers))[1:-1].replace(b",", end + begin) + end
