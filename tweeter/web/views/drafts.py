"""Drafts: texts of a form that was not accepted are shown in that form again.

A form is not accepted if the user signed out, or out and in again, in another tab after its page was loaded.
"""

import json
import zlib
from base64 import b64decode, b64encode
from hmac import compare_digest

from pyramid.csrf import check_csrf_token
from pyramid.request import Request

from tweeter.web.security import from_own_origin
from tweeter.web.tokens import unmask
from tweeter.web.views.forms import posted

# The text fields to keep, by the route of the form. Passwords are never kept.
FIELDS = {
    "tweets": ("message",),
    "settings": ("display_name", "bio"),
    "signup": ("username", "display_name"),
    "login": ("username",),
}
DRAFT, EARLIER_TOKENS = "typed", "earlier_tokens"  # session keys
LONGEST = 2000  # characters of a compressed draft: the session is a cookie
MOST_TOKENS = 3

Draft = dict[str, str]


def typed(request: Request) -> Draft:
    """The texts of the submitted form by field; empty if all are empty."""
    route = request.matched_route.name if request.matched_route else ""
    draft = {name: posted(request, name) for name in FIELDS.get(route, ())}
    return draft if any(draft.values()) else {}


def keep(request: Request, draft: Draft) -> bool:
    """Keeps a draft in the session until `take`. Returns False if it is too long."""
    data = packed(draft)
    if fits := len(data) <= LONGEST:
        request.session[DRAFT] = data
    return fits


def packed(draft: Draft) -> str:
    """The draft as stored in the session."""
    return b64encode(zlib.compress(json.dumps(draft).encode(), 9)).decode()


def take(request: Request, form: str) -> Draft:
    """Returns the draft of this form and removes it; empty if there is none."""
    if DRAFT not in request.session:
        return {}
    draft: Draft = json.loads(zlib.decompress(b64decode(request.session[DRAFT])))
    if tuple(draft) != FIELDS[form]:
        return {}
    del request.session[DRAFT]
    return draft


def from_this_site(request: Request) -> bool:
    """Whether one of our pages sent this form, also in an earlier session. Other sites must not fill in our forms."""
    if from_own_origin(request):
        return True
    if "session" not in request.cookies:
        return False  # and starts no session: its cookie would replace the one withheld from cross-site requests
    if check_csrf_token(request, raises=False):
        return True
    token = unmask(posted(request, "csrf_token")).encode()
    return any(compare_digest(token, earlier.encode()) for earlier in request.session.get(EARLIER_TOKENS, ()))


def renew_session(request: Request, *kept: str) -> None:
    """Starts a new session with these keys of the old one, and remembers the old token as an earlier one."""
    session = request.session
    state = {key: session[key] for key in kept if key in session}
    state[EARLIER_TOKENS] = [session.get_csrf_token(), *session.get(EARLIER_TOKENS, ())][:MOST_TOKENS]
    session.invalidate()
    session.update(state)
