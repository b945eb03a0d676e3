"""The lab: access, comparison, the switch and the buttons, on real servers."""

import re
import threading
import time
from contextlib import closing, contextmanager

import pytest
import redis
from pyramid.config import Configurator
from sqlalchemy import select, update

from tests.conftest import HERE, check_searchable, running, serving, settings_of
from tests.support.people import Browser, Person
from tweeter.bench import browser as bench
from tweeter.db.sessions import begin_immediate
from tweeter.devtools.servers import Redis, free_port
from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery, ITimelineKinds
from tweeter.lab import accounts, add_lab_step, crowds, dial, load, outage
from tweeter.lab.comparison import compare, compare_all
from tweeter.lab.explain import marked
from tweeter.lab.instruments import Instrument
from tweeter.lab.steps import Step, as_configured
from tweeter.models import LoginSession, Relationship, User
from tweeter.serve import absent_stores
from tweeter.services.actions import actions_of
from tweeter.testing.caches import tweet
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow
PAGES = ("/lab", "/lab/steps", "/lab/live", "/lab/progress", "/lab/state")
BUTTONS = ("/lab/switch", "/lab/store", "/lab/post", "/lab/load", "/lab/dial", "/lab/tidy")


def settings_for(url, redis, memcached, **own):
    prefix = url[-30:].replace("/", "-")
    return settings_of(url) | {
        "tweeter.lab": True,
        "tweeter.redis.url": redis,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached,
        "tweeter.memcached.prefix": prefix,
        **own,
    }


@contextmanager
def lab_on(settings):
    with running(settings) as app:
        assert app.registry.getUtility(IDelivery).drain(10)
        yield app


@pytest.fixture
def with_servers(redis_server, memcached_server):
    """`with_servers(url)` are the settings of a lab whose servers all run."""
    return lambda url, **own: settings_for(url, redis_server.url, memcached_server.address, **own)


@pytest.fixture
def app(with_servers, sqlite_url):
    with lab_on(with_servers(sqlite_url)) as app:
        yield app


@pytest.fixture
def lab(app):
    return app.registry["lab"]


@pytest.fixture
def people(app, ada, bob):
    """Ada follows bob, who has posted."""
    registry = app.registry
    with registry.database.sessions() as session:
        begin_immediate(session)
        actions = actions_of(registry, session)
        me, other = actions.find("ada").id, actions.find("bob").id
        actions.follow(me, "bob")
        for number in range(25):
            actions.post(other, f"number {number}")
        session.commit()
    assert registry.getUtility(IDelivery).drain(10)
    return ada, bob


@pytest.fixture
def alone(sqlite_url):
    """A lab without running servers."""
    nowhere = f"127.0.0.1:{free_port()}"
    with running(settings_for(sqlite_url, f"redis://{nowhere}", nowhere)) as app:
        yield app


def id_of(app, username):
    with app.registry.database.sessions() as session:
        return session.scalars(select(User.id).where(User.username_key == username.lower())).one()


def row_of(page, name):
    """The cells of a backend's row, as text."""
    [cells] = re.findall(rf'<th scope="row">{name}</th>(.*?)</tr>', page.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", cells).split())


def finished(lab, seconds=60.0):
    deadline = time.monotonic() + seconds
    while lab.jobs.current.running:
        assert time.monotonic() < deadline, lab.jobs.current
        time.sleep(0.02)
    return lab.jobs.current


@pytest.fixture(autouse=True)
def _break_at_once(monkeypatch):
    monkeypatch.setattr(outage, "BEFORE", 0.03)


# who gets in


@pytest.mark.parametrize("url", PAGES + BUTTONS)
def test_lab_is_404_if_disabled(sqlite_url, url):
    with running(settings_of(sqlite_url)) as app:
        ada = Person(Browser(app, HERE), "Ada")
        assert ada.get(url, status="*").status_int == 404
        assert ada.send(url, status="*").status_int == 404
        assert 'href="/lab' not in ada.get("/").text
        assert "instruments" not in app.registry


@pytest.mark.parametrize("url", PAGES)
def test_lab_requires_sign_in(alone, url):
    stranger = Browser(alone, HERE)
    response = stranger.get(url, status=303)
    assert response.location.endswith(f"/login?next={url}")
    assert 'href="/lab' not in stranger.get("/public").text


@pytest.mark.parametrize("url", BUTTONS)
def test_lab_actions_require_sign_in(alone, url):
    stranger = Person(Browser(alone, HERE))
    fields = {"backend": "memory", "action": "empty", "followers": "10"}
    response = stranger.send(url, on="/login", status=303, **fields)
    assert "/login" in response.location
    lab = alone.registry["lab"]
    assert lab.jobs.current is None
    assert not lab.experiments
    assert "memory" not in stranger.get("/public").text


@pytest.mark.parametrize("url", BUTTONS)
def test_buttons_require_a_csrf_token(alone, url):
    ada = Person(Browser(alone, HERE), "Ada")
    response = ada.browser.post(url, {"backend": "memory", "action": "empty", "followers": "10"}, status=400)
    assert "This form has expired" in response.text
    assert alone.registry["lab"].jobs.current is None
    assert "Served by sql" in ada.get("/").text


@pytest.mark.parametrize("url", BUTTONS)
def test_buttons_reject_get_requests(alone, url):
    Person(browser := Browser(alone, HERE), "Ada")
    assert browser.get(url, status="*").status_int == 405


def test_production_site_with_lab_does_not_start(sqlite_url):
    secret = {"tweeter.production": True, "tweeter.secret": "x" * 40}
    with pytest.raises(SettingError, match=r"tweeter\.lab .* tweeter\.production"):
        settings = settings_for(sqlite_url, "redis://localhost", "localhost") | secret
        running(settings).__enter__()


def test_unknown_backend_is_reported_with_its_setting(sqlite_url):
    with pytest.raises(SettingError, match=r"tweeter\.lab\.backends = cabinet"):
        running(settings_for(sqlite_url, "redis://h", "h", **{"tweeter.lab.backends": "sql cabinet"})).__enter__()


@pytest.mark.parametrize("setting", ["tweeter.lab.backends", "tweeter.timelines", "tweeter.timelines.shadow"])
def test_two_backends_of_one_name_are_refused(sqlite_url, tmp_path, monkeypatch, setting):
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "memory.py").write_text("from tweeter.backends.memory import includeme\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = {"tweeter.lab.backends": "sql memory"}
    own[setting] = f"{own.get(setting, '')} mysite.memory".strip()
    with pytest.raises(SettingError, match=r"tweeter\.backends\.memory.*have the same last name") as caught:
        running(settings_for(sqlite_url, "redis://h", "h", **own)).__enter__()
    assert "mysite.memory" in str(caught.value)


# side by side


@pytest.mark.parametrize("limit", [20, 100])
def test_same_page_is_read_from_all_backends(people, limit):
    page = people[0].get(f"/lab?limit={limit}")
    shown = min(limit, 25)
    assert f"4 backends returned the same {shown} tweets" in page.text
    for name in ("sql", "memory", "redis", "memcached"):
        assert f"✓ the same {shown}" in row_of(page, name)
        assert " ms" in row_of(page, name)
    assert "6 → 2 calls 2 → 0 none" in row_of(page, "memory")
    assert re.search(r"7 → 1 2 → 0 [\d,]+ B out, [\d,.]+ k?B in", row_of(page, "redis"))
    assert re.search(r"8 → 2 2 → 0 [\d,]+ B out, [\d,.]+ k?B in", row_of(page, "memcached"))
    assert "0 1 none" in row_of(page, "sql")
    assert re.search(
        r"<strong>[\d,]+ B</strong> as a list of 25 ids; <strong>[\d,]+ B</strong> as the talk’s", page.text
    )


def test_last_page_of_each_backend_is_shown(people):
    ada, _ = people
    ada.send("/lab/switch", backend="redis", status=303)
    ada.get("/@bob")
    ada.get("/newer?timeline=home", status="*")
    ada.send("/lab/switch", backend="", status=303)
    ada.get("/public")
    pages = ada.get("/lab/state").json["pages"]
    assert re.fullmatch(r"/@bob: timeline \d+\.\d of \d+\.\d ms", pages["redis"])
    assert re.fullmatch(r"/public: timeline \d+\.\d of \d+\.\d ms", pages["sql"])
    assert pages["memory"] == pages["memcached"] == ""
    assert pages["redis"] in ada.get("/lab/live").text


def test_costly_parts_of_a_plan_are_marked():
    plan = """Limit (actual time=1 rows=20 loops=1)
  Sort Key: x < 3
  Seq Scan on tweets t (actual time=1 rows=500 loops=2)"""
    assert (
        marked(plan)
        == """Limit (actual time=1 rows=20 loops=1)
  Sort Key: x &lt; 3
  <mark>Seq Scan on tweets</mark> t (actual time=1 <mark>rows=500 loops=2</mark>)"""
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_statements_are_shown_with_parameters_and_plan(with_servers, request, kind):
    with lab_on(with_servers(request.getfixturevalue(f"{kind}_url"))) as app:
        ada = Person(Browser(app, HERE), "Ada")
        ada.post("hello")
        page = ada.get("/lab")
    assert "WHERE relationships.from_user_id = " in page.text
    assert "LIMIT" in page.text
    assert str(Cursor().before) in page.text
    assert "the same 1" in row_of(page, "redis")
    plan = {"sqlite": "SEARCH relationships USING PRIMARY KEY", "postgresql": "actual time="}[kind]
    assert plan in page.text
    assert {"sqlite": "<mark>USE TEMP B-TREE FOR ORDER BY</mark>", "postgresql": "<mark>Sort</mark>"}[kind] in page.text


def test_timelines_of_any_user_can_be_inspected(people):
    ada, _ = people
    page = ada.get("/lab?user=@BOB")
    assert "<bdi>bob</bdi>, who follows 0 people" in page.text
    assert "the same 20" in row_of(page, "redis")


def test_every_timeline_kind_is_compared(with_servers, sqlite_url):
    own = {"tweeter.timelines.kinds": "tests.thirdparty.replies"}
    with lab_on(with_servers(sqlite_url, **own)) as app:
        ada = Person(Browser(app, HERE), "Ada")
        tweet = ada.post("A question for @Ada")
        ada.post("A reply", tweet)
        assert app.registry.getUtility(IDelivery).drain(10)
        for kind, count in {"public": 2, "home": 2, "profile": 2, "mentions": 1, "replies": 1}.items():
            page = ada.get(f"/lab?timeline={kind}")
            assert f"<option selected>{kind}</option>" in page
            tweets = "1 tweet" if count == 1 else f"{count} tweets"
            assert f"4 backends returned the same {tweets} in the same order with the same text." in page
        ada.get("/lab?timeline=nosuch", status=400)


@pytest.mark.parametrize("url", ["/lab", "/lab/steps", "/lab/live"])
@pytest.mark.parametrize("name", ["nobody_here", "no such name!", "%00", "x" * 300])
def test_unknown_username_is_reported(alone, url, name):
    Person(browser := Browser(alone, HERE), "Ada")
    page = browser.get(f"{url}?user={name}", status="*")
    assert page.status_int == (404 if name != "%00" else 200)  # NUL is removed, so the name is empty
    assert ("There is no user called @" in page.text) == (page.status_int == 404)


@pytest.mark.parametrize("limit", ["21", "-1", "x", ""])
def test_other_numbers_of_tweets_are_refused(alone, limit):
    Person(browser := Browser(alone, HERE), "Ada")
    assert "must be 20 or 100" in browser.get(f"/lab?limit={limit}", status=400).text


def test_unreachable_servers_are_shown_and_the_site_works(alone):
    assert absent_stores(alone.registry) == ["memcached", "redis"]
    ada = Person(Browser(alone, HERE), "Ada")
    tweet_id = ada.post("still here")
    page = ada.get("/lab")
    for name in ("redis", "memcached"):
        assert row_of(page, name).startswith("down ")
        assert "make services" in row_of(page, name)
    assert "refused" in row_of(page, "redis")
    assert "2 backends returned the same 1 tweet" in page.text
    assert "make services" in ada.get("/lab/steps").text
    assert ada.ids("/") == [tweet_id]


@pytest.mark.parametrize(("who", "why"), [("", "Authentication required"), (":wrong@", "invalid username-password")])
def test_rejecting_server_is_quoted_and_make_services_suggested_only_for_own_servers(sqlite_url, who, why):
    with closing(Redis()) as server:
        server.start()
        with closing(redis.Redis.from_url(server.url)) as client:
            client.config_set("requirepass", "secret")
        url = server.url.replace("redis://", f"redis://{who}")
        own = {"tweeter.lab.backends": "sql redis"}
        with running(settings_for(sqlite_url, url, "", **own)) as app:
            ada = Person(Browser(app, HERE), "Ada")
            for shown in (row_of(ada.get("/lab"), "redis"), ada.get("/lab/steps").text, ada.get("/lab/live").text):
                assert why in shown
                assert ("make services" in shown) == (not who)


def test_differences_are_marked_until_the_timeline_is_dropped(app, lab, people):
    ada, _ = people
    ada.get("/lab")
    ids = ada.ids("/")
    key = Timeline("home", id_of(app, "Ada")).key
    redis, memcached = lab.backends["redis"].instrument, lab.backends["memcached"].instrument
    redis.store.remove(key, [ids[3]])
    stranger = Person(Browser(app, HERE), "stranger").post("who are you?")
    memcached.store.add([key], stranger)
    for _ in range(2):  # reading does not repair it
        page = ada.get("/lab")
        # The page without the tweet has the usual length: it contains a tweet of the next page.
        assert "2 tweets differ" in row_of(page, "redis")
        assert "not dropped" in row_of(page, "redis")
        assert "2 tweets differ" in row_of(page, "memcached")
        assert "the same 20" in row_of(page, "memory")
    [marked] = re.findall(r"who are you\?.*?</tr>", page.text, re.DOTALL)
    assert marked.count("✗ surplus") == 1
    assert page.text.count("✗ missing") == 2
    for name in ("redis", "memcached"):
        ada.send("/lab/store", backend=name, action="drop", status=303)
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


def test_every_kind_of_difference_is_classified():
    one, two, three, four = (tweet(id_, message=str(id_)) for id_ in (1, 2, 3, 4))

    def words(shown, expected):
        return {mark.tweet.id: mark.word for mark in compare(shown, expected)}

    assert words([three, two, one], [three, two, one]) == {3: "", 2: "", 1: ""}
    assert words([three, one], [three, two, one]) == {3: "", 2: "missing", 1: ""}
    assert words([four, three], [three]) == {4: "extra", 3: ""}
    assert words([three, three], [three]) == {3: "twice"}
    assert words([one, two, three], [three, two, one]) == {3: "order", 2: "", 1: "order"}
    assert words([tweet(3, message="other")], [three]) == {3: "text"}
    assert words([], []) == {}


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


# the switch


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_switching_backends_affects_only_one_browser(people, name):
    ada, bob = people
    before = ada.ids("/")
    ada.send("/lab/switch", backend=name, next="/public", status=303)
    ada.get("/")
    page = ada.get("/")
    assert f"Served by {name} in" in page.text
    assert f"Pages in this browser come from <strong>{name}</strong>" in page.text
    assert ada.ids("/") == before
    assert f"Served by {name} in" in ada.get("/@bob").text
    assert "Page in" in ada.get("/settings").text
    assert 'class="costs"' not in ada.get("/lab/live").text
    assert "Served by sql in" in bob.get("/").text
    assert "Pages in this browser" not in bob.get("/").text
    ada.send("/lab/switch", backend="", status=303)
    assert "Served by sql in" in ada.get("/").text


def test_signing_out_resets_the_backend_switch(people):
    ada, _ = people
    ada.send("/lab/switch", backend="memory", status=303)
    ada.sign_out()
    page = ada.get("/public")
    assert "Pages in this browser" not in page.text
    assert "Served by sql in" in page.text


def test_the_site_s_own_backend_may_be_any_of_them(with_servers, sqlite_url):
    with lab_on(with_servers(sqlite_url, **{"tweeter.timelines": "redis"})) as app:
        ada = Person(Browser(app, HERE), "Ada")
        ada.post("hello")
        assert "Served by redis in" in ada.get("/").text
        assert "4 backends returned the same 1 tweet" in ada.get("/lab").text
        ada.send("/lab/switch", backend="sql", status=303)
        page = ada.get("/")
        assert "Served by sql in" in page.text
        assert "Back to redis" in page.text


def test_shadow_backends_add_no_cost_to_pages(people):
    assert "2 SQL queries, 1 for the timeline" in people[1].get("/").text


def test_switch_to_unknown_backend_is_refused(people):
    page = people[0].send("/lab/switch", backend="cabinet", status=400)
    assert "it has sql, memory, redis, memcached" in page.text


def test_switch_does_not_redirect_to_other_sites(people):
    response = people[0].send("/lab/switch", backend="memory", next="https://example.org/", status=303)
    assert "example.org" not in response.location


def test_switch_is_ignored_without_the_lab(alone, sqlite_url):
    ada = Person(Browser(alone, HERE), "Ada")
    ada.send("/lab/switch", backend="memory", status=303)
    cookies = ada.browser.cookies
    with running(settings_of(sqlite_url)) as app:
        later = Browser(app, HERE)
        for name, value in cookies.items():
            later.set_cookie(name, value.strip('"'))
        page = later.get("/")
        assert "@Ada" in page.text
        assert "Served by sql in" in page.text
        assert "Pages in this browser" not in page.text


# the buttons of a store


WARM = {"memory": 2, "redis": 1, "memcached": 2}  # round trips of a page


def reads_of(lab):
    return [(cost.served_by, cost.round_trips, len(cost.statements)) for _, cost in lab.experiments[0].reads]


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_emptied_cache_is_refilled_by_the_next_page(lab, people, name):
    people[0].send("/lab/store", backend=name, action="empty", status=303)
    before, first, second = reads_of(lab)
    assert before == second == (name, WARM[name], 0)
    assert first[0] == name
    assert first[1] > 2
    assert first[2] >= 1
    assert "cache of tweets emptied" in people[0].get("/lab/live").text


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_dropped_timeline_is_backfilled_by_the_next_page(app, lab, people, name):
    ada, _ = people
    backend = lab.backends[name]
    bobs = Timeline("home", id_of(app, "bob"))
    backend.timelines.page(bobs, Cursor())
    ada.send("/lab/store", backend=name, action="drop", user="Ada", status=303)
    before, first, second = reads_of(lab)
    assert before == second == (name, WARM[name], 0)
    assert first[2] == 1
    assert backend.timelines.peek(bobs) is not None  # only Ada's was dropped
    assert "home timeline of @Ada dropped" in ada.get("/lab/live?user=bob").text


@pytest.mark.parametrize("how", ["refuse", "hang"])
@pytest.mark.parametrize("name", ["redis", "memcached"])
def test_broken_store_falls_back_and_catches_up_after_repair(app, lab, people, name, how):
    ada, bob = people
    ada.send("/lab/switch", backend=name, status=303)
    ada.send("/lab/store", backend=name, action=how, status=303)
    before, first, second = reads_of(lab)
    assert before == (name, WARM[name], 0)
    assert first == (f"{name}, from SQL", 1, 1)
    assert second == (f"{name}, from SQL", 0, 1)
    news = bob.post("while it is away")
    assert ada.ids("/")[0] == news
    assert f"Served by {name}, from SQL in" in ada.get("/").text
    live = ada.get("/lab/live").text
    assert "broken" in live
    assert "1 event waits in the outbox" in live
    assert "broken" in row_of(ada.get("/lab"), name)
    assert f'aria-label="{name}: pages a second"' in live
    ada.send("/lab/store", backend=name, action="mend", status=303)
    assert "1 event pending; the store caught up and the circuit closed" in lab.experiments[0].note
    assert reads_of(lab)[1] == (name, WARM[name], 0) or reads_of(lab)[2] == (name, WARM[name], 0)
    assert ada.ids("/")[0] == news
    assert f"Served by {name} in" in ada.get("/").text
    assert len(lab.outage.marks) == 2
    lab.outage.ends = 1.0
    assert "They have stopped." in ada.get("/lab/progress")


def test_forgotten_break_is_repaired_automatically(app, lab, people):
    instrument = lab.backends["redis"].instrument
    instrument.break_it("refuse", seconds=0.1)
    assert instrument.broken
    deadline = time.monotonic() + 10
    while instrument.broken and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not instrument.broken
    assert app.registry.getUtility(IDelivery).drain(10)


def test_store_without_an_address_cannot_be_broken(lab, people):
    ada, _ = people
    assert "memory has no action “refuse”" in ada.send("/lab/store", backend="memory", action="refuse", status=400)
    assert not lab.backends["memory"].instrument.breakable


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backend": "redis", "action": "explode"}, "redis has no action “explode”."),
        ({"backend": "redis", "action": ""}, "redis has no action “”."),
        ({"backend": "redis", "action": "mend"}, "redis is not broken"),
        ({"backend": "cabinet", "action": "empty"}, "The lab has no backend of that name"),
        ({"backend": "sql", "action": "empty"}, "sql has no store"),
        ({}, "The lab has no backend of that name"),
    ],
)
def test_invalid_input_is_refused_with_a_message(people, fields, message):
    assert message in people[0].send("/lab/store", status=400, **fields).text


def test_timeline_of_unknown_user_cannot_be_dropped(people):
    page = people[0].send("/lab/store", backend="redis", action="drop", user="nobody_x", status=404)
    assert "There is no user called @nobody_x" in page.text


def test_unreachable_store_cannot_be_emptied(alone):
    ada = Person(Browser(alone, HERE), "Ada")
    page = ada.send("/lab/store", backend="redis", action="empty", status=400)
    assert "redis does not respond" in page.text


# the dial


@pytest.fixture
def small_dial(monkeypatch):
    monkeypatch.setattr(dial, "READERS", {2: "lab_follows_2", 30: "lab_follows_30"})
    monkeypatch.setattr(dial, "AUTHORS", 30)
    monkeypatch.setattr(dial, "CHUNK", 20)


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


# readers at once


def test_readers_at_once_read_each_backend_in_turn(app, people, lab, monkeypatch):
    monkeypatch.setattr(load, "ROUNDS", 2)
    monkeypatch.setattr(load, "SECONDS", 0.3)
    with serving(app) as url, closing(bench.Browser(("127.0.0.1", int(url.rpartition(":")[2])))) as browser:
        browser.sign_in("cleo", "a long password", "/signup")
        browser.send("/@bob/follow")
        assert app.registry.getUtility(IDelivery).drain(10)
        assert browser.send("/lab/load", readers="8").status == 303
        job = finished(lab)
        assert job.error == ""
        assert job.title == "8 readers at once"
        verdict, *phases = job.phases
        assert [phase.name for phase in phases] == list(lab.backends)
        for phase in phases:
            assert re.match(r"[\d,]+ pages/s, median [\d.]+ .s, 95\s% .*, 99\s% .*, no errors, ", phase.note)
            assert re.search(
                r", none of \d+ checked pages differ from SQL’s, CPU time of 1,000 pages: site ", phase.note
            )
        assert verdict.note.startswith("2 rounds: no conclusion about ")
        assert browser.get("/").served_by == lab.default.name  # the browser itself is not switched
        assert "8 readers at once" in browser.get("/lab/live").text
        assert "pages/s" in browser.get("/lab/progress").text


def test_a_reader_of_the_dial_reads_in_a_session_that_ends_with_the_job(app, people, lab, small_dial, monkeypatch):
    monkeypatch.setattr(load, "ROUNDS", 1)
    monkeypatch.setattr(load, "SECONDS", 0.3)
    ada, _ = people
    ada.send("/lab/load", readers="1", user="lab_follows_30", status=303)
    assert finished(lab).error == "There is no test reader @lab_follows_30."
    ada.send("/lab/dial", status=303)
    assert finished(lab).error == ""
    with serving(app) as url, closing(bench.Browser(("127.0.0.1", int(url.rpartition(":")[2])))) as browser:
        browser.sign_in("cleo", "a long password", "/signup")
        assert "The home page of @lab_follows_30 is read by" in browser.get("/lab/live?user=lab_follows_30").text
        assert browser.send("/lab/load", readers="1", backend="sql", user="lab_follows_30").status == 303
        job = finished(lab)
        assert job.error == ""
        assert re.search(r", none of [1-9]\d* checked pages differ from SQL’s", job.phases[1].note)
    with app.registry.database.sessions() as session:
        reader = select(User.id).where(User.username == "lab_follows_30").scalar_subquery()
        assert session.scalars(select(LoginSession).where(LoginSession.user_id == reader)).all() == []


def test_load_of_a_site_that_can_not_be_reached(app, people, lab):
    ada, _ = people
    assert "Readers at once" in ada.get("/lab/live").text
    ada.send("/lab/load", readers="1", backend="sql", status=303)  # WebTest has no server on port 80
    assert "The lab can't reach its own site at 127.0.0.1:80: " in finished(lab).error
    assert "The number of readers must be one of: 1, 8, 32, 128." in ada.send("/lab/load", readers="9", status=400).text


# posts to many


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_post_to_warm_timelines_reaches_every_store(with_servers, request, kind):
    with lab_on(with_servers(request.getfixturevalue(f"{kind}_url"))) as app:
        lab = app.registry["lab"]
        ada = Person(Browser(app, HERE), "Ada")
        ada.send("/lab/post", followers="10", timelines="warm", status=303)
        job = finished(lab)
        assert not job.error
        delivered = {phase.name: (phase.done, phase.total) for phase in job.phases if "Delivered" in phase.name}
        assert delivered == {f"Delivered to {name}": (13, 13) for name in ("memory", "redis", "memcached")}
        lanes = {phase.name.removeprefix("Lane: "): phase.done for phase in job.phases if "Lane" in phase.name}
        assert lanes == dict.fromkeys(("memory", "redis", "memcached", "the talk’s way"), 10)
        follower = Timeline("home", id_of(app, "lab_ten_00007"))
        for backend in lab.stores:
            assert len(backend.timelines.peek(follower).ids) == 1
        page = ada.get("/lab/live")
        assert "Done: a post to 10 followers, their timelines warm" in page.text
        assert "13 of 13 timelines" in page.text
        assert 'aria-label="Deliveries over time"' in page.text
        client = redis.Redis.from_url(app.registry.settings["tweeter.redis.url"])
        assert not list(client.scan_iter(match="*lab-talk:*"))
        assert "A test post of the lab to 10 followers." in ada.get("/@lab_ten").text
        assert "4 backends returned the same 1 tweet" in ada.get("/lab?user=lab_ten_00007").text


def test_cold_timelines_receive_no_writes(app, lab, people):
    ada, _ = people
    for timelines in ("warm", "cold"):
        ada.send("/lab/post", followers="10", timelines=timelines, status=303)
        assert not finished(lab).error
    follower = Timeline("home", id_of(app, "lab_ten_00001"))
    for backend in lab.stores:
        assert backend.timelines.peek(follower) is None
        assert len(backend.timelines.page(follower, Cursor()).tweets) == 2


def test_test_followers_are_created_in_steps_and_only_once(app, lab, people, monkeypatch):
    monkeypatch.setattr(crowds, "CHUNK", 300)
    ada, _ = people
    for _ in range(2):
        ada.send("/lab/post", followers="1000", timelines="cold", status=303)
        assert not finished(lab).error
    assert "Accounts created" not in [phase.name for phase in lab.jobs.current.phases]
    with app.registry.database.sessions() as session:
        author = session.scalars(select(User).where(User.username_key == "lab_thousand")).one()
        assert (author.followers_count, author.tweets_count) == (1000, 2)
        assert accounts.how_many(session) == 1001
    assert "1,000</strong> followers" in ada.get("/@lab_thousand").text


def test_test_accounts_cannot_sign_in(lab, people, visitor):
    people[0].send("/lab/post", followers="10", status=303)
    finished(lab)
    for name in ("lab_ten", "lab_ten_00001"):
        for password in ("", "password"):
            page = Person(visitor(), "").sign_in(name, password)
            assert "Wrong username or password." in page.text


def test_only_test_accounts_are_removed(app, lab, people, visitor):
    ada, bob = people
    neighbour = Person(visitor(), "lab_rat")
    ada.send("/lab/post", followers="10", status=303)
    finished(lab)
    ada.follow("lab_ten")
    bob.follow("lab_ten_00003")
    assert "Remove 11 test accounts" in ada.get("/lab/live").text
    ada.send("/lab/tidy", status=303)
    assert not finished(lab).error
    with app.registry.database.sessions() as session:
        assert accounts.how_many(session) == 0
        names = set(session.scalars(select(User.username)))
        assert names == {"Ada", "bob", "lab_rat"}
        counts = {user.username: (user.following_count, user.followers_count) for user in session.scalars(select(User))}
        assert counts == {"Ada": (1, 0), "bob": (0, 1), "lab_rat": (0, 0)}
        assert len(session.scalars(select(Relationship.to_user_id)).all()) == 1
    assert app.registry.getUtility(IDelivery).drain(10)
    assert "A test post of the lab" not in neighbour.get("/public").text
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


def test_taken_username_is_reported_and_not_used(lab, people, visitor):
    Person(visitor(), "lab_ten")
    people[0].send("/lab/post", followers="10", status=303)
    assert finished(lab).error == "The username lab_ten is taken; the lab needs it."
    assert "lab_ten is taken" in people[0].get("/lab/live").text


def test_real_follower_is_not_warmed_as_a_test_account(app, lab, people):
    ada, _ = people
    ada.follow("bob")
    ada.send("/lab/post", followers="10", timelines="cold", status=303)
    finished(lab)
    ada.follow("lab_ten")
    with app.registry.database.sessions() as session:  # a user who copies the bio is no test account
        begin_immediate(session)
        session.execute(update(User).where(User.username == "Ada").values(bio=accounts.BIO))
        session.commit()
    for backend in lab.stores:
        backend.timelines.drop(Timeline("home", id_of(app, "Ada")))
    ada.send("/lab/post", followers="10", timelines="warm", status=303)
    finished(lab)
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


@pytest.mark.parametrize("followers", ["", "11", "1e3"])
def test_unknown_crowd_size_is_refused(lab, people, followers):
    page = people[0].send("/lab/post", followers=followers, status=400)
    assert "must be one of: 10, 1,000, 20,000, 200,000, 1,000,000." in page.text
    assert lab.jobs.current is None


def test_one_job_at_a_time(lab, people):
    ada, _ = people
    go_on = threading.Event()
    lab.jobs.start("something long", lambda job: job.phase("Waiting", 1) and go_on.wait(30))
    try:
        assert "data-running" in ada.get("/lab/progress").text
        ada.send("/lab/post", followers="10", status=303)
        assert "The lab is busy: something long." in ada.get("/lab/live").text
    finally:
        go_on.set()
    finished(lab)
    assert "data-running" not in ada.get("/lab/progress").text


def test_failed_job_is_reported_and_the_next_can_start(lab, people, caplog):
    def fail(job):
        raise ValueError("the sky fell")

    lab.jobs.start("failing", fail)
    assert finished(lab).error == "It failed: the sky fell"
    lab.jobs.start("working", lambda job: None)
    assert not finished(lab).error


def test_unavailable_store_receives_pending_deliveries_later(app, lab, people):
    ada, _ = people
    ada.send("/lab/store", backend="redis", action="refuse", status=303)
    ada.send("/lab/post", followers="10", status=303)
    phases = {phase.name: phase for phase in finished(lab).phases}
    assert phases["Delivered to redis"].done == 0
    assert "waits in the outbox" in phases["Delivered to redis"].note
    assert phases["Delivered to memcached"].done == 13
    ada.send("/lab/store", backend="redis", action="mend", status=303)
    assert app.registry.getUtility(IDelivery).drain(10)
    assert ada.get("/lab/live").text.count("13 of 13 timelines") == 3
    assert "4 backends returned the same 1 tweet" in ada.get("/lab?user=lab_ten_00001").text


def test_instrument_without_an_address_cannot_be_broken():
    with pytest.raises(TypeError, match="has no address"):
        Instrument("cabinet", object(), object()).break_it("refuse")  # type: ignore[arg-type]
