"""Nothing may fail after the commit: after an error, users would submit the form again."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import webtest
from hypothesis import example, given
from hypothesis import strategies as st
from pyramid.request import Request
from pyramid.response import Response
from pyramid.router import Router

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person, ids_on
from tweeter import metrics
from tweeter.interfaces import IDelivery
from tweeter.web.cookies import FLASHES, LONGEST_SESSION, SessionSerializer, session_factory
from tweeter.web.views.drafts import LONGEST, packed

LONGEST_COOKIE = 4064  # bytes of a value; with its name it fits into the limit of browsers

# Fifty visible characters with the maximal length in bytes.
NAMES = {
    "family": "👩\u200d👩\u200d" * 25,
    "devanagari": "क्षि" * 50,
    "thai": "ที่" * 50,
    "accents": "e\u0301\u0323\u0331" * 50,
    "han": "龍" * 50,
    "cuneiform": "𒀀" * 50,
    "quotes": '"\\' * 25,
}


@pytest.fixture
def unlimited(sqlite_url: str) -> Iterator[Router]:
    """The site without limits on posting and following."""
    none = {"tweeter.limits.post": "none", "tweeter.limits.follow": "none"}
    with running(settings_of(sqlite_url) | none) as app:
        yield app


def messages(page: webtest.TestResponse) -> list[str]:
    return re.findall(r'class="flash" role="status">([^<]*)<', page.text)


def test_hundreds_of_forms_without_a_page_between(unlimited: Router) -> None:
    ada = Person(Browser(unlimited), "Ada")
    for name in ("x" * 20, "y" * 20):
        Person(Browser(unlimited), name)
    token = ada.token()
    for number in range(300):
        name, verb = "xy"[number // 2 % 2] * 20, ("follow", "unfollow")[number % 2]
        ada.browser.post(f"/@{name}/{verb}", {"csrf_token": token}, status=303)
    for number in range(300):
        ada.browser.post("/tweets", {"csrf_token": token, "message": f"number {number}"}, status=303)
    page = ada.get("/?limit=100")
    assert messages(page) == ["Posted."] * FLASHES
    assert "<strong>300</strong>" in page.text
    assert len(ids_on(page)) == 100
    assert messages(ada.get("/")) == []


def test_the_last_messages_are_shown(unlimited: Router) -> None:
    ada = Person(Browser(unlimited), "Ada")
    Person(Browser(unlimited), "bob")
    token = ada.token()
    ada.get("/")
    for verb in ("follow", "unfollow", "follow"):
        ada.browser.post(f"/@bob/{verb}", {"csrf_token": token}, status=303)
    ada.browser.post("/tweets", {"csrf_token": token, "message": "hello"}, status=303)
    assert messages(ada.get("/")) == ["You no longer follow @bob.", "You now follow @bob.", "Posted."]


@pytest.mark.parametrize("script", NAMES)
def test_long_names_and_long_drafts_in_any_script(unlimited: Router, script: str) -> None:
    """The author of the draft was signed out and then creates a new account."""
    text = NAMES[script]
    ada = Person(Browser(unlimited), "Ada")
    token = ada.token("/")
    Person(browser := Browser(unlimited)).sign_in("Ada")
    Person(browser).send("/settings", action="sessions", status=303)
    draft = (text * 20)[:400]
    while len(packed({"message": draft})) > LONGEST:
        draft = draft[:-1]
    ada.browser.post("/tweets", {"csrf_token": token, "message": draft}, status=303)
    ada.send("/signup", on="/signup", username="new", password=PASSWORD, display_name=text, status=303)
    page = ada.get("/")
    assert "Welcome, " in messages(page)[0]
    (form,) = {id(form): form for form in page.forms.values() if "message" in form.fields}.values()
    assert form["message"].value == draft


text_ = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(text_, max_size=30), text_, st.integers(1, 100), text_)
@example(["\x01" * 800], "\x01" * 600, 3, "")
@example(["𒀀" * 200] * 3, "龍" * 800, 1, "memory")
@example(["x" * 5000], "x" * 5000, 1, "x" * 5000)
def test_session_always_fits_into_its_cookie(flashes: list[str], draft: str, times: int, backend: str) -> None:
    state = {"_csrft_": "f" * 40, "_f_": [flash * times for flash in flashes], "draft": draft * times, "lab": backend}
    data = SessionSerializer().dumps((1.0, 2.0, dict(state)))
    assert len(data) <= LONGEST_SESSION
    _, _, kept = SessionSerializer().loads(data)
    assert kept["_csrft_"] == state["_csrft_"]  # otherwise no form would work
    if kept.get("_f_"):
        assert kept["_f_"] == state["_f_"][-len(kept["_f_"]) :]
        assert len(kept["_f_"]) <= FLASHES
    request = Request.blank("/")
    session: Any = session_factory("secret", False, 100)(request)
    session.update(state)
    request._process_response_callbacks(response := Response())
    value = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    assert len(value) <= LONGEST_COOKIE


@pytest.mark.parametrize("broken", ["metrics", "delivery"])
def test_post_succeeds_once_when_later_work_fails(app: Router, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> Callable[..., None]:
        raise RuntimeError(broken)

    ada = Person(Browser(app), "Ada")
    token = ada.token()
    with monkeypatch.context() as patch:
        if broken == "metrics":
            patch.setattr(metrics.REQUESTS, "labels", fail)
        else:
            patch.setattr(app.registry.getUtility(IDelivery), "wake", fail)
        ada.browser.post("/tweets", {"csrf_token": token, "message": "hello"}, status=303)
    assert len(ada.ids("/@Ada")) == 1


def test_only_a_commit_with_an_event_wakes_the_delivery(app: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    ada = Person(Browser(app), "Ada")
    Person(Browser(app), "bob")
    monkeypatch.setattr(app.registry.getUtility(IDelivery), "wake", lambda: woken.append("woken"))
    ada.send("/settings", action="profile", display_name="Ada", bio="Another bio.", status=303)
    ada.send("/@bob/unfollow", status=303)  # she does not follow bob
    ada.send("/tweets", message=" ", status=400)
    assert woken == []
    ada.send("/@bob/follow", status=303)
    assert woken == ["woken"]
