"""Renders tweets and texts as HTML. What does not depend on viewer, counts or time is cached for everyone."""

import secrets
import time
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from types import CodeType
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from jinja2.bccache import Bucket, BytecodeCache
from jinja2.environment import TemplateModule
from markupsafe import Markup, escape
from pyramid.registry import Registry
from pyramid_jinja2 import IJinja2Environment

from tweeter import text
from tweeter.values import Page, TweetView
from tweeter.web import marking
from tweeter.web.marking import UNMARKED

FRAGMENTS = 10_000  # some 2 KB each
BLINK = 0.1  # seconds


class CompiledTemplates(BytecodeCache):
    """The compiled templates of the process, by file.

    pyramid_jinja2 names a template by the chain of templates that lead to it. So without this, each page compiles a
    `layout.jinja2` and a `parts.jinja2` of its own, in 30 ms.
    """

    def __init__(self) -> None:
        self._compiled: dict[str, tuple[str, CodeType]] = {}

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return filename or name

    def load_bytecode(self, bucket: Bucket) -> None:
        checksum, code = self._compiled.get(bucket.key, ("", None))
        if checksum == bucket.checksum:
            bucket.code = code

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code is not None:
            self._compiled[bucket.key] = bucket.checksum, bucket.code


COMPILED = CompiledTemplates()
_HOLE = secrets.token_hex(16)  # random, so that no user can write it
_templates = Environment(
    loader=PackageLoader("tweeter.web", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True, bytecode_cache=COMPILED,
)  # fmt: skip


def tweets_html(
    tweets: Iterable[TweetView], marks: Page = UNMARKED, me: int | None = None, mount: str = "", among: str = ""
) -> Markup:
    """The `<article>` of each tweet. `marks` has the reposts that place tweets, and what `me` likes and reposted.

    `among` says of whom the other reposts are: "you follow". `mount` is the path below which the site is mounted.
    """
    return Markup(tweets_bytes(tweets, marks, me, mount, among).decode())  # noqa: S704 (escaped)


def tweets_bytes(
    tweets: Iterable[TweetView], marks: Page = UNMARKED, me: int | None = None, mount: str = "", among: str = ""
) -> bytes:
    """Like `tweets_html`, in UTF-8.

    Cached for all readers by the values of the TweetView without its counts: a tweet with a new author name, or without
    its parent, has another cache key; another reply or like is the same HTML with another number.
    A changed template is detected within BLINK seconds.
    """
    _look_at_template(int(time.monotonic() / BLINK))
    return b"\n".join([_filled(tweet, marks, me, mount, among) for tweet in tweets])


@lru_cache(maxsize=1)
def _look_at_template(blink: int) -> None:
    if not _tweet_template().is_up_to_date:
        _tweet_template.cache_clear()
        _article.cache_clear()


def _filled(tweet: TweetView, marks: Page, me: int | None, mount: str, among: str) -> bytes:
    before, head, foot, after = _article(
        tweet.id, tweet.user_id, tweet.username, tweet.display_name, tweet.message, tweet.epoch_ms, tweet.parent_id,
        tweet.parent_username, mount,
    )  # fmt: skip
    repost = marks.reposts.get(tweet.id)
    reason = marking.reason(repost, me, mount, among) if repost else b""
    acts = marking.counts(tweet) if me is None else marking.buttons(tweet, marks, me, mount)
    return b"".join((before, reason, head, marking.replies(tweet.replies), foot, acts, after))


@lru_cache(maxsize=FRAGMENTS)
def _article(*values: Any) -> tuple[bytes, bytes, bytes, bytes]:
    """The HTML of a tweet, split at the parts that `marking` makes. The values are those of a TweetView, and `mount`.

    They are arguments of their own, because a TweetView without its counts would be made for each look-up.
    """
    *fields, mount = values
    tweet = TweetView(*fields)
    message, iso, shown = made_of(tweet, mount)
    html = _tweet_template().render(
        tweet=tweet, mount=mount, message=message, iso=iso, shown=shown, reason=_HOLE, replies=_HOLE, acts=_HOLE
    )
    before, head, foot, after = html.encode().split(_HOLE.encode())
    return before, head, foot, after


def made_of(tweet: TweetView, mount: str = "") -> tuple[Markup, str, str]:
    """Values for the template of a tweet: its text as HTML, its date for machines, its date for readers."""
    return text_html(tweet.message, mount=mount), *dates(tweet.date)


def dates(date: datetime) -> tuple[str, str]:
    """A date for machines, and for readers."""
    iso = date.isoformat(timespec="seconds").replace("+00:00", "Z")
    return iso, f"{date.day} {date:%b %Y, %H:%M}"


def text_html(message: str, kind: str = "message", mount: str = "") -> Markup:
    """A user's text as a paragraph of the class `kind`; each line has a direction of its own.

    Links, @mentions and #hashtags become links, and do not affect the direction of their line. A line without other
    text takes the direction of the previous line; the paragraph takes that of the first line. Texts that were stored
    under older rules are cleaned by today's.
    """
    lines: list[list[str]] = [[]]
    plain, tags = [""], []
    for segment in text.segments(text.clean_message(message)):
        if segment.kind == "text":
            first, *more = segment.text.split("\n")
            lines[-1].append(escape(first))
            plain[-1] += first
            lines += ([escape(line)] for line in more)
            plain += more
        else:
            lines[-1].append(_entity(segment, mount))
            tags += [segment.value] if segment.kind == "hashtag" else []
    directions = [text.direction(line) for line in plain]
    base = current = next(filter(None, [*directions, *map(text.direction, tags)]), "")
    spans = []
    for line, own in zip(lines, directions, strict=True):
        current = own or current
        spans.append(f"<span{_dir(current if current != base else '')}>{''.join(line) or '<br>'}</span>")
    inner = "\n".join(spans)
    return Markup(f'<p class="{kind}"{_dir(base)}>{inner}</p>')  # noqa: S704 (escaped)


def _dir(direction: str) -> str:
    return f' dir="{direction}"' if direction else ""


def _entity(segment: text.Segment, mount: str) -> str:
    words = escape(segment.text)
    if segment.kind == "link":
        return f'<bdi dir="ltr"><a href="{words}" rel="nofollow ugc noopener noreferrer">{words}</a></bdi>'
    to = f"/@{segment.value}" if segment.kind == "mention" else f"/tag/{quote(segment.value)}"
    return f'<bdi><a href="{mount}{to}">{words}</a></bdi>'


def compile_templates(registry: Registry) -> None:
    """Compiles all templates at the start of a server, so that the first pages need not."""
    for name in _templates.list_templates():
        registry.getUtility(IJinja2Environment, ".jinja2").get_template(name)


@lru_cache(maxsize=1)
def icons() -> TemplateModule:
    """The icons of `icons.jinja2`, by name."""
    return _templates.get_template("icons.jinja2").module


@lru_cache(maxsize=1)
def _tweet_template() -> Template:
    return _templates.get_template("tweet_article.jinja2")
