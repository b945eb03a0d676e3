"""The parts of a tweet's HTML that depend on the viewer, on counts or on the timeline.

They fill the holes of the cached article (`tweeter.web.rendering`): the line that tells who reposted the tweet, the
numbers of replies, reposts and likes, the buttons, and the link to delete it. All buttons of a page belong to one form
of the layout, `act`, which has the CSRF token, so they work without JavaScript and no tweet contains a token.
"""

from functools import lru_cache
from itertools import product

from markupsafe import escape

from tweeter.values import Page, Repost, TweetView

UNMARKED = Page((), None)  # no reposts, and a viewer who likes and reposted nothing

# By kind: its noun, then the path and the name of the button, first to do it, then to undo it.
KINDS = {
    "repost": ("repost", ("repost", "Repost"), ("unrepost", "Undo repost")),
    "like": ("like", ("like", "Like"), ("unlike", "Unlike")),
}
_ICON = '<svg class="icon" width="16" height="16" aria-hidden="true"><use href="#i-%s"/></svg>'
_BUTTON = (
    ' <button class="act {kind}" form="act" formaction="{mount}/tweets/%d/{path}" aria-pressed="{pressed}">{icon}'
    '<span class="sr">{name}</span><span class="n">%b</span><span class="sr">%b</span></button>'
)
_DELETE = ' <a class="delete" href="{mount}/tweets/%d?delete#delete">Delete<span class="sr"> your tweet</span></a>'
_REASON = '<p class="reason">' + _ICON % "repost" + "<span>%s reposted</span></p>\n    "
_REPLIES = b' <span class="replies">%d<span class="sr"> %b</span></span>'
_COUNTS = {
    kind: f' <span class="act {kind}">{_ICON % kind}%d<span class="sr"> %b</span></span>'.encode() for kind in KINDS
}
_NONE = (b"", b"")
FILLED = 20_000  # some 1 KB each


def reason(repost: Repost, me: int | None, mount: str, among: str = "") -> bytes:
    """The line "Ann and 3 others you follow reposted". `among` are the words that say which others are counted."""
    own, others = repost.user_id == me, repost.others
    who = "You" if own else f'<a href="{mount}/@{repost.username}"><bdi>{escape(repost.display_name)}</bdi></a>'
    if others:
        one, more = ("person", "people") if own else ("other", "others")
        who += f" and {others} {one if others == 1 else more}{among and ' '}{among}"
    return (_REASON % who).encode()


def replies(count: int) -> bytes:
    """The number of replies, in the link to reply; empty if there are none."""
    return _REPLIES % (count, b"reply" if count == 1 else b"replies") if count else b""


def counts(tweet: TweetView) -> bytes:
    """The numbers of reposts and likes, for signed-out readers."""
    shown = b""
    if tweet.reposts:
        shown += _COUNTS["repost"] % (tweet.reposts, _words(tweet.reposts, b"repost"))
    if tweet.likes:
        shown += _COUNTS["like"] % (tweet.likes, _words(tweet.likes, b"like"))
    return shown


def buttons(tweet: TweetView, marks: Page, me: int, mount: str) -> bytes:
    """The buttons to repost and to like the tweet, with their numbers; the link to delete one's own."""
    id_ = tweet.id
    state = (id_ in marks.reposted, id_ in marks.liked, tweet.user_id == me)
    return _filled(id_, tweet.reposts, tweet.likes, state, mount)


@lru_cache(maxsize=FILLED)
def _filled(id_: int, reposts: int, likes: int, state: tuple[bool, bool, bool], mount: str) -> bytes:
    """Cached, because most readers of a tweet see the same buttons."""
    one = (b"%d" % reposts, b" " + _words(reposts, b"repost")) if reposts else _NONE
    other = (b"%d" % likes, b" " + _words(likes, b"like")) if likes else _NONE
    return _buttons(mount)[state] % ((id_, *one, id_, *other, id_) if state[2] else (id_, *one, id_, *other))


def _words(count: int, noun: bytes) -> bytes:
    return noun if count == 1 else noun + b"s"


@lru_cache(maxsize=100)
def _buttons(mount: str) -> dict[tuple[bool, bool, bool], bytes]:
    """By whether the viewer reposted the tweet, likes it, and wrote it."""
    path = mount.replace("%", "%%")
    made = {}
    for reposted, liked, own in product((False, True), repeat=3):
        html = "".join(
            _BUTTON.format(
                kind=kind, mount=path, path=KINDS[kind][1 + on][0], pressed=str(on).lower(), icon=_ICON % kind,
                name=KINDS[kind][1 + on][1],
            )
            for kind, on in (("repost", reposted), ("like", liked))
        )  # fmt: skip
        made[reposted, liked, own] = (html + _DELETE.format(mount=path) * own).encode()
    return made
