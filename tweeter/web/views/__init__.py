"""The web pages, one module per area: timelines, tweets, accounts, settings, people, search, drafts, errors."""

from pyramid.config import Configurator

from tweeter.web.views.frames import Frames


def includeme(config: Configurator) -> None:
    config.get_settings().setdefault("jinja2.trim_blocks", "true")
    config.get_settings().setdefault("jinja2.lstrip_blocks", "true")
    config.add_jinja2_search_path("tweeter.web:templates", name=".jinja2")
    config.include(".receiving")
    config.include(".tweens")
    config.include(".layout")
    config.include(".health")
    config.include(".metrics")
    config.include(".export")
    settings = config.get_settings()
    if not settings["tweeter.lab"] and not settings["pyramid.reload_templates"]:  # both change the HTML of a page
        config.registry["frames"] = Frames()
    config.scan()
