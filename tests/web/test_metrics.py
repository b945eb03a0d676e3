"""Metrics, access to them, and log lines."""

import io
import json
import logging
import re
from configparser import RawConfigParser
from contextlib import closing, contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT, running, settings_of
from tests.support.people import Browser, Person
from tweeter.devtools.proxy import Proxy
from tweeter.devtools.servers import free_port
from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery
from tweeter.logs import JSONFormatter, LineFormatter
from tweeter.web.clients import parse_networks


@pytest.fixture
def site_with(sqlite_url):
    """`site_with("127.0.0.1")` is a browser on a memory site whose metrics are readable from that network."""
    opened = []

    def site_with(networks, backend="memory", **settings):
        own = {"tweeter.timelines": backend, "tweeter.metrics": networks, **settings}
        context = running(settings_of(sqlite_url) | own)
        app = context.__enter__()
        opened.append(context)
        return Browser(app, {"REMOTE_ADDR": "127.0.0.1"})

    yield site_with
    for context in opened:
        context.__exit__(None, None, None)


def values(browser):
    """{(name, labels…): value} of all samples."""
    text = browser.get("/metrics").text
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_is_404_unless_a_network_is_configured(site_with):
    site_with("").get("/metrics", status=404)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.1.2.3"])
def test_the_named_networks_may_read_them(site_with, address):
    browser = site_with("127.0.0.1 10.0.0.0/8, ::1")
    answer = browser.get("/metrics", extra_environ={"REMOTE_ADDR": address})
    assert answer.content_type == "text/plain"


@pytest.mark.parametrize("address", ["192.0.2.1", "11.0.0.1", "::2", "", "nonsense"])
def test_other_addresses_are_refused_with_any_headers(site_with, address):
    browser = site_with("127.0.0.1 10.0.0.0/8")
    liar = {"REMOTE_ADDR": address, "HTTP_X_FORWARDED_FOR": "127.0.0.1"}
    browser.get("/metrics", extra_environ=liar, status=403)


def test_invalid_network_is_rejected_at_startup():
    with pytest.raises(SettingError, match=r"tweeter\.metrics must be addresses or networks"):
        parse_networks("everybody", "tweeter.metrics")


def test_reads_deliveries_and_requests_are_counted(site_with):
    browser = site_with("127.0.0.1")
    before = values(browser)
    ada = Person(browser, "Ada")
    assert browser.app.registry.getUtility(IDelivery).drain(10)
    ada.get("/")
    ada.post("one")
    assert browser.app.registry.getUtility(IDelivery).drain(10)
    ada.get("/")
    after = values(browser)

    def grown(*key):
        return after.get(key, 0) - before.get(key, 0)

    assert grown("tweeter_timeline_reads_total", "cold", "memory") >= 1
    assert grown("tweeter_timeline_reads_total", "memory", "warm") >= 1
    assert grown("tweeter_deliveries_total", "TweetCreated", "memory") == 1
    assert grown("tweeter_delivery_delay_seconds_count", "memory") >= 1
    assert grown("tweeter_request_seconds_count", "303", "POST", "tweets") == 1
    assert grown("tweeter_hydrated_tweets_total", "hit", "memory") >= 1
    assert grown("tweeter_store_round_trips_total", "memory") >= 2
    assert after["tweeter_outbox_pending", "memory"] == 0
    assert after["tweeter_outbox_age_seconds", "memory"] == 0
    assert after["tweeter_store_lag_seconds", "memory"] < 1
    assert after["tweeter_relay_holds_lease", "memory"] == 1
    assert after["tweeter_events_in_flight", "memory"] == 0
    assert after["tweeter_outbox_events",] == 1
    assert 0 <= after["tweeter_outbox_oldest_seconds",] < 10


def test_the_outbox_is_measured_under_sql_too(site_with):
    browser = site_with("127.0.0.1", "sql")
    ada = Person(browser, "Ada")
    assert values(browser)["tweeter_outbox_events",] == values(browser)["tweeter_outbox_oldest_seconds",] == 0
    ada.post("one")
    ada.post("two")
    assert values(browser)["tweeter_outbox_events",] == 2
    assert values(browser)["tweeter_outbox_oldest_seconds",] > 0


@pytest.fixture(params=["redis", "memcached"])
def shared(request, site_with, sqlite_url):
    """The name of a shared store, a proxy in front of it, and a browser on its caught-up site."""
    server = request.getfixturevalue(f"{request.param}_server")
    with closing(Proxy(server.host, server.port)) as proxy:
        own = {
            "tweeter.redis.url": f"redis://{proxy.address}",
            "tweeter.memcached.servers": proxy.address,
            f"tweeter.{request.param}.prefix": sqlite_url[-30:].replace("/", "-"),
        }
        browser = site_with("127.0.0.1", request.param, **own)
        assert browser.app.registry.getUtility(IDelivery).drain(10)
        yield request.param, proxy, browser


def test_a_shared_store_and_its_outage_are_counted(shared):
    name, proxy, browser = shared
    before = values(browser)
    ada = Person(browser, "Ada")
    ada.get("/")
    ada.post("one")
    browser.app.registry.getUtility(IDelivery).drain(10)
    ada.get("/")
    ada.get("/@Ada")
    well = values(browser)

    def grown(name, *labels, since=before):
        key = (name, *sorted(labels))
        return values(browser).get(key, 0) - since.get(key, 0)

    assert grown("tweeter_timeline_reads_total", name, "cold") == 2  # home, and public for people to follow
    assert grown("tweeter_timeline_reads_total", name, "warm") >= 1
    assert grown("tweeter_timeline_ids_total", name, "hit") >= 1
    assert grown("tweeter_hydrated_tweets_total", "hit", name) >= 1
    assert grown("tweeter_store_round_trips_total", name) >= 1
    assert grown("tweeter_deliveries_total", "TweetCreated", name) == 1
    assert grown("tweeter_delivery_delay_seconds_count", name) >= 1
    assert well["tweeter_circuit_closed", name] == 1
    assert well["tweeter_outbox_pending", name] == well["tweeter_outbox_age_seconds", name] == 0

    proxy.become("refuse")
    ada.get("/")
    ada.post("two")
    assert grown("tweeter_timeline_reads_total", name, "sql", since=well) >= 1
    assert grown("tweeter_circuit_opened_total", name, since=well) == 1
    ill = values(browser)
    assert ill["tweeter_circuit_closed", name] == 0
    assert ill["tweeter_outbox_pending", name] == 1
    assert ill["tweeter_outbox_age_seconds", name] > 0


def test_metrics_show_an_open_circuit_for_an_unreached_store(site_with):
    browser = site_with("127.0.0.1", "redis", **{"tweeter.redis.url": f"redis://127.0.0.1:{free_port()}"})
    assert values(browser)["tweeter_circuit_closed", "redis"] == 0


@contextmanager
def logging_with(formatter):
    """Yields a function that returns the lines logged at INFO."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("tweeter")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: stream.getvalue().splitlines()
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def lines():
    """The logged JSON lines."""
    with logging_with(JSONFormatter()) as logged:
        yield lambda: [json.loads(line) for line in logged()]


def test_a_request_its_event_and_its_delivery_share_an_id(site_with, lines):
    browser = site_with("127.0.0.1")
    ada = Person(browser, "Ada")
    ada.get("/")
    ada.post("Grüße")
    logged = lines()
    (request,) = [line for line in logged if line["event"] == "POST /tweets"]
    assert request["status"] == 303
    assert request["ms"] > 0
    assert request["logger"] == "tweeter.requests"
    (delivery,) = [line for line in logged if "TweetCreated" in line["event"]]
    assert delivery["request_id"] == request["request_id"]
    assert len({line["request_id"] for line in logged if line["logger"] == "tweeter.requests"}) > 1


def test_development_logs_status_time_and_backend_of_pages_and_no_static_files(site_with):
    browser = site_with("127.0.0.1")
    ada = Person(browser, "Ada")
    with logging_with(LineFormatter("%(message)s")) as logged:
        for url in ("/public", "/settings", "/static/style.css", "/avatars/Ada.svg"):
            ada.get(url)
        page, settings = (line for line in logged() if line.startswith("GET "))
    assert re.fullmatch(r"GET /public 200 in [\d.]+ ms, memory(, from SQL)?", page)
    assert re.fullmatch(r"GET /settings 200 in [\d.]+ ms", settings)


def test_a_delivery_by_a_thread_has_the_id_too(shared, lines):
    _, _, browser = shared
    ada = Person(browser, "Ada")
    ada.post("one")
    browser.app.registry.getUtility(IDelivery).drain(10)
    (request,) = [line for line in lines() if line["event"] == "POST /tweets"]
    (delivery,) = [line for line in lines() if "TweetCreated" in line["event"]]
    assert delivery["request_id"] == request["request_id"]


def test_production_logs_json_lines():
    """The formatter, the level and the handler are those of production.ini."""
    config = RawConfigParser()
    config.read(ROOT / "production.ini")
    assert config["handler_console"]["formatter"] == "json"
    assert config["formatter_json"]["class"] == f"{JSONFormatter.__module__}.{JSONFormatter.__name__}"
    assert (config["logger_root"]["handlers"], config["logger_tweeter"]["level"]) == ("console", "INFO")


def test_an_error_is_one_line_with_its_traceback(lines):
    try:
        raise ValueError("line one\nline two")
    except ValueError:
        logging.getLogger("tweeter.anywhere").exception("it broke")
    (line,) = lines()
    assert line["event"] == "it broke"
    assert "ValueError: line one\nline two" in line["exception"]
