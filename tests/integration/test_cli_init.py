"""`tweeter init`: the folder of a production site. test_packaging runs it from a wheel."""

import gzip
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from tests.conftest import running, settings_of
from tests.support.people import Browser
from tweeter.cli import main
from tweeter.settings import read_ini


def test_the_site_of_a_new_folder_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "sites" / "my site"
    assert main(["init", str(folder)]) == 0
    ini, secret = folder / "production.ini", folder / "secret"
    out = capsys.readouterr().out
    assert out.endswith(f"alembic -c '{ini}' upgrade head\n  pserve '{ini}'\n")
    assert [file.stat().st_mode & 0o777 for file in (ini, secret)] == [0o600, 0o600]
    command.upgrade(Config(str(ini)), "head")
    settings = read_ini(str(ini))
    assert len(settings["tweeter.secret"]) == 64
    with running(settings) as app:
        assert Browser(app).get("/healthz").json == {"backend": "memory", "sql": "ok"}
    assert main(["settings", str(ini)]) == 0
    assert f"tweeter.secret = ***  (file: {secret}; no default)" in capsys.readouterr().out


def test_database_and_backend_are_in_the_ini_file(tmp_path: Path) -> None:
    url = "postgresql+psycopg://ada:50%25@db/tweeter"
    assert main(["init", str(tmp_path), "--database", url, "--backend", "redis"]) == 0
    settings = read_ini(str(tmp_path / "production.ini"))
    assert (settings["sqlalchemy.url"], settings["tweeter.timelines"]) == (url, "redis")


@pytest.mark.parametrize("name", ["production.ini", "secret"])
def test_existing_files_are_not_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    assert main(["init", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"tweeter: {tmp_path / name} exists already; nothing was changed.\n"
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--database", "nonsense"], "Invalid sqlalchemy.url"),
        (["--database", "postgresql+psycopg://db/x\ntweeter.lab = true"], "control character"),
        (["--backend", "abacus"], "no such module; built-in modules: memcached, memory"),
    ],
)
def test_invalid_values_write_nothing(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", str(tmp_path / "site"), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_file_is_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "site").write_text("mine", encoding="utf-8")
    assert main(["init", str(tmp_path / "site")]) == 1
    assert capsys.readouterr().err in (
        f"tweeter: {tmp_path / 'site'}: File exists\n", f"tweeter: {tmp_path / 'site'}: Not a directory\n",
    )  # fmt: skip


def test_static_files_are_those_of_the_site(tmp_path: Path, sqlite_url: str) -> None:
    folder = tmp_path / "static"
    for _ in range(2):  # the second time for an upgrade
        assert main(["static", str(folder)]) == 0
    with running(settings_of(sqlite_url)) as app:
        browser = Browser(app)
        names = set(re.findall(r'/static/([^"]+)', browser.get("/public").text))
        assert len(names) >= 3
        for name in names:
            body = browser.get(f"/static/{name}").body
            assert (folder / name).read_bytes() == body
            assert gzip.decompress((folder / f"{name}.gz").read_bytes()) == body
    assert not [file.name for file in folder.iterdir() if file.name.startswith(".")]
