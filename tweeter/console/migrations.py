"""The migrations of a checkout or an installed package: they create the tables of a database, and remove them."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

import tweeter
from tweeter.db.engines import make_engine


def migrations() -> str:
    """Alembic's script_location: the migrations of an installed wheel or of a checkout."""
    package = Path(tweeter.__file__).parent
    return "tweeter:migrations" if (package / "migrations").exists() else str(package.parent / "alembic")


def migrate(url: str) -> None:
    command.upgrade(_config(url), "head")


def unmigrate(url: str) -> None:
    """Removes the tables again."""
    command.downgrade(_config(url), "base")
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    engine.dispose()


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", migrations())
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
