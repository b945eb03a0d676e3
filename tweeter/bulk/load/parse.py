"""Parses one line of a file, or says why it is invalid."""

import json
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

import msgspec

from tweeter import ids, text

# Real tweets have had 280 characters for years; a site may have a lower limit for its own posts.
LOADED_LIMIT_FACTOR = 10
LONGEST_SOURCE_ID = 100  # characters; longer ones are identified by their digest
_MICROSECOND = timedelta(microseconds=1)
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400_000  # milliseconds
_NUMBER = re.compile(r"-?\d{9,}(\.\d+)?")  # 20120701 is ISO 8601
_AT = re.compile(r" - at `\$\.(\w+)`$")


class BadLine(Exception):
    """A line that can't be loaded. The message is the reason."""


class LoadedTweet(NamedTuple):
    """A line of the tweets file: a tweet, or a repost or a like, which have no message.

    `source_id` is its id in the file, `target` that of the tweet to which it replies, or which it reposts or likes.
    `name` is the author's name in the file, `username` the one on the site. `kind` is "tweet", "repost" or "like".
    """

    name: str
    epoch_ms: int
    message: str
    source_id: str | None
    target: str | None
    kind: str = "tweet"

    @property
    def username(self) -> str:
        return username_of(self.name)


class _Line(msgspec.Struct):
    user: str | int
    date: int | float | str
    message: str | None = None
    id: str | int | None = None
    parent: str | int | None = None
    repost: str | int | None = None
    like: str | int | None = None


_decoder = msgspec.json.Decoder(_Line)


def parse_follow(line: bytes) -> tuple[str, str] | None:
    """The names of the follower and the followee; None for a comment or an empty line. Raises BadLine."""
    try:
        words = line.decode().partition("#")[0].split()
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    if not words:
        return None
    if len(words) != 2:
        raise BadLine(f"expected `follower followee`, got {len(words)} word{'s' if len(words) > 1 else ''}")
    follower, followee = parse_name(words[0]), parse_name(words[1])
    if username_of(follower).lower() == username_of(followee).lower():
        raise BadLine(f"{username_of(follower)} can't follow themselves")
    return follower, followee


def parse_tweet(line: bytes, message_limit: int) -> LoadedTweet | None:
    """The tweet, repost or like; None for an empty line. Raises BadLine."""
    if not line or line.isspace():
        return None
    try:
        fields = _decode_tweet(line)
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    except msgspec.ValidationError as error:
        raise BadLine(reason(str(error))) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadLine(f"not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None
    name, epoch_ms, source_id = parse_name(str(fields.user)), parse_date(fields.date), parse_source_id(fields.id)
    if fields.message is not None and fields.repost is None and fields.like is None:
        message = parse_message(fields.message, message_limit)
        return LoadedTweet(name, epoch_ms, message, source_id, parse_source_id(fields.parent))
    kind = "repost" if fields.like is None else "like"
    target = parse_source_id(fields.repost if fields.like is None else fields.like)
    if target is None or sum(each is not None for each in (fields.message, fields.repost, fields.like)) > 1:
        raise BadLine("expected one of message, repost and like")
    if fields.parent is not None:
        raise BadLine(f"a {kind} has no parent")
    return LoadedTweet(name, epoch_ms, "", source_id, target, kind)


def _decode_tweet(line: bytes) -> _Line:
    try:
        return _decoder.decode(line)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # A message was cut within an emoji. Python's json accepts the lone surrogate, and encoding drops it.
        with suppress(ValueError):
            return _decoder.decode(json.dumps(json.loads(line), ensure_ascii=False).encode(errors="ignore"))
        raise


def parse_name(name: str) -> str:
    """A username as in the file, without an @. Raises BadLine."""
    name = name.removeprefix("@")
    if not text.USERNAME.fullmatch(username_of(name)):
        raise BadLine(f"{short(name)} is not a valid username: 1 to 20 letters, digits or underscores")
    return name


def username_of(name: str) -> str:
    """The username on the site. A name of digits is prefixed with `u`."""
    return "u" + name if is_number(name) else name


def is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def parse_date(date: int | float | str) -> int:
    """Milliseconds since 1970, truncated like everywhere in Tweeter. Raises BadLine."""
    try:
        if isinstance(date, str) and _NUMBER.fullmatch(date.strip()):
            date = float(date) if "." in date else int(date)
        if isinstance(date, int):
            epoch_ms = date * 1000
        elif isinstance(date, float):
            # Today's timestamps as floats are exact to microseconds only; without rounding, .123 could become .122.
            epoch_ms = round(date * 1_000_000) // 1000
        else:
            moment = datetime.fromisoformat(date.strip())
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            epoch_ms = (moment - _UNIX) // _MICROSECOND // 1000
    except (ValueError, OverflowError):
        raise BadLine(f"{short(date)} is not a date: expected seconds since 1970 or ISO 8601") from None
    # Local times without an offset may be ahead of UTC, and so may the clock of the source.
    end_of_tomorrow = (time.time_ns() // 1_000_000 // _DAY + 2) * _DAY
    if ids.EPOCH_MS <= epoch_ms < end_of_tomorrow:
        return epoch_ms
    if not isinstance(date, str):
        for unit, name in ((1, "milli"), (1000, "micro"), (1_000_000, "nano")):
            if ids.EPOCH_MS <= date // unit < end_of_tomorrow:
                raise BadLine(f"{date} looks like {name}seconds; a date is in seconds since 1970")
    shown = short(date)
    with suppress(OverflowError):  # the year 10,000 and later
        shown += f" ({_UNIX + timedelta(milliseconds=epoch_ms):%Y-%m-%d})" if not isinstance(date, str) else ""
    if epoch_ms < ids.EPOCH_MS:
        raise BadLine(f"{shown} is before 2006, the first year of ids")
    raise BadLine(f"{shown} is in the future: tomorrow is the latest valid date")


def parse_message(message: str, limit: int) -> str:
    """The message in stored form. Raises BadLine."""
    message = text.clean_message(message)
    if not message:
        raise BadLine("the message is empty")
    most = limit * LOADED_LIMIT_FACTOR
    if len(message) > most and text.length(message) > most:
        raise BadLine(f"the message is longer than {most:,} characters")
    return message


def parse_source_id(source_id: str | int | None) -> str | None:
    """An id of a file as it is stored; None for an empty one."""
    if source_id is None or source_id == "":
        return None
    name = str(source_id)
    if len(name) > LONGEST_SOURCE_ID or "\0" in name:  # PostgreSQL cannot index these
        return "sha256:" + sha256(name.encode()).hexdigest()
    return name


def reason(error: str) -> str:
    """Why a line is bad: msgspec's message with the field first: "date: expected `int | float | str`, got `bool`"."""
    if match := _AT.search(error):
        error = error[: match.start()]
        return f"{match[1]}: {error[0].lower()}{error[1:]}"
    return error[0].lower() + error[1:]


def short(value: object) -> str:
    """The beginning of a value, for a message."""
    shown = repr(value)
    return shown if len(shown) <= 40 else shown[:37] + "..."
