"""The pages of the lab: backends side by side, the steps of the talk, and the live page with its buttons."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy.orm import Session

from tweeter import measure
from tweeter.errors import Missing
from tweeter.interfaces import ITimelineKinds, ITimelines
from tweeter.lab import accounts, crowds, dial
from tweeter.lab.comparison import Answer, compare_all, noise
from tweeter.lab.explain import Explained, explained
from tweeter.lab.footprint import footprint
from tweeter.lab.growth import measure_growth
from tweeter.lab.instruments import MENDS_AFTER
from tweeter.lab.jobs import Job
from tweeter.lab.status import PATIENCE, Lab, Status
from tweeter.models import User
from tweeter.services.people import find_user
from tweeter.text import clean_line
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline, TweetView
from tweeter.web.security import SIGNED_IN
from tweeter.web.views.forms import Form

page = partial(view_config, request_method="GET", permission=SIGNED_IN)

LIMITS = (20, 100)

MARKS = {
    "missing": "missing",
    "extra": "surplus",
    "twice": "duplicate",
    "order": "different position",
    "text": "different text",
    "reason": "different reposts",
}


@page(route_name="lab", renderer="tweeter.web:templates/lab_compare.jinja2")
def side_by_side(request: Request) -> dict[str, Any]:
    """The same page from every backend. Cold reads drop the timelines and backfill them."""
    values, whose = asked_for(request)
    if whose is None:
        return values
    lab, statuses = awake(request)
    contenders = {name: lab.backends[name].timelines for name, status in statuses.items() if status.answers}
    kind = values["kind"]
    with request.read_session() as session:
        owners = kind.owners_of(session, whose.id) if kind.owned else [0]
    if not owners:
        values["form"].errors["user"] = f"@{whose.username} has no {kind.name} timeline."
        return values
    timeline = Timeline(kind.name, owners[0])
    values |= measured(request, contenders, timeline, values["limit"])
    values |= {"statuses": statuses, "state": state_of(statuses)}
    answers = values["answers"]
    statements = {name: statements_of(request, answer) for name, answer in answers.items()}
    size = footprint(request.registry, lab, timeline) if "redis" in contenders else None
    return values | {"differing": differing(answers), "statements": statements, "footprint": size}


@page(route_name="lab_steps", renderer="tweeter.web:templates/lab_steps.jinja2")
def step_by_step(request: Request) -> dict[str, Any]:
    """The effect of each step of the talk, measured on this machine."""
    values, whose = asked_for(request)
    if whose is None:
        return values
    lab, statuses = awake(request)
    steps = [(step, statuses.get(step.backend, Status("not included"))) for step in lab.steps]
    contenders = {step.name: lab.contender(step) for step, status in steps if status.answers}
    values |= measured(request, contenders, Timeline("home", whose.id), values["limit"])
    growth = None
    if values["dial_ready"]:
        with measure.measuring():
            growth = measure_growth(contenders, dial_readers(request), values["limit"])
    return values | {
        "steps": steps,
        "growth": growth,
        "database": request.registry.database.engine.dialect.name,
        "state": state_of(statuses),
    }


@page(route_name="lab_live", renderer="tweeter.web:templates/lab_live.jinja2")
def live(request: Request) -> dict[str, Any]:
    """The buttons and the results of earlier actions."""
    values, whose = asked_for(request)
    lab: Lab = request.registry["lab"]
    lab.delivery.observe()
    statuses = lab.statuses(0.5)
    stores = [(backend, statuses[backend.name], backend.pending()) for backend in lab.stores]
    with request.read_session() as session:
        test_accounts = accounts.how_many(session)
    return values | {
        "whose": whose or values["whose"],
        "stores": stores,
        "state": state_of(statuses),
        "experiments": list(lab.experiments),
        "job": looked_at(lab.jobs.current),
        "outage": lab.outage and lab.outage.look(),
        "sizes": list(crowds.NAMES.items()),
        "accounts": test_accounts,
        "minutes": round(MENDS_AFTER / 60),
        "cards": [
            (card, list(card.figures(request.registry)))
            for card in lab.cards
            if card.configured(request.registry.settings)
        ],
    }


@page(route_name="lab_progress", renderer="tweeter.web:templates/lab_progress.jinja2")
def progress(request: Request) -> dict[str, Any]:
    """The progress of the job, as a fragment of the page."""
    lab: Lab = request.registry["lab"]
    return {"job": looked_at(lab.jobs.current), "outage": lab.outage and lab.outage.look()}


@page(route_name="lab_state")
def state(request: Request) -> Response:
    """The status of each backend, and its last page. The lab's pages poll it, and reload after a change of status."""
    lab: Lab = request.registry["lab"]
    return Response(json_body={"state": state_of(lab.statuses()), "pages": lab.last_pages()}, charset="UTF-8")


def state_of(statuses: Mapping[str, Status]) -> str:
    """`redis:answers memcached:absent`, for comparison."""
    return " ".join(f"{name}:{status.word}" for name, status in statuses.items())


def looked_at(job: Job | None) -> Job | None:
    if job is not None:
        job.look()
    return job


def asked_for(request: Request) -> tuple[dict[str, Any], User | None]:
    """Values of all lab pages: the form, and the owner of the requested timeline; None if there is no such user.

    Raises HTTPBadRequest for a limit that is not in LIMITS, and for an unknown timeline kind.
    """
    text = request.GET.get("limit", str(LIMITS[0]))
    if text not in map(str, LIMITS):
        raise HTTPBadRequest(f"“limit” must be {LIMITS[0]} or {LIMITS[1]}.")
    kinds = request.registry.getUtility(ITimelineKinds)
    kind = request.GET.get("timeline", "home")
    if kind not in kinds:
        raise HTTPBadRequest(f"“timeline” must be one of: {', '.join(sorted(kinds))}.")
    typed = clean_line(request.GET.get("user", "")).removeprefix("@")
    form = Form({"user": typed})
    values = {
        "limit": int(text),
        "limits": LIMITS,
        "form": form,
        "whose": None,
        "MARKS": MARKS,
        "kind": kinds[kind],
        "kinds": sorted(kinds),
        "dial": dial.READERS,
        "pages": request.registry["lab"].last_pages(),
    }
    username = typed or request.identity.username
    try:
        with request.read_session() as session:
            values["dial_ready"] = dial.ready(session)
            whose = find(session, username)
    except Missing as error:
        request.response.status_int = 404
        form.errors["user"] = str(error)
        return values, None
    return values | {"whose": whose}, whose


def dial_readers(request: Request) -> dict[int, int]:
    """The ids of the readers of the dial, by their number of followees."""
    with request.read_session() as session:
        return {size: find(session, name).id for size, name in dial.READERS.items()}


def find(session: Session, username: str) -> User:
    """The user of that name. Raises Missing."""
    user = find_user(session, username)
    if user is None:
        raise Missing(f"There is no user called @{clean_line(username)[:20]}.")
    return user


def awake(request: Request) -> tuple[Lab, dict[str, Status]]:
    """The lab and the statuses of its backends, after a wait for those that are catching up."""
    lab: Lab = request.registry["lab"]
    lab.delivery.wake()
    return lab, lab.statuses(PATIENCE)


def measured(request: Request, contenders: Mapping[str, ITimelines], timeline: Timeline, limit: int) -> dict[str, Any]:
    """The answers, and the maximum of each group of bars, in seconds."""
    registry = request.registry
    reference = PullTimelines("reference", registry.database.sessions, registry.getUtility(ITimelineKinds))
    with measure.measuring():  # the footer counts this page only, not the measured reads
        answers = compare_all(contenders, reference, timeline, Cursor(limit=limit))
    scales = {
        "cold": max((answer.cold.seconds for answer in answers.values() if answer.cold), default=1.0),
        "warm": max((answer.warm.seconds for answer in answers.values()), default=1.0),
    }
    return {"answers": answers, "scales": scales, "noise": noise(answer.warm.rounds for answer in answers.values())}


def differing(answers: Mapping[str, Answer]) -> list[tuple[TweetView, dict[str, str]]]:
    """The tweets on which any backend differs from SQL, newest first, with the mark of each."""
    found: dict[int, tuple[TweetView, dict[str, str]]] = {}
    for name, answer in answers.items():
        for tweet, word in answer.marks:
            if word:
                found.setdefault(tweet.id, (tweet, {}))[1][name] = word
    return [found[id_] for id_ in sorted(found, reverse=True)]


def statements_of(request: Request, answer: Answer) -> list[tuple[str, list[Explained]]]:
    """The statements of the cold and the warm read, with their plans."""
    engine = request.registry.database.engine
    reads = [(label, cost) for label, cost in (("cold", answer.cold), ("warm", answer.warm)) if cost is not None]
    return [(label, [explained(engine, each) for each in cost.statements]) for label, cost in reads]
