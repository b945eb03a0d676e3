"""Migrations read the same ini file, command line and environment as the site."""

from alembic import context
from sqlalchemy.exc import OperationalError

import tweeter.models
from tweeter.console.commands import describe, read_settings
from tweeter.db.options import engine_of
from tweeter.errors import TweeterError
from tweeter.models.base import in_models

config = context.config


def run() -> None:
    given = config.get_main_option("sqlalchemy.url")  # set by a program that configures logging itself
    settings = {"sqlalchemy.url": given} if given else read_settings(config.config_file_name)
    url = settings["sqlalchemy.url"]
    options = {
        "target_metadata": tweeter.models.Base.metadata,
        "include_name": in_models,
        "render_as_batch": url.startswith("sqlite"),  # SQLite's ALTER TABLE supports few changes
    }
    if context.is_offline_mode():
        context.configure(url=url, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    engine = engine_of(settings)
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


try:
    run()
except (TweeterError, OperationalError) as error:
    if config.cmd_opts is None:
        raise
    raise SystemExit(f"alembic: {describe(error)}") from error
