"""Readers at once: a home page over the site's own HTTP, from a process of its own, on several backends in turn.

The page is your own, or that of a reader of the dial, for whom the lab begins a session that ends with the job.
"""

import http.client
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field

from pyramid.config import Configurator
from pyramid.interfaces import ISecurityPolicy
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import select

from tweeter.bench import cpu
from tweeter.bench.at_once import at_once
from tweeter.bench.browser import TWEET, Address, Browser
from tweeter.bench.children import Child
from tweeter.bench.figures import duration, percentile
from tweeter.bench.offered import Batch
from tweeter.bench.verdicts import best
from tweeter.errors import Refused, TweeterError
from tweeter.interfaces import ITimelineKinds
from tweeter.lab import accounts, dial
from tweeter.lab.buttons import start_job
from tweeter.lab.jobs import Job, Phase
from tweeter.lab.status import Lab
from tweeter.models import User
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.views.forms import posted

SIZES = (1, 8, 32, 128)
ROUNDS, SECONDS = 5, 2.0  # on each backend, which take turns
PROGRAMS = {"redis": "redis-server", "memcached": "memcached"}  # by backend


@dataclass
class Figures:
    """The load of one backend so far."""

    phase: Phase
    request: bytes
    programs: Sequence[str]  # servers that take part
    latencies: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)  # of each round
    errors: "Counter[str]" = field(default_factory=Counter)
    cpu: "Counter[str]" = field(default_factory=Counter)
    seconds: float = 0.0
    checked: int = 0
    differing: int = 0

    def add(self, batch: Batch, expected: list[int], since: float) -> None:
        """Adds what came in; `since` are the seconds of this round before."""
        self.latencies += batch.latencies
        self.errors.update(batch.errors)
        for page in batch.kept:
            self.checked += 1
            self.differing += [int(id_) for id_ in TWEET.findall(page.html)] != expected
        self.seconds += batch.seconds - since
        self.phase.done = min(self.phase.total, round(self.seconds))
        self.phase.note = self.words()

    def words(self) -> str:
        told = [f"{len(self.latencies) / self.seconds:,.0f} pages/s"]
        if self.latencies:
            points = {"median": 50, "95\N{NO-BREAK SPACE}%": 95, "99\N{NO-BREAK SPACE}%": 99}
            told += [f"{name} {duration(percentile(self.latencies, point))}" for name, point in points.items()]
        told += [f"{number:,} times: {error}" for error, number in self.errors.items()] or ["no errors"]
        if self.checked:
            told.append(f"{self.differing or 'none'} of {self.checked:,} checked pages differ from SQL’s")
        if self.cpu and self.latencies:
            shares = (f"{name} {1000 * used / len(self.latencies):.2f} s" for name, used in self.cpu.items() if used)
            told.append(f"CPU time of 1,000 pages: {', '.join(shares)}")
        return ", ".join(told)


Reader = tuple[int, Mapping[str, str]]  # the user, and the cookies of a session


def load(
    registry: Registry, address: Address, mount: str, reader: AbstractContextManager[Reader], names: Sequence[str],
    number: int,
) -> Callable[[Job], None]:  # fmt: skip
    """The work of a job: so many readers at once, on these backends. `mount` is the path before those of the site."""

    def work(job: Job) -> None:
        verdict = job.phase("Pages a second", ROUNDS, "rounds")
        shared = ["postgres"] if registry.database.engine.dialect.name == "postgresql" else []
        sql = PullTimelines("reference", registry.database.sessions, registry.getUtility(ITimelineKinds))
        with reader as (user_id, cookies), closing(Child()) as child:
            figures = {
                name: Figures(
                    job.phase(name, round(ROUNDS * SECONDS), "seconds"), _home(address, mount, cookies, name),
                    [*shared, *(program for backend, program in PROGRAMS.items() if backend == name)],
                )
                for name in names
            }  # fmt: skip
            for _ in range(ROUNDS):
                for each in figures.values():
                    _round(child, address, number, each, sql, Timeline("home", user_id))
                verdict.done += 1
                verdict.note = best({name: each.rates for name, each in figures.items()})

    return work


@contextmanager
def dial_reader(registry: Registry, name: str) -> Iterator[Reader]:
    """A reader of the dial with a session of its own. Raises Refused if the account does not exist."""
    policy = registry.getUtility(ISecurityPolicy)
    with registry.database.writing_sessions.begin() as session:
        query = select(User.id, User.auth_version).where(User.username_key == name, *accounts.ours(), ~User.closed)
        found = session.execute(query).one_or_none()
        if found is None:
            raise Refused(f"There is no test reader @{name}.")
        token = policy.begin(session, *found)
    try:
        yield found.id, {"ticket": token}
    finally:
        with registry.database.writing_sessions.begin() as session:
            policy.end(session, token)


def _round(child: Child, address: Address, readers: int, figures: Figures, sql: PullTimelines, home: Timeline) -> None:
    expected = [tweet.id for tweet in sql.page(home, Cursor()).tweets]
    before, since, answered = _used(figures.programs), 0.0, len(figures.latencies)
    for batch in child.each(at_once, [address], [figures.request], readers, SECONDS):
        figures.add(batch, expected, since)
        since = batch.seconds
    figures.rates.append((len(figures.latencies) - answered) / since)
    figures.cpu.update(cpu.difference(before, _used(figures.programs)))
    figures.phase.note = figures.words()


def _used(programs: Sequence[str]) -> dict[str, float]:
    """CPU seconds of this process and of all servers of these programs on this machine."""
    return {"site": time.process_time(), **cpu.of_programs(programs)}


def _home(address: Address, mount: str, cookies: Mapping[str, str], name: str) -> bytes:
    """The request for the home page by a session that is switched to this backend. Raises Refused."""
    where = f"{address[0]}:{address[1]}"
    with closing(Browser(address, cookies)) as browser:
        try:
            browser.get(f"{mount}/settings")  # for its token
            browser.send(f"{mount}/lab/switch", backend=name)
            page = browser.get(f"{mount}/")
        except (OSError, http.client.HTTPException, TweeterError) as error:
            raise Refused(f"The lab can't reach its own site at {where}: {error}") from error
        if page.status != http.client.OK or not page.served_by.startswith(name):
            raise Refused(f"The site at {where} does not serve this page from {name}: {page.status} {page.served_by}")
        return browser.request(f"{mount}/")


def press(request: Request) -> Response:
    """Starts the load: on the chosen backends, or on all that are reachable."""
    lab: Lab = request.registry["lab"]
    size = next((size for size in SIZES if str(size) == posted(request, "readers")), None)
    if size is None:
        raise Refused(f"The number of readers must be one of: {', '.join(map(str, SIZES))}.")
    reachable = [name for name, status in lab.statuses().items() if status.answers]
    names = [name for name in reachable if name in request.POST.getall("backend")] or reachable
    address = "127.0.0.1", int(request.environ["SERVER_PORT"])
    reader: AbstractContextManager[Reader] = nullcontext((request.identity.id, dict(request.cookies)))
    if (name := posted(request, "user")) in dial.READERS.values():
        reader = dial_reader(request.registry, name)
    work = load(request.registry, address, at(request), reader, names, size)
    return start_job(request, f"{size} reader{'' if size == 1 else 's'} at once", work)


def includeme(config: Configurator) -> None:
    """Adds the button."""
    config.add_route("lab_load", "/lab/load", from_lab_hosts=True)
    config.add_view(press, route_name="lab_load", request_method="POST", permission=SIGNED_IN)
