"""Tweets and texts as HTML. Nothing here knows who reads or when, so what it returns can be kept and shown to all."""

import time
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from jinja2.environment import TemplateModule
from markupsafe import Markup, escape

from tweeter import text
from tweeter.values import TweetView

FRAGMENTS = 10_000  # some 2 KB each
BLINK = 0.1  # seconds

_templates = Environment(
    loader=PackageLoader("tweeter", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


def tweets_html(tweets: Iterable[TweetView]) -> Markup:
    """The `<article>` of each tweet, the same for every reader.

    They are kept by value, all that stands in them, so that with a new name, or without its parent, it is another tweet
    to the cache. A template that changed is noticed within a blink.
    """
    _look_at_template(int(time.monotonic() / BLINK))
    return Markup("\n").join(map(_article, tweets))


@lru_cache(maxsize=1)
def _look_at_template(blink: int) -> None:
    if not _tweet_template().is_up_to_date:
        _tweet_template.cache_clear()
        _article.cache_clear()


@lru_cache(maxsize=FRAGMENTS)
def _article(tweet: TweetView) -> Markup:
    message, iso, shown = made_of(tweet)
    return Markup(_tweet_template().render(tweet=tweet, message=message, iso=iso, shown=shown))  # noqa: S704 (escaped)


def made_of(tweet: TweetView) -> tuple[Markup, str, str]:
    """What the template of a tweet does not make itself: its text, its date for machines, its date for people."""
    date = tweet.date
    iso = date.isoformat(timespec="seconds").replace("+00:00", "Z")
    return text_html(tweet.message), iso, f"{date.day} {date:%b %Y, %H:%M}"


def text_html(message: str, kind: str = "message") -> Markup:
    """What somebody wrote as a paragraph of the class `kind`, each line with a direction of its own.

    Links, @mentions and #hashtags can be clicked, and have no part in the direction of their line. A line that has
    nothing else takes the direction of the paragraph, which is that of its first line that has one. Texts that were
    stored under older rules are cleaned as today.
    """
    lines, plain, tags = [Markup()], [""], []
    for segment in text.segments(text.clean_message(message)):
        if segment.kind == "text":
            first, *more = segment.text.split("\n")
            lines[-1] += escape(first)
            plain[-1] += first
            lines += map(escape, more)
            plain += more
        else:
            lines[-1] += _entity(segment)
            tags += [segment.value] if segment.kind == "hashtag" else []
    directions = [text.direction(line) for line in plain]
    base = next(filter(None, [*directions, *map(text.direction, tags)]), "")
    return Markup('<p class="{}"{}>{}</p>').format(
        kind,
        _dir(base),
        Markup("\n").join(
            Markup("<span{}>{}</span>").format(_dir(own if own != base else ""), line or Markup("<br>"))
            for line, own in zip(lines, directions, strict=True)
        ),
    )


def _dir(direction: str) -> Markup:
    return Markup(' dir="{}"').format(direction) if direction else Markup()


def _entity(segment: text.Segment) -> Markup:
    if segment.kind == "link":
        return Markup('<bdi dir="ltr"><a href="{0}" rel="nofollow ugc noopener noreferrer">{0}</a></bdi>').format(
            segment.value
        )
    if segment.kind == "mention":
        return Markup('<bdi><a href="/@{}">{}</a></bdi>').format(segment.value, segment.text)
    return Markup('<bdi><a href="/search?q=%23{}">{}</a></bdi>').format(quote(segment.value), segment.text)


@lru_cache(maxsize=1)
def icons() -> TemplateModule:
    """The drawings of `icons.jinja2`, by name."""
    return _templates.get_template("icons.jinja2").module


@lru_cache(maxsize=1)
def _tweet_template() -> Template:
    return _templates.get_template("tweet_article.jinja2")
