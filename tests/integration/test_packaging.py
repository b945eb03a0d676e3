"""Packaging: the source distribution builds the wheel, and the wheel alone runs a site."""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from contextlib import ExitStack, closing, suppress
from http.client import HTTPException
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import pytest

from tests.conftest import ROOT
from tests.support.hosts import Host
from tweeter.cli import main
from tweeter.devtools.servers import PostgreSQL, Redis, free_port

pytestmark = pytest.mark.slow
INI = """\
[app:main]
use = egg:tweeter
sqlalchemy.url = sqlite:///%(here)s/site.sqlite
tweeter.timelines = memory
tweeter.production = false
tweeter.secret = change-me

[alembic]
script_location = tweeter:migrations

[server:main]
use = egg:waitress#main

[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
level = WARN
handlers =
"""

VISIT = """\
import sys
from pathlib import Path
import tweeter
from pyramid.paster import get_app
from webob import Request
assert Path(tweeter.__file__).is_relative_to(sys.argv[1]), tweeter.__file__
app = get_app("site.ini")
for path in ("/", "/public", "/signup", *sys.argv[2:]):
    response = Request.blank(path).get_response(app)
    print(path, response.status)
    response.app_iter
    assert response.status_int in (200, 302, 303), (path, response.text)
app.registry.database.engine.dispose()
"""

SHIPPED = (".py", ".jinja2", ".css", ".js", ".svg", ".toml", ".typed", ".yaml", ".ico", ".png", ".webmanifest")


def files(dist: Path, folder: str, *suffixes: str) -> set[str]:
    """The files of that kind in the tree that was built."""
    return {
        path.relative_to(dist.parent).as_posix()
        for path in (dist.parent / folder).rglob("*")
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts
    }


def run(*command: str | Path, cwd: Path, **environ: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | environ
    result = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with both, built from a copy, as `make dist` builds them."""
    copy = tmp_path_factory.mktemp("source") / "tweeter"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*_cache", ".venv", ".git", ".hypothesis", "*.egg-info",
                                                              "build", "dist", "__pycache__", "*.sqlite*"))  # fmt: skip
    output = run(sys.executable, "-m", "build", cwd=copy)
    assert "Warning" not in output, output
    return copy / "dist"


@pytest.fixture(scope="module")
def wheel_names(dist: Path) -> set[str]:
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the wheel installs, without dependencies."""
    (wheel,) = dist.glob("*.whl")
    target = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", target, wheel, cwd=target)
    return target


def test_wheel_is_complete(dist: Path, wheel_names: set[str]) -> None:
    needed = files(dist, "tweeter", *SHIPPED)
    assert any(name.startswith("tweeter/web/templates/") for name in needed)
    assert any(name.startswith("tweeter/web/static/") for name in needed)
    migrations = {name.replace("alembic/", "tweeter/migrations/", 1) for name in files(dist, "alembic", ".py", ".mako")}
    assert "tweeter/migrations/script.py.mako" in migrations
    assert needed | migrations <= wheel_names


def test_wheel_has_no_other_files(wheel_names: set[str]) -> None:
    assert {name.split("/")[0].split("-")[0] for name in wheel_names} == {"tweeter"}
    assert [name for name in wheel_names if name.endswith((".pyc", ".sqlite", ".ini"))] == ["tweeter/production.ini"]


def test_source_distribution_is_complete(dist: Path) -> None:
    (source,) = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        "README.md", "LICENSE", "CONTRIBUTING.md", "SECURITY.md", "Makefile",
        "setup.py", "pyproject.toml", "development.ini", "production.ini", "testing.ini",
        "alembic/env.py", "alembic/script.py.mako", ".ci/run", "fabfile.py", "tests/conftest.py", "tests/__init__.py",
    }  # fmt: skip
    needed |= files(dist, "docs", ".md", ".svg", ".png") | files(dist, "tests", ".py") | files(dist, "alembic", ".py")
    assert needed <= names
    assert not [name for name in names if name.endswith((".pyc", ".sqlite"))]


def test_the_wheel_alone_migrates_an_empty_database_and_serves_pages(
    dist: Path, installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "site.ini").write_text(INI, encoding="utf-8")
    (tmp_path / "visit.py").write_text(VISIT, encoding="utf-8")
    path = str(installed)
    run(sys.executable, "-m", "alembic", "-c", "site.ini", "upgrade", "head", cwd=tmp_path, PYTHONPATH=path)
    assert (tmp_path / "site.sqlite").exists()
    statics = [f"/{name.partition('/')[2]}" for name in sorted(files(dist, "tweeter/static", ".css", ".js", ".svg"))]
    output = run(sys.executable, "visit.py", path, *statics, cwd=tmp_path, PYTHONPATH=path)
    assert "/public 200" in output


@pytest.fixture
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dependencies of the wheel as a folder for PYTHONPATH, so that pip needs no network.

    `bin` has the commands of the dependencies, as pip would make them.
    """
    folder = tmp_path_factory.mktemp("dependencies")
    for path in Path(pytest.__file__).parent.parent.iterdir():
        if "tweeter" not in path.name:
            (folder / path.name).symlink_to(path)
    (folder / "bin").mkdir()
    for name, module in (("alembic", "alembic.config"), ("pserve", "pyramid.scripts.pserve")):
        script = folder / "bin" / name
        script.write_text(f"#!/usr/bin/env python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)
    return folder


def test_production_steps_of_the_readme_work(
    dist: Path, dependencies: Path, postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    (wheel,) = dist.glob("*.whl")
    shutil.copy(wheel, tmp_path)
    postgresql_server.execute("CREATE DATABASE production")
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## In production")[2]
    lines = re.findall(r"^\$ (.*)$", text.partition("```console")[2].partition("```")[0], re.MULTILINE)
    assert lines[-1] == "pserve site/production.ini"
    port = free_port()
    script = "\n".join(
        [
            "set -e",
            *lines[:-1],
            f"sed -i 's/^listen = .*/listen = 127.0.0.1:{port}/' site/production.ini",
            f"exec {lines[-1]}",
        ]
    ).replace("postgresql+psycopg://tweeter@db/tweeter", postgresql_server.url("production"))
    path = os.pathsep.join([str(dependencies / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": str(dependencies), "PIP_NO_INDEX": "1", "HOME": str(tmp_path)}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(["bash", "-c", script], cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        deadline, health = time.monotonic() + 120, ""
        while not health:
            said = (tmp_path / "log").read_text(encoding="utf-8")
            assert process.poll() is None and time.monotonic() < deadline, said  # noqa: PT018
            with suppress(OSError):
                health = urlopen(f"http://127.0.0.1:{port}/healthz").read().decode()
            time.sleep(0.2)
        assert json.loads(health) == {"backend": "memory", "sql": "ok"}
        page = urlopen(f"http://127.0.0.1:{port}/public").read().decode()
        assert "<title>Public" in page
        ini = (tmp_path / "site" / "production.ini").read_text(encoding="utf-8")
        assert "script_location = tweeter:migrations" in ini
        assert (tmp_path / "site" / "secret").stat().st_mode & 0o777 == 0o600
    finally:
        process.terminate()
        process.wait()


def test_fab_sets_up_hosts_and_deploys_while_they_serve(
    dist: Path, dependencies: Path, postgresql_server: PostgreSQL, redis_server: Redis, tmp_path: Path
) -> None:
    """The commands of the guide run over ssh, on two hosts that are folders; see tests.support.hosts."""
    postgresql_server.execute("CREATE DATABASE fab")
    assert main(["init", str(tmp_path / "site"), "--backend", "redis", "--database", postgresql_server.url("fab")]) == 0
    ini = tmp_path / "site" / "production.ini"
    own = f"tweeter.redis.url = {redis_server.url}\ntweeter.redis.prefix = fab:\n"
    ini.write_text(ini.read_text(encoding="utf-8").replace("[pshell]", f"{own}\n[pshell]"), encoding="utf-8")
    path = os.pathsep.join([str(dependencies / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    environ = {"PATH": path, "PYTHONPATH": str(dependencies), "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}
    with ExitStack() as stack:
        hosts = {}
        for number in (1, 2):
            address = f"127.{random.randrange(1, 255)}.{random.randrange(255)}.{number}"
            host = Host(tmp_path / f"web{number}", address, environ, serves=number == 1)
            hosts[f"web{number}"] = stack.enter_context(closing(host))
        config = tmp_path / "ssh_config"
        config.write_text("".join(host.ssh_config(name) for name, host in hosts.items()), encoding="utf-8")
        settings = {"SITE": "tweeter.test", "SITE_FOLDER": str(tmp_path / "site"), "AS_ROOT": "$STAND_INS/as-root"}

        def fab(task: str) -> str:
            command = [sys.executable, "-m", "fabric", "--ssh-config", str(config), "-H", "web1,web2", task]
            try:
                return run(*command, cwd=dist.parent, **settings)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{hosts['web1'].logs}") from None

        said = fab("setup")
        assert re.findall("^setup executed on .*$", said, re.M) == ["setup executed on web1", "setup executed on web2"]
        assert "apt-get install --yes --no-install-recommends" in "\n".join(hosts["web1"].done)
        secrets = {(host.folder / "etc/tweeter/secret").read_text() for host in hosts.values()}
        assert secrets == {(tmp_path / "site" / "secret").read_text()}
        ports = [f"http://{hosts['web1'].address}:654{number}/public" for number in (1, 2)]
        before = os.readlink(hosts["web1"].folder / "srv/tweeter/venv")
        unanswered: list[list[str]] = []
        ended = Event()

        def read() -> None:
            while not ended.is_set():
                if all(why := [trouble(port) for port in ports]):
                    unanswered.append(why)

        reader = Thread(target=read)
        while any(map(trouble, ports)):
            time.sleep(0.1)
        reader.start()
        try:
            said = fab("deploy")
        finally:
            ended.set()
            reader.join()
        assert "deploy executed on web1" in said
        assert "deploy executed on web2" in said
        assert unanswered == [], hosts["web1"].logs
        assert os.readlink(hosts["web1"].folder / "srv/tweeter/venv") != before
        assert [line for line in hosts["web1"].done if line.startswith("systemctl restart tweeter")] == [
            f"systemctl restart tweeter@{number} tweeter-relay@{number}" for number in (1, 2)
        ]
        assert not any(map(trouble, ports))


def trouble(url: str) -> str:
    """Why it does not answer; empty if it does."""
    try:
        with urlopen(url, timeout=10) as response:
            response.read()
    except (OSError, HTTPException) as error:
        return repr(error)
    return ""


def test_the_command_is_installed(installed: Path, tmp_path: Path) -> None:
    output = run(installed / "bin" / "tweeter", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "demo" in output
    output = run(installed / "bin" / "tweeter", "--version", cwd=tmp_path, PYTHONPATH=str(installed))
    assert re.fullmatch(r"tweeter \d+\.\d+\.\d+\S*\n", output)


def test_the_metadata(installed: Path) -> None:
    (metadata,) = installed.glob("tweeter-*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    assert "Requires-Python: >=3.11" in text
    assert "License-Expression: MIT" in text
    assert "License-File: LICENSE" in text
    for extra in ("testing", "lint", "dev"):
        assert f"Provides-Extra: {extra}" in text
    (entry_points,) = installed.glob("tweeter-*.dist-info/entry_points.txt")
    assert "main = tweeter:main" in entry_points.read_text(encoding="utf-8")
