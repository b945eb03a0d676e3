"""Avatars: small birds, drawn from the username."""

import hashlib

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

# Background and plumage. Every breast colour below fits every plumage, on light and dark pages.
PLUMAGES = [
    ("#f3d9b1", "#5b4636"), ("#cfe3d4", "#2f5d50"), ("#f6cfc4", "#7a2e3a"), ("#d5dbf0", "#37406b"),
    ("#f5e6a8", "#6b5b1e"), ("#e4d3ea", "#5a3d6b"), ("#cde6ea", "#1f5f6b"), ("#f2d6de", "#8a2f5c"),
    ("#dfe5c1", "#4c5f24"), ("#ead9cb", "#4a3b34"), ("#dce4ea", "#3c5163"), ("#fbe0c8", "#9a4a1c"),
]  # fmt: skip
BREASTS = ["#d9542b", "#f0b429", "#f4efe6", "#f2a65a", "#f28f6b", "#f7e3b5", "#7fb7be", "#e9909f"]
CRESTS = [
    "",
    '<path d="M27 15 22 5l9 6 2-8 5 11z" fill="{plumage}"/>',
    '<path d="M26 16c-4-5-9-5-12-3 5 0 8 3 9 7z" fill="{plumage}"/>',
    '<circle cx="32" cy="8" r="3.5" fill="{breast}"/><path d="M31 9h2v7h-2z" fill="{plumage}"/>',
]
BEAKS = ["M46 27l12 4-12 4z", "M47 28l8 3-8 3z", "M46 26c6 0 10 3 11 8-4-1-8 0-11 1z", "M47 29l15 2-15 2z"]


@view_config(route_name="avatar", request_method="GET")
def avatar(request: Request) -> Response:
    """Depends on the name only, so it never changes and needs no account."""
    response = Response(draw(request.matchdict["username"]), content_type="image/svg+xml", charset="UTF-8")
    response.cache_control = "public, max-age=31536000, immutable"
    return response


def draw(username: str) -> str:
    """The SVG. It uses attributes instead of styles, which the Content-Security-Policy forbids."""
    digest = hashlib.blake2b(username.lower().encode(), digest_size=7).digest()
    ground, plumage = PLUMAGES[digest[0] % len(PLUMAGES)]
    breast = BREASTS[digest[6] % len(BREASTS)]
    crest = CRESTS[digest[1] % len(CRESTS)].format(plumage=plumage, breast=breast)
    beak = BEAKS[digest[2] % len(BEAKS)]
    turned = ' transform="matrix(-1 0 0 1 64 0)"' if digest[3] % 2 else ""
    tilt = digest[4] % 17 - 8
    wing = 20 + digest[5] % 5
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        f'<rect width="64" height="64" fill="{ground}"/><g{turned}>'
        f'<path d="M8 70C8 46 20 40 32 40s24 8 24 30z" fill="{plumage}"/>'
        f'<path d="M26 70c-2-18 4-30 16-32 12 6 14 20 12 32z" fill="{breast}"/>'
        f'<g transform="rotate({tilt} 32 34)">{crest}'
        f'<circle cx="32" cy="30" r="17" fill="{plumage}"/>'
        f'<path d="M32 47c-5-6-4-{wing} 8-{wing} 6 1 9 6 9 11-2 7-9 9-17 9z" fill="{breast}"/>'
        f'<path d="{beak}" fill="#f6b73c"/>'
        '<circle cx="38" cy="26" r="4.2" fill="#fff"/><circle cx="39" cy="26" r="2.4" fill="#1d1714"/>'
        "</g></g></svg>"
    )
