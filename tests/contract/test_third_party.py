"""A third-party backend: only its dotted name in the ini file is needed."""

from contextlib import closing

import pytest

from tests.thirdparty.texts import TextTimelineStore
from tweeter.cli import main
from tweeter.errors import SettingError
from tweeter.testing import Process, Site, TimelineStoreSuite
from tweeter.timelines.verify import Verifier
from tweeter.values import Cursor, Timeline


class TestTextTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self):
        return lambda capacity=10, backfill_seconds=30.0: TextTimelineStore(capacity, backfill_seconds)

    @pytest.fixture
    def damages(self):
        damaged = ["x", "0 one", "token", "token x", "0 -1", "0 1@", "0 1@x", "0 @2", "0 1@2@3", " ", 5, None, ["0 1"]]
        return [lambda store, key, value=value: store._texts.__setitem__(key, value) for value in damaged]


@pytest.fixture
def people(sqlite_url):
    """A database in which ann follows bob, who posted 30 tweets."""
    process = Process(sqlite_url, "sql")
    with process.acting() as actions:
        ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
        actions.follow(ann, "bob")
    for _ in range(30):
        with process.acting() as actions:
            actions.post(bob, "hello")
    process.close()
    return ann, bob


@pytest.fixture
def ini(tmp_path, sqlite_url):
    def ini(backend):
        path = tmp_path / "site.ini"
        path.write_text(
            f"[app:main]\nuse = egg:tweeter\nsqlalchemy.url = {sqlite_url}\ntweeter.timelines = {backend}\n"
            "tweeter.secret = only for tests\ntweeter.production = false\n"
            "[loggers]\nkeys = root\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n"
            "[logger_root]\nlevel = WARN\nhandlers = console\n"
            "[handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = generic\n"
            "[formatter_generic]\nformat = %(message)s\n"
        )
        return str(path)

    return ini


def test_pages_equal_those_of_sql(sqlite_url, people):
    site = Site(sqlite_url, ["sql", "tests.thirdparty.texts"])
    for timeline in site.processes[0].kinds.timelines(people, site.processes[0].sessions):
        assert site.processes[1].walk(timeline, 7) == site.processes[0].walk(timeline, 7)
    assert site.processes[1].timelines.name == "texts"
    site.close()


def test_verify_reports_no_difference_for_a_correct_backend(ini, people, capsys):
    assert main(["verify", ini("tests.thirdparty.texts"), "--all"]) == 0
    assert "texts: 9 timelines compared with SQL, no difference." in capsys.readouterr().out


def test_verify_reports_a_faulty_store_that_repair_cannot_fix(ini, people, capsys):
    ann, _ = people
    assert main(["verify", ini("tests.thirdparty.forgetful"), "--user", "ANN"]) == 1
    out, err = capsys.readouterr()
    assert f"home:{ann}: page 1: lacks " in out + err
    assert "5 timelines compared with SQL, 2 differ." in out
    assert main(["verify", ini("tests.thirdparty.forgetful"), "--user", "bob", "--repair"]) == 1
    assert "3 differ." in capsys.readouterr().out


def test_verify_repairs_a_lost_tweet(sqlite_url, people):
    ann, _ = people
    process = Process(sqlite_url, "memory")
    home = Timeline("home", ann)
    page = process.page(home, Cursor())
    verifier = Verifier(process.timelines, process.kinds, process.sessions, lambda: process.delivery.drain(10))
    assert verifier.verify(home).differences == []
    process.timelines.store.remove(home.key, [page.tweets[3].id])
    assert verifier.verify(home).differences
    assert verifier.verify(home, repair=True).repaired
    assert verifier.verify(home).differences == []
    process.close()


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("nosuch", "built-in modules: memcached, memory, redis, sql"),
        ("no.such.module", "by its dotted name"),
        ("tests.thirdparty.silent", "registered no timelines"),
        ("tests.thirdparty.incomplete", "is not complete"),
        ("tests.thirdparty.outdated", r"is not complete: .*add\(keys, id, of=0\).*enough arguments"),
        ("tests.thirdparty", "has no includeme"),
    ],
)
def test_invalid_backend_is_rejected_at_startup_with_the_reason(sqlite_url, backend, said):
    with pytest.raises(SettingError, match=said):
        Process(sqlite_url, backend)


def test_backend_settings_are_parsed_as_declared(sqlite_url):
    settings = {"tweeter.cabinet.drawers": "7"}
    with closing(Process(sqlite_url, "tests.thirdparty.cabinet", **settings)) as process:
        found = process.registry.settings
        assert (found["tweeter.cabinet.drawers"], found["tweeter.cabinet.url"]) == (7, "cabinet://localhost")
    with closing(Process(sqlite_url, "memory", **{"tweeter.timelines.shadow": "tests.thirdparty.cabinet"})) as process:
        assert process.registry.settings["tweeter.cabinet.drawers"] == 4


def test_environment_overrides_backend_settings(sqlite_url, monkeypatch):
    monkeypatch.setenv("TWEETER_CABINET_DRAWERS", "9")
    with closing(Process(sqlite_url, "tests.thirdparty.cabinet", **{"tweeter.cabinet.drawers": "7"})) as process:
        assert process.registry.settings["tweeter.cabinet.drawers"] == 9


@pytest.mark.parametrize(
    ("value", "said"), [("many", "must be a whole number"), ("0", "at least 1"), ("101", "at most 100")]
)
def test_invalid_value_of_a_backend_setting_is_rejected_at_startup(sqlite_url, value, said):
    with pytest.raises(SettingError, match=f"tweeter.cabinet.drawers .*{said}"):
        Process(sqlite_url, "tests.thirdparty.cabinet", **{"tweeter.cabinet.drawers": value})
