"""Files that a user brings from elsewhere: the tweets of a Twitter archive, and the follows of a Mastodon account."""

import codecs
import csv
import html
import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tweeter.bulk.load.files import LONGEST_LINE, read_chunks
from tweeter.bulk.load.parse import BadLine, LoadedTweet, parse_date, parse_message, parse_source_id, reason, short
from tweeter.console.commands import CommandError

RETWEET = "RT @"
_BEGINNING = re.compile(r"\s*window\.YTD\.(\w+)\.part\d+\s*=\s*\[")
_BETWEEN = re.compile(r"[\s,]*")
_ADDRESS = re.compile(r"\s*@?([^\s@]+)(?:@[^\s@]+)?\s*")
_MUTES = "Hide notifications"  # a column of Mastodon's list of muted accounts


class _Url(msgspec.Struct):
    url: str
    expanded_url: str | None = None


class _Entities(msgspec.Struct):
    urls: list[_Url] | None = None


class _Entry(msgspec.Struct):
    id_str: str
    full_text: str
    created_at: str
    in_reply_to_status_id_str: str | None = None
    entities: _Entities | None = None


def read_archive(path: Path, advance: Callable[[int], None]) -> Iterator[tuple[int, Any]]:
    """The decoded entries of a `tweets.js`, numbered from 1. One entry at a time is in memory.

    The file is a program with one statement, `window.YTD.tweets.part0 = [{"tweet": {…}}, …]`. Raises CommandError for
    another file, and for one that is damaged: after an error in the JSON it is unknown where the next entry begins.
    """
    decode, parse = codecs.getincrementaldecoder("utf-8")().decode, json.JSONDecoder().raw_decode
    rest, number, position = "", 0, None
    problem = "it is empty"
    for chunk in read_chunks(path, advance):
        try:
            rest += decode(chunk)
        except UnicodeDecodeError:
            raise CommandError(f"{path} is not UTF-8. Nothing was loaded.") from None
        if position is None:
            position = _after_beginning(path, rest)
        while True:
            position = _BETWEEN.match(rest, position).end()  # type: ignore[union-attr]
            if rest.startswith("]", position):
                return
            try:
                entry, position = parse(rest, position)
            except (ValueError, RecursionError) as error:
                problem = str(error)  # or the entry continues in the next chunk
                break
            number += 1
            yield number, entry
        rest, position = rest[position:], 0
        if len(rest) > LONGEST_LINE:
            break
    raise CommandError(f"{path} is damaged, or ends in the middle, after {number:,} tweets: {problem}")


def _after_beginning(path: Path, text: str) -> int:
    match = _BEGINNING.match(text)
    if match is None:
        raise CommandError(f"{path} is not the tweets.js of a Twitter archive: no window.YTD.tweets.part0 = […]")
    if match[1] not in ("tweets", "tweet"):
        raise CommandError(f"{path} contains the {match[1]} of a Twitter archive. Its tweets are in tweets.js.")
    return match.end()


def parse_entry(entry: Any, name: str, message_limit: int) -> LoadedTweet:
    """The tweet of an entry, by the user `name`, with its links instead of Twitter's short ones. Raises BadLine.

    A retweet becomes a tweet with the text that the archive has, `RT @name: …`: the id of the original is missing.
    """
    try:
        fields = msgspec.convert(entry.get("tweet", entry) if isinstance(entry, dict) else entry, _Entry)
    except msgspec.ValidationError as error:
        raise BadLine(reason(str(error))) from None
    try:
        moment = datetime.strptime(fields.created_at, "%a %b %d %H:%M:%S %z %Y")
    except ValueError:
        raise BadLine(f"{short(fields.created_at)} is not a date: expected Wed Oct 10 20:19:24 +0000 2018") from None
    message = html.unescape(fields.full_text)
    links = (fields.entities and fields.entities.urls) or []
    targets = {link.url: link.expanded_url for link in links if link.url and link.expanded_url}
    if targets:  # the longest first, because one may begin as another
        short_links = "|".join(map(re.escape, sorted(targets, key=len, reverse=True)))
        message = re.sub(short_links, lambda match: targets[match[0]], message)
    return LoadedTweet(
        name,
        parse_date(int(moment.timestamp())),
        parse_message(message, message_limit),
        parse_source_id(fields.id_str),
        parse_source_id(fields.in_reply_to_status_id_str),
    )


def parse_account(line: bytes) -> str | None:
    """The username of a line of a `following_accounts.csv`, without the server; None for the header and an empty line.

    Raises BadLine, and CommandError for a list of muted accounts.
    """
    try:
        row = next(csv.reader([line.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        raise BadLine("not a line of CSV in UTF-8") from None
    if _MUTES in row:
        raise CommandError("The file lists muted accounts, not followed ones. Nothing was loaded.")
    if not row or row[0] in ("", "Account address"):
        return None
    if (address := _ADDRESS.fullmatch(row[0])) is None:
        raise BadLine(f"{short(row[0])} is not an account address: expected name@server")
    return address[1]
