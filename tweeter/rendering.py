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


def text_html(message: str) -> Markup:
    """What somebody wrote: escaped, with its links, @mentions and #hashtags made clickable."""
    return Markup("").join(_segment(segment) for segment in text.segments(message))


def _segment(segment: text.Segment) -> Markup:
    words = escape(segment.text)
    if segment.kind == "link":
        return Markup('<a href="{}" rel="nofollow ugc noopener noreferrer">{}</a>').format(segment.value, words)
    if segment.kind == "mention":
        return Markup('<a href="/@{}">{}</a>').format(segment.value, words)
    if segment.kind == "hashtag":
        return Markup('<a href="/search?q=%23{}">{}</a>').format(quote(segment.value), words)
    return words


@lru_cache(maxsize=1)
def icons() -> TemplateModule:
    """The drawings of `icons.jinja2`, by name."""
    return _templates.get_template("icons.jinja2").module


@lru_cache(maxsize=1)
def _tweet_template() -> Template:
    return _templates.get_template("tweet_article.jinja2")
