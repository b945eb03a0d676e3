"""Migrations read the same ini file, command line and environment as the site."""

from logging.config import fileConfig

from alembic import context

import tweeter.models
from tweeter.models import engine_of
from tweeter.settings import read_ini

config = context.config
if config.config_file_name and config.attributes.get("configure_logging", True):
    fileConfig(config.config_file_name, disable_existing_loggers=False)

given = config.get_main_option("sqlalchemy.url")
settings = {"sqlalchemy.url": given} if given else read_ini(config.config_file_name)
url = settings["sqlalchemy.url"]
options = {
    "target_metadata": tweeter.models.Base.metadata,
    "render_as_batch": url.startswith("sqlite"),  # SQLite can't alter most of a table in place
}


def run() -> None:
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


run()
