"""Rules for texts: cleaning, measuring and folding them, and finding links, @mentions and #hashtags."""

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import regex

USERNAME = re.compile(r"[A-Za-z0-9_]{1,20}")
# A letter with three accents is 4 code points, and a family emoji is 7. A text may have this many for each character
# of its limit, so that stacks of accents cannot make a short text large.
CODE_POINTS_PER_CHARACTER = 8
LONGEST_HASHTAG = 100  # code points, folded

# Control characters, and the bidirectional embeddings and overrides with which a text can spoof another.
# Plain direction marks and joiners stay, because scripts and emoji need them.
_UNWANTED = regex.compile(
    r"[[\p{Cc}--\n]\p{Cs}\p{Noncharacter_Code_Point}\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]", regex.V1
)
# Characters that are invisible by themselves: spaces, formats, fillers and selectors, marks without a letter, and
# characters with an empty glyph (Braille blank, object replacement, null notehead, blank hieroglyphs).
_UNSEEN = r"\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{M}\u2800\ufffc\U0001d159\U00013441\U00013442"
_INVISIBLE = regex.compile(rf"[{_UNSEEN}]", regex.V1)
_BLANK_LINES = regex.compile(rf"\n(?:[[{_UNSEEN}]--\n]*+\n)++", regex.V1)
_BLANK_BEGINNING = regex.compile(rf"\A[{_UNSEEN}]*\n", regex.V1)
_BLANK_END = regex.compile(rf"\n[{_UNSEEN}]*+\Z", regex.V1)
_SPACE = regex.compile(r"\s+")
_IGNORABLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
# Flags are matched separately: for each flag \X looks back to the first one, which takes quadratic time.
_GRAPHEME = regex.compile(r"\p{Regional_Indicator}{2}[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]*|\X")
_STRONG = regex.compile(r"(?P<ltr>\p{Bidi_Class=L})|[\p{Bidi_Class=R}\p{Bidi_Class=AL}]")

# The signs before a mention or a hashtag, with their full-width and small forms.
_AT = "@\uff20\ufe6b"
_HASH = "#\uff03\ufe5f"
# Usernames are Latin letters, so only these can continue one. Full-width letters belong to East Asian text.
_LATIN = r"[[\p{Latin}--[\uff21-\uff3a\uff41-\uff5a]]0-9_]"
_MENTION = rf"""
    (?<!{_LATIN}\p{{Mn}}?|[{_AT}/])
    (?!(?<=[\p{{L}}\p{{M}}\p{{N}}])[{_AT}]\w++\.[A-Za-z0-9])    # a mail address with a name in another script
    [{_AT}](?P<mention>[A-Za-z0-9_]{{1,20}}+)
    (?!{_LATIN}|\p{{M}}|[{_AT}])
"""

# Marks are part of a hashtag, except those that turn the character before them into an emoji (# and digits, too).
_TAG = r"(?:[\p{L}\p{N}_[\p{M}--[\ufe0e\ufe0f\u20e3]]](?![\ufe0f\u20e3]))"
# Joiners and marks within words of some scripts, as defined by the standard for identifiers (UAX 31).
_WITHIN_TAG = r"[\u200c\u200d\u00b7\u05be\u05f3\u05f4\u0f0b\u30a0\u30fb\uff65\u301c\uff5e]"
_HASHTAG = rf"""
    (?<![\p{{L}}\p{{N}}_&/{_HASH}[\p{{M}}--[\ufe0e\ufe0f\u20e3]]])
    [{_HASH}](?=[\p{{L}}\p{{N}}_])(?=(?:\p{{N}}|{_WITHIN_TAG})*+[\p{{L}}_])
    (?P<hashtag>{_TAG}(?:{_TAG}|{_WITHIN_TAG}++(?={_TAG}))*+)
"""

# Characters that end a link: spaces and invisible characters, brackets and sentence marks of other scripts, and
# full-width forms; not the marks that occur within words.
_LINK_ENDS = (
    r'\s<>"`{}|\\^'
    r"[[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800\ufffc]"
    r"--[\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]]"
    r"[[\p{Po}\p{Ps}\p{Pe}\p{Pi}\p{Pf}]--\p{ASCII}--[\u00b7\u05f3\u05f4\u0f0b\u30fb\uff65]]"
    r"[[\uff01-\uff5e\uffe0-\uffe6]--[\p{L}\p{N}]]"
    r"\u2014\u2015\u2e3a\u2e3b"
)
# An apostrophe or an asterisk is part of a link only within a word; else it ends a quotation or emphasis.
_IN_LINK = rf"(?:[^{_LINK_ENDS}'*()\[\]]|['\u2019*](?=[\p{{Latin}}0-9/]))"
_PAIRED = rf"\((?:{_IN_LINK}|\({_IN_LINK}*+\))*+\)|\[(?:{_IN_LINK}|\[{_IN_LINK}*+\])*+\]"
_LINK = rf"""
    (?P<link>
        [Hh][Tt][Tt][Pp][Ss]?://
        (?:\[[0-9A-Fa-f:.]++\][0-9:]*+|(?![\p{{P}}--_])[^{_LINK_ENDS}'*()\[\]/?\#]++)
        (?:[/?\#](?:{_IN_LINK}|{_PAIRED})*+)?+
    )
"""
_SIGN = re.compile(f"[{_AT}{_HASH}]")
# Where an entity can begin. Trying the entities at every character takes eight times as long.
_BEGINNING = re.compile(f"[{_AT}{_HASH}]|[Hh][Tt][Tt][Pp][Ss]?://")
_ENTITY = regex.compile(f"{_LINK}|{_MENTION}|{_HASHTAG}", regex.V1 | regex.VERBOSE)
_TRAILING = ".,;:!?\u00b7\u05f3\u05f4\u0f0b\u30fb\uff65\u301c\u200c\u200d"


class Segment(NamedTuple):
    """A piece of a message. `kind` is "text", "link", "mention" or "hashtag"; `value` is its target."""

    kind: str
    text: str
    value: str


class Entities(NamedTuple):
    mentions: set[str]
    hashtags: set[str]


def clean_message(text: str) -> str:
    """The message in stored form: composed (NFC), one kind of line break, single blank lines between visible ones.

    A text without visible characters becomes empty.
    """
    if text.isascii() and text.isprintable():  # the rules below change nothing, and take longer
        return text.strip()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    text = _UNWANTED.sub("", unicodedata.normalize("NFC", text))
    if not _INVISIBLE.sub("", text):
        return ""
    if "\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
        text = _BLANK_END.sub("", _BLANK_BEGINNING.sub("", text))
    return text.strip()


def clean_line(text: str) -> str:
    """Like `clean_message`, for a text of one line."""
    return _SPACE.sub(" ", clean_message(text.replace("\r", " ").replace("\n", " ")))


def count_characters(text: str) -> int:
    """Characters as a person counts them: an accented letter, a flag, a family emoji are one each.

    These are the extended grapheme clusters of Unicode's annex 29; browsers count the same with Intl.Segmenter.
    """
    return sum(1 for _ in _GRAPHEME.finditer(text))


def length(text: str) -> int:
    """The length that counts for a limit: the text's characters, or an eighth of its code points if that is more."""
    return max(count_characters(text), -(-len(text) // CODE_POINTS_PER_CHARACTER))


def fold(text: str) -> str:
    """The text without differences of case, width and invisible characters (Unicode's NFKC_Casefold).

    Queries and searched texts are folded here, so every database finds the same.
    """
    if text.isascii():
        return text.lower()
    text = _IGNORABLE.sub("", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFKC", text)


def direction(text: str) -> str:
    """ "ltr" or "rtl", by the first letter that has a direction; empty if there is none."""
    if text.isascii():
        return "ltr" if any(map(str.isalpha, text)) else ""
    match = _STRONG.search(text)
    return "" if match is None else "ltr" if match["ltr"] else "rtl"


def segments(message: str) -> Iterator[Segment]:
    """Splits the message into pieces, in order; the concatenation of their texts is the message."""
    end = position = 0
    while beginning := _BEGINNING.search(message, position):
        match = _ENTITY.match(message, beginning.start())
        if match is None:
            position = beginning.start() + 1
            continue
        kind = match.lastgroup or ""
        text, value = match.group(), match.group(kind)
        if kind == "link":
            text = value = _trim_link(value, message[: match.start()][-1:])
        position = match.start() + len(text)
        if kind == "hashtag" and len(fold(value)) > LONGEST_HASHTAG:
            continue
        if match.start() > end:
            yield Segment("text", message[end : match.start()], "")
        yield Segment(kind, text, value)
        end = position
    if end < len(message):
        yield Segment("text", message[end:], "")


def entities(message: str) -> Entities:
    """The mentions of the message in lower case, and its hashtags without `#`, folded; as `segments` finds them."""
    found = Entities(set(), set())
    if _SIGN.search(message):
        for kind, _, value in segments(message):
            if kind == "mention":
                found.mentions.add(value.lower())
            elif kind == "hashtag":
                found.hashtags.add(fold(value))
    return found


def hashtag(name: str) -> str:
    """The folded name of the hashtag `#name`; empty if a message cannot contain it as one hashtag."""
    name = clean_line(name)
    folded = fold(name)
    return folded if entities(f"#{name}").hashtags == {folded} else ""


def written_hashtag(name: str) -> str:
    """Like `hashtag`, for a name as people and applications write it: it may begin with #."""
    return hashtag(clean_line(name).lstrip("#"))


def _trim_link(link: str, before: str) -> str:
    """The link without punctuation that ends a sentence, and without the end of emphasis that began `before` it."""
    return link.rstrip(_TRAILING + before if before in ("_", "~") else _TRAILING)
