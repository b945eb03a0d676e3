"""The lab: who gets in, and the switch."""

import pytest

from tests.conftest import HERE, running, settings_of
from tests.support.labs import _break_at_once, alone, app, lab, lab_on, people, settings_for, with_servers  # noqa: F401
from tests.support.people import Browser, Person
from tweeter.errors import SettingError

pytestmark = pytest.mark.slow
PAGES = ("/lab", "/lab/steps", "/lab/live", "/lab/progress", "/lab/state")
BUTTONS = ("/lab/switch", "/lab/store", "/lab/post", "/lab/load", "/lab/dial", "/lab/tidy", "/lab/shared")


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
    assert "3 SQL queries, 2 for the timeline" in people[1].get("/").text


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
