"""What people write: cleaning it, counting it, and finding the links, @mentions and #hashtags in it."""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import regex

USERNAME = regex.compile(r"[A-Za-z0-9_]{1,20}")
CODE_POINTS_PER_CHARACTER = 20  # a family emoji is 11; a letter under a tower of accents has no end

# Control characters, and the bidirectional embeddings and overrides with which a text can pretend to be another.
# Plain direction marks and joiners stay: whole scripts and emoji need them.
_UNWANTED = regex.compile(
    r"[[\p{Cc}--\n]\p{Cs}\p{Noncharacter_Code_Point}\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]", regex.V1
)
_INVISIBLE = regex.compile(r"[\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\u2800]", regex.V1)
# Flags apart: for each of them \X looks back to where they begin, and so takes the square of their number.
_GRAPHEME = regex.compile(r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*|\X")
_SPACE = regex.compile(r"\s+")
_BLANK_LINES = regex.compile(r"\n(?:[^\S\n]*\n){2,}")

_ENTITY = regex.compile(
    r"""
    (?P<link>https?://[^\s<>"'`{}|\\^]+)
  | (?<![\w@/])@(?P<mention>[A-Za-z0-9_]{1,20})(?![\w@])
  | (?<![\w&/#])\#(?P<hashtag>[\p{L}\p{M}\p{N}_]*[\p{L}\p{M}_][\p{L}\p{M}\p{N}_]*)
    """,
    regex.VERBOSE | regex.IGNORECASE,
)
_TRAILING = ".,;:!?…\"'»”’"


class Segment(NamedTuple):
    """A piece of a message. `kind` is "text", "link", "mention" or "hashtag"; `value` what it leads to."""

    kind: str
    text: str
    value: str


def clean_message(text: str) -> str:
    """A message as it is kept: composed (NFC), one kind of line break, nothing that can't be seen around it."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = _UNWANTED.sub("", unicodedata.normalize("NFC", text))
    text = _BLANK_LINES.sub("\n\n", text).strip()
    return text if _INVISIBLE.sub("", text) else ""


def clean_line(text: str) -> str:
    """As `clean_message`, for what stands on one line."""
    return _SPACE.sub(" ", clean_message(text.replace("\r", " ").replace("\n", " ")))


def count_characters(text: str) -> int:
    """Characters as a person counts them: an accented letter, a flag, a family emoji are one each.

    These are the extended grapheme clusters of Unicode's annex 29; browsers count the same with Intl.Segmenter.
    """
    return sum(1 for _ in _GRAPHEME.finditer(text))


def surplus(text: str, limit: int) -> int:
    """By how many characters a text is too long; 0 or less if it is not.

    A character that is built of very many code points (accents piled on accents) counts as more than one.
    """
    most = limit * CODE_POINTS_PER_CHARACTER
    if len(text) > most:
        return len(text) - most
    return count_characters(text) - limit


def segments(message: str) -> Iterator[Segment]:
    """The message in pieces, in order; their texts together are the message."""
    end = 0
    for match in _ENTITY.finditer(message):
        kind = match.lastgroup or ""
        text, value = match.group(), match.group(kind)
        if kind == "link":
            text = value = _trim_link(value)
            if text.partition("://")[2] == "":
                continue
        if match.start() > end:
            yield Segment("text", message[end : match.start()], "")
        yield Segment(kind, text, value)
        end = match.start() + len(text)
    if end < len(message):
        yield Segment("text", message[end:], "")


def mentions(message: str) -> set[str]:
    """The usernames that are mentioned, in lower case."""
    return {match.group("mention").lower() for match in _ENTITY.finditer(message) if match.group("mention")}


def hashtags(message: str) -> set[str]:
    """The hashtags, without `#`, in lower case."""
    return {segment.value.casefold() for segment in segments(message) if segment.kind == "hashtag"}


def _trim_link(link: str) -> str:
    """Leaves the punctuation that ends a sentence, and a bracket that opened before the link, out of it."""
    end = len(link)
    surplus = {")": link.count(")") - link.count("("), "]": link.count("]") - link.count("[")}
    while end and (link[end - 1] in _TRAILING or surplus.get(link[end - 1], 0) > 0):
        end -= 1
        if link[end] in surplus:
            surplus[link[end]] -= 1
    return link[:end]
