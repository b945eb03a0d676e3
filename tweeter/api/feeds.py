"""Atom feeds of profiles and hashtags. Feed readers poll, so most answers are 304."""

from datetime import UTC, datetime
from hashlib import blake2b
from xml.etree import ElementTree as xml

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response

from tweeter import ids, text
from tweeter.api.endpoints import iso
from tweeter.api.writing import html, tag_url
from tweeter.values import Cursor, Page, Timeline, TweetView
from tweeter.web.views.people import find
from tweeter.web.views.tags import tag_timeline

ATOM = "http://www.w3.org/2005/Atom"
LISTED = 20


def of_profile(request: Request) -> Response:
    """The newest tweets and reposts of a user."""
    user = find(request)
    page = request.timelines.page(Timeline("profile", user.id), Cursor(limit=LISTED, backfill=False))
    title = f"{user.display_name} (@{user.username})"
    return _feed(request, title, f"{request.application_url}/@{user.username}", page, user.date)


def of_tag(request: Request) -> Response:
    """The newest tweets with a hashtag."""
    if not (name := text.hashtag(request.matchdict["hashtag"])):
        raise HTTPNotFound("This is not a hashtag.")
    timeline = tag_timeline(request, name)
    newest = Cursor(limit=LISTED, backfill=False)
    page = request.timelines.page(timeline, newest) if timeline else Page((), None)
    return _feed(request, f"#{name}", tag_url(request.application_url, name), page, ids.EPOCH)


def _feed(request: Request, title: str, url: str, page: Page, begun: datetime) -> Response:
    base = request.application_url
    feed = xml.Element("feed", {"xmlns": ATOM})
    _add(feed, "id", url)
    _add(feed, "title", title)
    dates = [ids.date_of(each.id) if (each := page.reposts.get(tweet.id)) else tweet.date for tweet in page.tweets]
    updated = dates[0] if dates else begun.astimezone(UTC)
    _add(feed, "updated", iso(updated))
    _add(feed, "link", rel="self", type="application/atom+xml", href=request.path_url)
    _add(feed, "link", rel="alternate", type="text/html", href=url)
    for tweet, date in zip(page.tweets, dates, strict=True):
        _entry(feed, tweet, tweet.id in page.reposts, page.place(tweet), date, base)
    body = xml.tostring(feed, encoding="utf-8", xml_declaration=True)
    response = Response(body, content_type="application/atom+xml", charset="UTF-8")
    response.etag = blake2b(body, digest_size=12).hexdigest(), False  # weak: it may be compressed
    # Without Last-Modified: a deletion does not change the date of the newest tweet, or makes it older.
    response.headers["Cache-Control"] = "public, max-age=60"
    response.conditional_response = True
    return response


def _entry(feed: xml.Element, tweet: TweetView, reposted: bool, id_: int, date: datetime, base: str) -> None:
    """The entry of a tweet, or of a repost: its address leads to the tweet, and its title tells that it is one."""
    url = f"{base}/tweets/{id_}"
    entry = xml.SubElement(feed, "entry")
    _add(entry, "id", url)
    title = tweet.message.partition("\n")[0][:80]
    _add(entry, "title", f"Reposted @{tweet.username}: {title}" if reposted else title)
    _add(entry, "published", iso(date))
    _add(entry, "updated", iso(date))
    author = xml.SubElement(entry, "author")
    _add(author, "name", tweet.display_name)
    _add(author, "uri", f"{base}/@{tweet.username}")
    _add(entry, "link", rel="alternate", type="text/html", href=url)
    _add(entry, "content", html(tweet.message, base), type="html")


def _add(parent: xml.Element, name: str, content: str | None = None, **attributes: str) -> None:
    xml.SubElement(parent, name, attributes).text = content


def includeme(config: Configurator) -> None:
    config.add_route("profile feed", "/@{username}/feed.atom")
    config.add_route("tag feed", "/tags/{hashtag}/feed.atom")
    config.add_view(of_profile, route_name="profile feed", request_method="GET")
    config.add_view(of_tag, route_name="tag feed", request_method="GET")
