"""Commands with invalid settings print one line and no traceback."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_ini


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("pyramid.scripts.pserve {ini}", "tweeter"),
        ("pyramid.scripts.pshell {ini}", "tweeter"),
        ("pyramid.scripts.proutes {ini}", "tweeter"),
        ("pyramid.scripts.pviews {ini} /", "tweeter"),
        ("alembic -c {ini} upgrade head", "alembic"),
        ("tweeter.cli verify {ini}", "tweeter"),
        ("tweeter.cli services {ini}", "tweeter"),
        ("tweeter.cli bench page {ini}", "tweeter"),
    ],
)
def test_invalid_setting_ends_every_command_with_one_line(
    sqlite_url: str, tmp_path: Path, words: str, name: str
) -> None:
    ini = Path(write_ini(tmp_path, sqlite_url))
    more = f"\n[alembic]\nscript_location = {ROOT / 'alembic'}\n[server:main]\nuse = egg:waitress#main\n"
    ini.write_text(ini.read_text() + "tweeter.outbox.keep_hour = 1" + more)
    module, *arguments = words.format(ini=ini).split()
    code = f"import sys\nfrom {module} import main\nsys.exit(main())"
    if module == "alembic":
        code = "from alembic.config import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    meant = "unknown setting tweeter.outbox.keep_hour; did you mean tweeter.outbox.keep_hours?"
    assert (done.returncode, done.stderr) == (1, f"{name}: {meant}\n")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://tweeter@127.0.0.1:1/x", "connection failed: .*Connection refused"),
        ("sqlite:////no/such/folder/x.sqlite", "unable to open database file"),
        ("nonsense", "Invalid sqlalchemy.url: .*"),
    ],
)
def test_migrating_an_unreachable_database_ends_with_one_line(url: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "-c", "production.ini", "upgrade", "head"],
        cwd=ROOT, env=os.environ | {"SQLALCHEMY_URL": url}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(f"alembic: {said}\n", done.stderr)
