"""Migrations: they create the schema of the models on both databases, and can be reverted."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from tests.conftest import ROOT, engine_on
from tests.support.databases import alembic_config
from tweeter.db.chunks import in_chunks
from tweeter.db.sessions import begin_immediate, make_sessions
from tweeter.models import Base
from tweeter.models.base import in_models
from tweeter.services.counters import count_some
from tweeter.services.moderation import Moderation
from tweeter.services.passwords import Passwords
from tweeter.services.recounting import recount_some

pytestmark = pytest.mark.slow


def described(url: str) -> dict[str, Any]:
    """The complete schema of the tables."""
    with engine_on(url) as engine, engine.connect() as connection:
        inspector = inspect(connection)
        found: dict[str, Any] = {}
        for table in sorted(set(filter(in_schema, inspector.get_table_names())) - {"alembic_version"}):
            found[table] = {
                "columns": [(c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(table)],
                "primary key": inspector.get_pk_constraint(table),
                "foreign keys": sorted(map(plain, inspector.get_foreign_keys(table))),
                "indexes": sorted(map(plain, (i for i in inspector.get_indexes(table) if in_schema(i["name"])))),
                "unique": sorted(map(plain, inspector.get_unique_constraints(table))),
                "checks": sorted(map(plain, inspector.get_check_constraints(table))),
            }
            if engine.dialect.name == "sqlite":  # not reported by the inspector
                sql = connection.scalars(
                    text("SELECT sql FROM sqlite_schema WHERE name = :name"), {"name": table}
                ).one()
                found[table]["options"] = ("AUTOINCREMENT" in sql, "WITHOUT ROWID" in sql)
    return found


def in_schema(name: str | None) -> bool:
    return in_models(name, "", None)


def plain(value: Any) -> str:
    """As text, because SQL clauses cannot be compared."""
    if isinstance(value, dict):
        return str({key: plain(part) for key, part in value.items()})
    return str(value)


def test_up_down_and_up_again(empty_url: str) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "head")
    first = described(empty_url)
    assert set(first) == set(Base.metadata.tables)
    command.downgrade(config, "base")
    assert described(empty_url) == {}
    with engine_on(empty_url) as engine:
        assert inspect(engine).get_table_names() == ["alembic_version"]
    command.upgrade(config, "head")
    assert described(empty_url) == first


def test_every_migration_can_be_downgraded(empty_url: str) -> None:
    config = alembic_config(empty_url)
    revisions = list(ScriptDirectory.from_config(config).walk_revisions())
    for revision in reversed(revisions):
        command.upgrade(config, revision.revision)
        after = described(empty_url)
        command.downgrade(config, "-1")
        command.upgrade(config, "+1")
        assert described(empty_url) == after, revision


def test_partly_removed_account_stays_closed_after_migration(database_url: str) -> None:
    config = alembic_config(database_url)
    before = ScriptDirectory.from_config(config).get_revision("0008").down_revision
    rows = [
        "INSERT INTO users (id, username, username_key, display_name, bio, password_hash, auth_version, tweets_count, "
        "followers_count, following_count, date, closed) VALUES "
        + ", ".join(
            f"({id_}, 'u{id_}', '{key}', '', '', '', 0, 1, {counts}, '2026-11-26 00:00:00.000', {closed})"
            for id_, key, counts, closed in (
                (1, "!1", "1, 2", "TRUE"), (2, "u2", "2, 1", "FALSE"), (3, "u3", "2, 1", "FALSE"),
                (4, "!4", "0, 1", "TRUE"),
            )
        ),
        "INSERT INTO tweets (id, user_id, message, date) SELECT id, id, 'hello', date FROM users",
        "INSERT INTO mentions (user_id, tweet_id) VALUES (1, 2), (2, 1), (2, 3)",
        "INSERT INTO relationships (from_user_id, to_user_id) VALUES (1, 2), (1, 3), (2, 1), (3, 2), (4, 3)",
    ]  # fmt: skip
    with engine_on(database_url) as engine:
        with engine.begin() as connection:
            for row in rows:
                connection.execute(text(row))
        command.downgrade(config, str(before))
        command.upgrade(config, "head")
        with engine.connect() as connection:
            people = connection.execute(text("SELECT id, followers_count, following_count FROM users ORDER BY id"))
            assert people.all() == [(2, 1, 0), (3, 0, 1)]
            for table in ("tweets", "relationships", "mentions"):
                assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == {"tweets": 2}.get(table, 1)


def test_counters_of_suspended_accounts_follow_the_migration(database_url: str) -> None:
    """The earlier version counts their rows; after the upgrade housekeeping takes them out."""
    config = alembic_config(database_url)
    read = """SELECT followers_count, following_count, replies_count, reposts_count, likes_count
        FROM users JOIN tweets ON tweets.user_id = users.id WHERE users.id = 1"""
    with engine_on(database_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            begin_immediate(session)
            actions = Moderation(session, Passwords(1, 8), 140)
            ada, bob = (actions.sign_up(name, "password").id for name in ("ada", "bob"))
            tweet = actions.post(ada, "hello").id
            actions.follow(ada, "bob")
            actions.follow(bob, "ada")
            actions.post(bob, "an answer", tweet)
            actions.repost(bob, tweet)
            actions.like(bob, tweet)
            actions.suspend(bob)
        for _ in range(2):
            for work in (recount_some, count_some):
                assert sum(in_chunks(sessions, work))
            with engine.connect() as connection:
                assert connection.execute(text(read)).one() == (0, 0, 0, 0, 0)
            command.downgrade(config, "0020")
            with engine.connect() as connection:
                assert connection.execute(text(read)).one() == (1, 1, 1, 1, 1)
            command.upgrade(config, "head")


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    before = described(database_url)
    command.upgrade(alembic_config(database_url), "head")
    assert described(database_url) == before


def test_migrations_and_models_agree(database_url: str) -> None:
    with engine_on(database_url) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": in_models})
        assert compare_metadata(context, Base.metadata) == []


def test_migrations_match_the_models(empty_url: str) -> None:
    """Compares more than Alembic: checks, foreign key rules, partial and unique indexes, table options."""
    config = alembic_config(empty_url)
    command.upgrade(config, "head")
    by_migrations = described(empty_url)
    command.downgrade(config, "base")
    with engine_on(empty_url) as engine:
        Base.metadata.create_all(engine)
    assert described(empty_url) == by_migrations


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(alembic_config("sqlite://")).get_heads()) == 1


def test_a_new_migration_is_made_from_the_template_and_is_empty(database_url: str, tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    for migration in (ROOT / "alembic" / "versions").glob("*.py"):
        (versions / migration.name).write_text(migration.read_text(encoding="utf-8"), encoding="utf-8")
    config = alembic_config(database_url)
    config.set_main_option("version_locations", str(versions))
    config.set_main_option("path_separator", "newline")
    script = command.revision(config, "nothing changed", autogenerate=True, version_path=str(versions))
    made = Path(script.path).read_text(encoding="utf-8")  # type: ignore[union-attr]
    compile(made, script.path, "exec")  # type: ignore[union-attr]
    assert "def upgrade() -> None:\n    # ### commands auto generated by Alembic" in made
    assert made.count("pass\n") == 2


def test_migrations_can_be_printed_as_sql(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    command.upgrade(alembic_config(database_url), "head", sql=True)
    assert "CREATE TABLE tweets" in capsys.readouterr().out


def test_the_command_takes_the_database_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "from_environment.sqlite"
    result = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "development.ini", "upgrade", "head"],
        cwd=ROOT, env=os.environ | {"SQLALCHEMY_URL": f"sqlite:///{path}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert path.exists()


def test_the_folder_of_migrations_does_not_hide_alembic() -> None:
    """With an __init__.py in it, `import alembic` in this folder would find the migrations."""
    assert not (ROOT / "alembic" / "__init__.py").exists()
    spec = importlib.util.find_spec("alembic")
    assert spec
    assert spec.origin
    assert not Path(spec.origin).is_relative_to(ROOT / "alembic")


RELEASED = "0011"  # the schema of the last release
SHRINKING = r"DROP (TABLE|COLUMN)|RENAME |SET NOT NULL|ALTER COLUMN \w+ TYPE|ADD COLUMN (?!.* DEFAULT ).* NOT NULL"


def unbearable(revisions: str, url: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The statements of migrations that the code before them does not bear."""
    capsys.readouterr()
    command.upgrade(alembic_config(url), revisions, sql=True)
    statements = re.split(r";\s*\n", capsys.readouterr().out)
    return [line for line in statements if re.search(SHRINKING, line) and "alembic_version" not in line]


def test_the_code_of_the_last_release_bears_the_new_migrations(
    postgresql_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """During an upgrade old processes use the new schema: docs/how-to/deploy.md. A release later columns may go."""
    assert unbearable(f"{RELEASED}:head", postgresql_url, capsys) == []
    assert unbearable("0007:0008", postgresql_url, capsys) == []  # it adds a column with a default
    assert "DROP TABLE consumers" in "".join(unbearable("0008:0009", postgresql_url, capsys))
