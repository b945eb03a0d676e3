"""The public page of signed-out readers, which browsers and proxies may cache: its cost, and what changes its ETag.

The pages go through the site's own WSGI application, without the web server.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import TypeVar

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router
from pyramid.view import view_config

from tweeter.bench.figures import duration
from tweeter.errors import Refused
from tweeter.lab import accounts
from tweeter.lab.buttons import start_job
from tweeter.lab.comparison import noise
from tweeter.lab.jobs import Job
from tweeter.lab.status import Lab
from tweeter.services.actions import Actions, actions_of
from tweeter.web.security import SIGNED_IN

T = TypeVar("T")

PATH = "/public"
NAME = "lab_public"
ROUNDS, EACH = 3, 10  # of pages and of 304s, in turns
PATIENCE = 5.0  # seconds until a change is on the page


@view_config(route_name="lab_shared", request_method="POST", permission=SIGNED_IN)
def measure_public(request: Request) -> Response:
    """Measures the public page, and has a test account change it."""
    return start_job(request, "the public page of signed-out readers", shared_page(request.registry, request.host_url))


def shared_page(registry: Registry, url: str) -> Callable[[Job], None]:
    """The work of a job: the cost of the page and of a 304; then a post, a new name and a delete."""

    def work(job: Job) -> None:
        app, lab = Router(registry), registry["lab"]

        def get(etag: str = "") -> Response:
            headers = {"If-None-Match": etag} if etag else {}
            return Request.blank(PATH, base_url=url, headers=headers).get_response(app)

        _costs(job, get)
        author = accounts.one(registry, NAME)
        change = _Change(job, registry, lab, get)
        tweet = change("Posted a tweet", lambda actions: actions.post(author, "A test post of the lab.").id)
        change("Changed the author’s name", lambda actions: actions.change_profile(author, NAME.title(), accounts.BIO))
        change("Deleted the tweet", lambda actions: actions.delete(author, tweet))
        with registry.database.writing_sessions.begin() as session:
            actions_of(registry, session).change_profile(author, NAME, accounts.BIO)

    return work


def _costs(job: Job, get: Callable[..., Response]) -> None:
    total = ROUNDS * EACH
    phases = [job.phase("The page", total, "pages"), job.phase("304, not modified", total, "responses")]
    times: list[list[float]] = [[], []]
    etag = get().headers["ETag"]
    for _ in range(total):
        for phase, each, known in zip(phases, times, ("", etag), strict=True):
            began = time.perf_counter()
            response = get(known)
            each.append(time.perf_counter() - began)
            phase.done += 1
            phase.seconds += each[-1]
            size = f"{len(response.body):,} bytes, “{response.headers['Cache-Control']}”"
            phase.note = f"{response.status_int}, median {duration(median(each))}, {size}"
            etag = response.headers["ETag"]
    job.noise = noise([median(each[first : first + EACH]) for first in range(0, total, EACH)] for each in times)


class _Change:
    """Changes something, and waits until the page has another ETag."""

    def __init__(self, job: Job, registry: Registry, lab: Lab, get: Callable[..., Response]) -> None:
        self._job = job
        self._registry = registry
        self._lab = lab
        self._get = get

    def __call__(self, name: str, do: Callable[[Actions], T]) -> T:
        phase = self._job.phase(name, 1, "new ETag")
        before = self._get().headers["ETag"]
        with self._registry.database.writing_sessions.begin() as session:
            done = do(actions_of(self._registry, session))
        began = time.perf_counter()
        self._lab.delivery.wake()
        while (after := self._get(before)).status_int == 304:
            if time.perf_counter() - began > PATIENCE:
                raise Refused(f"{name}: the page had the same ETag for {PATIENCE:.0f} seconds.")
        phase.advance(1)
        phase.note = f"{before} became {after.headers['ETag']} {duration(time.perf_counter() - began)} after the commit"
        return done


def includeme(config: Configurator) -> None:
    config.add_route("lab_shared", "/lab/shared", from_lab_hosts=True)
    config.scan(__name__)
