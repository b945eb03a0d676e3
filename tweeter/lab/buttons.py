"""The lab's buttons. All are forms of a signed-in user."""

from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from tweeter.errors import Refused
from tweeter.lab import accounts, crowds, dial, switch
from tweeter.lab.experiments import perform
from tweeter.lab.jobs import Job
from tweeter.lab.posting import post_and_watch
from tweeter.lab.status import Backend, Lab
from tweeter.lab.views import find
from tweeter.web.security import SIGNED_IN
from tweeter.web.views.forms import onward, posted, see

button = partial(view_config, request_method="POST", permission=SIGNED_IN)


@button(route_name="lab_switch")
def switch_backend(request: Request) -> Response:
    """Switches this browser's session to another backend, or back to the site's own."""
    name = posted(request, "backend")
    if name:
        _backend(request, name)
    switch(request, name)
    own = request.registry["lab"].default.name
    request.session.flash(f"All pages in this browser now come from {name or own}.")
    return HTTPSeeOther(onward(request, posted(request, "next"), "/lab"))


@button(route_name="lab_store")
def do_to_store(request: Request) -> Response:
    """Empties, drops, breaks or repairs."""
    lab: Lab = request.registry["lab"]
    backend = _backend(request, posted(request, "backend"))
    # A session of its own: the form's session holds the write lock, and a repaired store waits for the relay's writes.
    with request.registry.database.sessions() as session:
        whose = find(session, posted(request, "user") or request.identity.username)
    experiment = perform(lab, backend, posted(request, "action"), request.identity.username, (whose.id, whose.username))
    request.session.flash(f"{experiment.backend}: {experiment.what}.")
    return _live(request, whose.username, "#experiment")


@button(route_name="lab_post")
def post(request: Request) -> Response:
    """Posts, or reposts, to 10 to 1,000,000 followers."""
    sizes = {str(size): size for size in crowds.NAMES}
    size = sizes.get(posted(request, "followers"))
    if size is None:
        raise Refused(f"The number of followers must be one of: {', '.join(f'{size:,}' for size in crowds.NAMES)}.")
    warm, repost = posted(request, "timelines") != "cold", posted(request, "what") == "repost"
    lab: Lab = request.registry["lab"]
    what = f"a {'repost' if repost else 'post'} to {size:,} followers"
    title = f"{what}, their timelines {'warm' if warm else 'cold'}"
    return start_job(request, title, post_and_watch(request.registry, lab, size, warm, repost))


@button(route_name="lab_tidy")
def tidy(request: Request) -> Response:
    """Removes the test accounts."""
    registry = request.registry
    lab: Lab = registry["lab"]

    def work(job: Job) -> None:
        with registry.database.sessions() as session:
            phase = job.phase("Accounts removed", accounts.how_many(session), "accounts")
        crowds.remove(registry, phase)
        dial.remove(registry, phase)
        accounts.close_all(registry, phase)
        lab.delivery.wake()

    return start_job(request, "removing the test accounts", work)


@button(route_name="lab_dial")
def make_dial(request: Request) -> Response:
    """Creates the readers of the dial, with the authors whom they follow."""
    registry = request.registry
    lab: Lab = registry["lab"]

    def work(job: Job) -> None:
        dial.make(registry, job)
        lab.delivery.wake()

    return start_job(request, "creating readers who follow 10 to 5,000 authors", work)


def start_job(request: Request, title: str, work: Callable[[Job], None]) -> Response:
    """Starts a job, or says why not; shows the experiments."""
    try:
        request.registry["lab"].jobs.start(title, work)
    except Refused as error:
        request.session.flash(str(error))
    return _live(request, posted(request, "user"), "#job")


def _backend(request: Request, name: str) -> Backend:
    backends = request.registry["lab"].backends
    if name not in backends:
        raise Refused(f"The lab has no backend of that name; it has {', '.join(backends)}.")
    backend: Backend = backends[name]
    return backend


def _live(request: Request, username: str, place: str) -> Response:
    query = f"?{urlencode({'user': username})}" if username else ""
    return see(request, f"/lab/live{query}{place}")
