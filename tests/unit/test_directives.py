"""Directives: registrations, their order, and conflicts."""

from collections.abc import Callable
from typing import Any

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError
from pyramid.registry import Registry

import tweeter
from tests.conftest import running, settings_of
from tests.thirdparty import cabinet, texts
from tweeter.delivery.inline import InlineDelivery
from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.lab.steps import Step, as_configured
from tweeter.timelines.kinds import built_in_kinds
from tweeter.timelines.pull import PullTimelines


def configure(url: str, *more: Callable[[Configurator], None], **settings: str) -> Registry:
    """The registry of a site without a web application, with further includes after its parts."""
    merged = settings_of(url) | {f"tweeter.{key}": value for key, value in settings.items()}
    with Configurator(settings=merged) as config:
        config.include(tweeter.machinery)
        for include in more:
            config.include(include)
    return config.registry


def shown(registry: Registry, category: str) -> list[dict[str, Any]]:
    """The introspectables of a category."""
    return [dict(found["introspectable"]) for found in registry.introspector.get_category(category)]


def adding(name: str, by: str = "includeme") -> Callable[[Configurator], None]:
    """The includeme of a module that registers timelines under this name."""

    def include(config: Configurator) -> None:
        config.add_timelines(name, PullTimelines("same", config.registry.database.sessions, built_in_kinds()))

    include.__name__ = by  # Pyramid includes each name once
    return include


def test_two_modules_that_register_timelines_under_one_name_conflict(sqlite_url: str) -> None:
    with pytest.raises(ConfigurationConflictError, match="timelines.*my.backend"):
        configure(sqlite_url, adding("my.backend", "one"), adding("my.backend", "other"))
    configure(sqlite_url, adding("my.backend", "one"), adding("my.other", "other"))


def test_a_store_and_timelines_under_one_name_conflict(sqlite_url: str) -> None:
    with pytest.raises(ConfigurationConflictError, match="tests.thirdparty.texts"):
        configure(sqlite_url, texts.includeme, adding("tests.thirdparty.texts"))


def test_two_deliveries_conflict(sqlite_url: str) -> None:
    def one(config: Configurator) -> None:
        config.set_delivery(InlineDelivery)

    def other(config: Configurator) -> None:
        config.set_delivery(InlineDelivery)

    with pytest.raises(ConfigurationConflictError, match="delivery"):
        configure(sqlite_url, one, other)


def test_site_configuration_overrides_its_includes(sqlite_url: str) -> None:
    mine = PullTimelines("mine", None, built_in_kinds())  # type: ignore[arg-type]
    with Configurator(settings=settings_of(sqlite_url)) as config:
        config.include(tweeter.machinery)
        config.add_timelines("tweeter.backends.sql", mine)
    assert config.registry.getUtility(ITimelines) is mine


def test_delivery_includes_backends_registered_later(sqlite_url: str) -> None:
    registry = configure(sqlite_url, texts.includeme, timelines="memory")
    names = [relay.timelines.name for relay in registry.getUtility(IDelivery).relays]
    assert sorted(names) == ["memory", "texts"]


def test_the_introspector_shows_every_backend_with_its_store_and_cache(sqlite_url: str) -> None:
    settings = {"timelines": "memory", "timelines.shadow": "tests.thirdparty.cabinet"}
    registry = configure(sqlite_url, **settings)
    memory, third = sorted(shown(registry, "timelines"), key=lambda each: str(each["name"]), reverse=True)
    assert memory["name"] == "tweeter.backends.memory"
    assert memory["timelines"] is registry.getUtility(ITimelines)
    assert third["name"] == cabinet.__name__
    assert (type(third["store"]), type(third["cache"])) == (texts.TextTimelineStore, texts.MemoryTweetCache)


def test_the_introspector_shows_the_delivery(sqlite_url: str) -> None:
    registry = configure(sqlite_url)
    assert shown(registry, "delivery") == [
        {"factory": InlineDelivery, "delivery": registry.getUtility(IDelivery)}
    ]  # fmt: skip
    (found,) = registry.introspector.get_category("delivery")
    assert found["introspectable"].title == "inline"


def test_two_steps_of_the_lab_with_one_name_conflict_and_the_introspector_lists_them(sqlite_url: str) -> None:
    step = Step("later", "With a queue", "25", "It costs a queue.", "memory", as_configured("memory"))

    def one(config: Configurator) -> None:
        config.add_lab_step(step)

    def other(config: Configurator) -> None:
        config.add_lab_step(step)

    own = {"tweeter.lab": "true", "tweeter.lab.backends": "sql memory", "tweeter.production": "false"}
    with running(settings_of(sqlite_url) | own) as app:
        titles = [each["step"].title for each in shown(app.registry, "lab steps")]
        assert titles == [each.title for each in app.registry["lab"].steps]
        config = Configurator(registry=app.registry)
        config.include(one)
        config.include(other)
        with pytest.raises(ConfigurationConflictError, match="later"):
            config.commit()


def test_delivery_with_invalid_settings_stops_startup_with_its_own_error(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise SettingError("tweeter.courier.bicycle must be set")

    monkeypatch.setattr("tweeter.delivery.inline.InlineDelivery", refuse)
    with pytest.raises(SettingError, match="bicycle must be set"):
        tweeter.make_registry(settings_of(sqlite_url))
    with pytest.raises(SettingError, match="bicycle must be set"):
        tweeter.main({}, **settings_of(sqlite_url))
