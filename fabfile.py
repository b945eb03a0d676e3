"""Sets up hosts and deploys to them over ssh, one after the other, with the commands of docs/how-to/deploy.md.

    fab -H web1,web2 setup      # packages, user, software, settings, processes, nginx
    fab -H web1,web2 deploy     # dist/tweeter-*.whl: install, migrate, restart one process after the other

The environment has the settings: SITE is the host name of the site, SITE_FOLDER the folder that `tweeter init` made
(default: site), AS_ROOT the command that runs a script as root (default: sudo bash).
"""

import os
import re
import shlex
from io import StringIO
from pathlib import Path

from fabric import Connection, task
from invoke.exceptions import Exit

ROOT = Path(__file__).parent
GUIDE = ROOT / "docs" / "how-to" / "deploy.md"
FOLDER = "tweeter-deploy"  # in the home of the ssh user


def commands(heading: str) -> str:
    """The commands in a section of the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```sh\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL) if section else []
    if not blocks:
        raise Exit(f"{GUIDE} has no commands in a section {heading}.")
    return "".join(blocks)


@task
def setup(c: Connection) -> None:
    """Install the site on a bare Debian host, and start it."""
    site = Path(os.environ.get("SITE_FOLDER", "site"))
    if not (site / "secret").exists() or "SITE" not in os.environ:
        raise Exit(f"Set SITE, and make the folder {site}: tweeter init {site} --backend redis --database URL")
    upload(c, [site / "production.ini", site / "secret", *(ROOT / "docs/how-to/deploy").iterdir()])
    # All hosts have the same secret.
    keep = "install -o tweeter -g tweeter -m 600 production.ini secret /etc/tweeter/ && rm production.ini secret\n"
    parts = map(commands, ("The software", "The settings", "The processes", "nginx"))
    run(c, f"SITE={shlex.quote(os.environ['SITE'])}\n", commands("The machine"), keep, *parts)
    print(f"setup executed on {c.original_host}")


@task
def deploy(c: Connection) -> None:
    """Install dist/tweeter-*.whl, migrate the database, and restart one process after the other."""
    upload(c, [])
    run(c, commands("The software"), commands("Upgrade"))
    print(f"deploy executed on {c.original_host}")


def upload(c: Connection, files: list[Path]) -> None:
    """Copies the files and the newest wheel into FOLDER."""
    wheels = sorted((ROOT / "dist").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not wheels:
        raise Exit("There is no wheel in dist/: make dist")
    c.run(f"umask 077 && mkdir -p ~/{FOLDER} && rm -f ~/{FOLDER}/*.whl")
    for file in [*files, wheels[-1]]:
        c.put(str(file), f"{FOLDER}/{file.name}")


def run(c: Connection, *scripts: str) -> None:
    """Runs the scripts as root, in one shell in FOLDER. The first failure ends them and the run."""
    script = "".join(["set -euo pipefail\numask 022\n", *scripts])
    c.put(StringIO(script), f"{FOLDER}/commands")
    c.run(f"cd ~/{FOLDER} && {os.environ.get('AS_ROOT', 'sudo bash')} commands")
