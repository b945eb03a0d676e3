"""Creates the tables of a scratch database with the migrations of a checkout or an installed package."""

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from tweeter.cli.ini import migrations
from tweeter.db.engines import make_engine


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
