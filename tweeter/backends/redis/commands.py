"""Commands as bytes: single ones, scripts, and the many of a fan-out."""

import hashlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import hiredis


def pack(*words: str | bytes | int) -> bytes:
    """A command in Redis's protocol."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # any number of words
    return packed


class Script:
    """Lua that the server knows by its digest. Touches one key."""

    def __init__(self, text: str) -> None:
        self.load = pack("SCRIPT", "LOAD", text)
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


# The name of a command, or a script; its key; its arguments.
Call = tuple[Any, ...]


def encode(call: Call) -> bytes:
    name, *rest = call
    if isinstance(name, Script):
        return pack("EVALSHA", name.digest, 1, *rest)
    return pack(*call)


def appends(prefix: bytes, owners: Sequence[int], id: int) -> bytes:
    """RPUSHX of the id to the key of each owner, in Redis's protocol. The owners are in ascending order."""
    end = f"\r\n${len(str(id))}\r\n{id}\r\n"
    parts = []
    first = 0
    while first < len(owners):
        digits = len(str(owners[first]))
        last = bisect_left(owners, 10**digits, first)  # those with as many digits: their keys are equally long
        begin = f"*3\r\n$6\r\nRPUSHX\r\n${len(prefix) + digits}\r\n{prefix.decode()}"
        parts += [begin, (end + begin).join(map(str, owners[first:last])), end]
        first = last
    return "".join(parts).encode()


def gets(prefix: bytes, numbers: Sequence[int]) -> bytes:
    """GET of the key of each number, in Redis's protocol."""
    start = "*2\r\n$3\r\nGET\r\n$%d\r\n" + prefix.decode().replace("%", "%%")
    words = [str(number) for number in numbers]
    starts = {length: start % (len(prefix) + length) for length in set(map(len, words))}
    if len(starts) == 1:  # as good as always: ids are as long as their time is young
        [begin] = starts.values()
        return (begin + f"\r\n{begin}".join(words) + "\r\n").encode()
    return "".join(f"{starts[len(word)]}{word}\r\n" for word in words).encode()
