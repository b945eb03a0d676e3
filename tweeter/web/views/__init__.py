"""The web pages, one module per area: timelines, tweets, accounts, people, search, drafts, errors."""

from pyramid.config import Configurator

from tweeter.web.rendering import COMPILED
from tweeter.web.views.frames import Frames


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    settings.setdefault("jinja2.trim_blocks", "true")
    settings.setdefault("jinja2.lstrip_blocks", "true")
    settings["jinja2.bytecode_caching"] = COMPILED
    config.add_jinja2_search_path("tweeter.web:templates", name=".jinja2")
    for part in ("receiving", "tweens", "layout", "monitoring", "export", "live"):
        config.include(f".{part}")
    if not settings["tweeter.lab"] and not settings["pyramid.reload_templates"]:  # both change the HTML of a page
        config.registry["frames"] = Frames()
    config.scan()
