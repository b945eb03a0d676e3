"""The public timeline as all signed-out readers see it: a page that browsers and proxies may cache for a second.

Its ETag is a digest of everything on the page except the line of costs, so it changes exactly when the page does, and
is the same in all processes. Readers with a session may see messages of their own: their browser asks again each time.
"""

import hashlib
from functools import lru_cache

from pyramid.request import Request
from pyramid.response import Response

CACHING = "public, max-age=1, stale-while-revalidate=5"
COSTS = b'<span class="costs">'  # where the digest ends
OWN = frozenset(("session", "ticket"))  # cookies


@lru_cache(maxsize=100)
def digest(shown: bytes) -> str:
    """Cached, because most readers see the same page, and Python hashes it in a fifth of the time."""
    return hashlib.blake2b(shown, digest_size=12).hexdigest()


def shared(request: Request, page: Response) -> Response:
    """The page with its headers; 304 without it if the browser has it."""
    shown, _, _ = page.body.rpartition(COSTS)
    etag = digest(shown)
    if etag in request.if_none_match:
        page = Response(status=304)
        del page.content_type, page.content_length
    page.etag = (etag, False)  # weak: the costs differ
    page.vary = ("Cookie", "Accept-Encoding")
    if OWN.isdisjoint(request.cookies):
        page.headers["Cache-Control"] = CACHING
    return page
