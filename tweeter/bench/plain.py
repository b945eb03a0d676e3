"""The rival of the home page: the same page out of constants, by plain templates, and nothing around it.

No session, no transaction, no store, no SQL; what is left is Pyramid, the site's layout, and a loop over the tweets. Of
the site's templates only one line is another: where the site takes a tweet's HTML from its cache, the tweet's template
stands in the loop itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import BaseLoader, Environment, TemplateNotFound
from markupsafe import Markup
from pyramid.config import Configurator
from pyramid.events import BeforeRender
from pyramid.request import Request
from pyramid.router import Router
from pyramid_jinja2 import IJinja2Environment  # noqa: F401

from tweeter.rendering import text_html
from tweeter.security import Identity
from tweeter.values import TweetView
