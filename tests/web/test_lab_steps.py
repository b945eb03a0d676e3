"""The lab: the steps of the talk, the dial, and the page of signed-out readers."""

import operator
import re

import pytest
from pyramid.config import Configurator
from sqlalchemy import select

from tests.conftest import HERE, check_searchable
from tests.support.labs import _break_at_once, app, finished, id_of, lab, lab_on, people, small_dial, with_servers  # noqa: F401
from tests.support.people import Browser, Person
from tweeter.interfaces import IDelivery, ITimelineKinds
from tweeter.lab import accounts, add_lab_card, add_lab_step, shared
from tweeter.lab.cards import Card, samples
from tweeter.lab.comparison import compare_all
from tweeter.lab.steps import Step, as_configured
from tweeter.models import Relationship, User
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow


# the steps of the talk


def test_steps_are_in_the_order_of_the_talk_with_figures(people):
    page = people[0].get("/lab/steps")
    titles = re.findall(r'<h2 class="card-title">(.*?)</h2>', page.text)
    assert titles == [
        "One SQL join",
        "A list in the process’s memory",
        "Ids in Redis, tweets by SQL",
        "Tweets in Redis, one GET for each",
        "Tweets in Redis, all at once",
        "The same in memcached",
    ]
    assert page.text.count("✓ the same 20") == 6
    costs = re.findall(r'<p class="costs-line">(.*?) · .*?<', page.text)
    assert costs == [
        "0 round trips",
        "2 calls",
        "1 round trip",
        "22 round trips",
        "1 round trip",
        "2 round trips",
    ]


def test_each_step_explains_change_and_cost_in_two_sentences(lab):
    for step in lab.steps:
        assert len(re.findall(r"\.(?: |$)", step.text)) == 2, step.name


def test_round_trips_and_statements_of_each_step(app, lab, people):
    contenders = {step.name: lab.contender(step) for step in lab.steps}
    reference = PullTimelines("sql", app.registry.database.sessions, app.registry.getUtility(ITimelineKinds))
    answers = compare_all(contenders, reference, Timeline("home", id_of(app, "Ada")), Cursor())
    work = {name: (answer.warm.round_trips, len(answer.warm.statements)) for name, answer in answers.items()}
    assert work == {
        "join": (0, 1),
        "in-process": (2, 0),
        "ids": (1, 1),
        "get-each": (22, 0),
        "bulk": (1, 0),
        "memcached": (2, 0),
    }
    assert answers["ids"].warm.received < answers["bulk"].warm.received
    assert answers["join"].cold is None


@pytest.mark.parametrize("name", ["ids", "get-each"])
def test_step_shares_the_circuit_of_its_backend(lab, people, name):
    people[0].get("/lab/steps")
    step, backend = lab._contenders[name], lab.backends["redis"].timelines
    assert step.live()
    assert backend.live()
    lab.delivery.stop()  # otherwise it would maintain the store
    backend.circuit.failed("a test")
    assert not step.live()


def test_other_modules_can_add_steps(app, people):
    step = Step(
        "later", "With a queue", "25–26", "It waits in a queue. It costs a queue.", "memory", as_configured("memory")
    )
    config = Configurator(registry=app.registry)
    add_lab_step(config, step)
    config.commit()
    page = people[0].get("/lab/steps")
    assert "With a queue" in page.text
    assert page.text.count("✓ the same 20") == 7


def test_a_card_appears_if_its_part_is_configured(app, people):
    assert "Also configured" not in people[0].get("/lab/live").text
    config = Configurator(registry=app.registry)
    for name, setting in (("shards", "tweeter.lab"), ("regions", "tweeter.production")):
        configured = operator.itemgetter(setting)
        add_lab_card(config, Card(name, name, "36", "Text.", configured, samples("tweeter_deliveries_total")))
    config.commit()
    page = people[0].get("/lab/live").text
    assert 'id="card-shards"' in page
    assert re.search(r"Events applied to materialized timelines \((redis|memory), \w+\)</th><td>[1-9]", page)
    assert 'id="card-regions"' not in page


# the dial


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_dial_is_created_once_measured_and_removed(with_servers, request, small_dial, kind):
    with lab_on(with_servers(request.getfixturevalue(f"{kind}_url"))) as app:
        lab, database = app.registry["lab"], app.registry.database
        ada = Person(Browser(app, HERE), "Ada")
        mine = [ada.post(f"number {number}") for number in range(3)][::-1]
        page = ada.get("/lab/steps")
        assert "Create readers who follow" in page
        assert '<svg class="plot"' not in page
        before = ada.get("/public").text.count("<article")
        for made in (2 + 30, 0):
            ada.send("/lab/dial", status=303)
            job = finished(lab)
            assert not job.error
            assert sum(phase.done for phase in job.phases) == made
        assert app.registry.getUtility(IDelivery).drain(10)
        check_searchable(database.engine)
        # All backends agree, also about the public timeline, which some of them had materialized completely.
        assert before == 3
        for timeline in (
            "home&user=lab_follows_2",
            "public",
            "profile&user=lab_author_0015",
        ):
            page = ada.get(f"/lab?limit=100&timeline={timeline}")
            assert re.search(r"4 backends returned the same \d+ tweets in the same order", page.text), timeline
        assert "<bdi>lab_follows_2</bdi>, who follows 2 people" in ada.get("/lab?user=lab_follows_2")
        assert ada.ids("/public")[:3] == mine
        page = ada.get("/lab/steps?user=lab_follows_30")
        assert "committed run of" in page
        assert [f">{step.name}</text>" in page for step in lab.steps] == [True] * 6
        assert page.text.count(", reference</text>") == 4
        # An ordinary account that follows an author is no test account. Its follow ends with the author.
        ada.follow("lab_author_0000")
        ada.post("@lab_author_0001 hello")
        assert "Remove 32 test accounts" in ada.get("/lab/live")
        ada.send("/lab/tidy", status=303)
        assert not finished(lab).error
        assert app.registry.getUtility(IDelivery).drain(10)
        with database.sessions() as session:
            assert accounts.how_many(session) == 0
            assert [(user.username, user.following_count) for user in session.scalars(select(User))] == [("Ada", 0)]
            assert session.scalars(select(Relationship.to_user_id)).all() == []
        assert "4 backends returned the same 4 tweets" in ada.get("/lab?timeline=public")


def test_taken_name_of_the_dial_is_reported(lab, people, visitor, small_dial):
    Person(visitor(), "lab_author_0007")
    people[0].send("/lab/dial", status=303)
    assert finished(lab).error == "The username lab_author_0007 is taken; the lab needs it."


def test_noise_is_reported_before_the_figures(people, monkeypatch):
    monkeypatch.setattr("tweeter.lab.comparison.NOISY", 1.0)
    for url in ("/lab", "/lab/steps"):
        text = people[0].get(url).text
        assert re.search(r"Rounds differ by up to [\d.,]+\xa0×: no conclusion\.", text[: text.index("Warm")])


# the page of signed-out readers


def test_the_public_page_is_measured_and_each_change_has_a_new_etag(app, people, lab, monkeypatch):
    monkeypatch.setattr(shared, "EACH", 2)
    ada, _ = people
    assert "Measure the public page" in ada.get("/lab/steps").text
    ada.send("/lab/shared", status=303)
    job = finished(lab)
    assert job.error == ""
    page, unchanged, *changes = job.phases
    caching = r"“public, max-age=1, stale-while-revalidate=5”"
    assert re.fullmatch(rf"200, median [\d.]+ .s, [\d,]{{5,}} bytes, {caching}", page.note)
    assert re.fullmatch(rf"304, median [\d.]+ .s, 0 bytes, {caching}", unchanged.note)
    assert [phase.name for phase in changes] == ["Posted a tweet", "Changed the author’s name", "Deleted the tweet"]
    said = " ".join(phase.note for phase in changes)
    etags = re.findall(r"(W/\S+) became (W/\S+) [\d.]+ .?s after the commit", said)
    assert len(etags) == 3
    assert etags[0][1] == etags[1][0]
    assert etags[1][1] == etags[2][0]
    assert etags[2][1] == etags[0][0]  # without the tweet, the page is the same as before
    assert "became W/" in ada.get("/lab/live").text
    assert "A test post of the lab" not in ada.get("/public").text
    assert "Remove 1 test account" in ada.get("/lab/live").text


def test_taken_name_of_the_public_page_is_reported(lab, people, visitor):
    Person(visitor(), "lab_public")
    people[0].send("/lab/shared", status=303)
    assert finished(lab).error == "The username lab_public is taken; the lab needs it."
