"""The pages. Each module is one room: timelines, tweets, accounts, settings, people, search, drafts, errors."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.get_settings().setdefault("jinja2.trim_blocks", "true")
    config.get_settings().setdefault("jinja2.lstrip_blocks", "true")
    config.add_jinja2_search_path("tweeter:templates", name=".jinja2")
    config.include(".receiving")
    config.include(".tweens")
    config.include(".layout")
    config.include(".health")
    config.include(".metrics")
    config.include(".export")
    config.scan()
