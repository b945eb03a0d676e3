"""Hosts to deploy to: private ssh servers on this machine, each with a folder as its root and an address of its own.

Scripts that a host runs as root (AS_ROOT) have their paths in the folder. Commands that would change the machine are
stand-ins: packages and users are noted in the file `done`, and a small service manager starts what units say.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tweeter.devtools.servers import find, free_port

PRIVILEGES = Path("/run/sshd")  # sshd needs this empty folder where root starts it; there it exists while sshd runs
STAND_INS = {
    "install": 'words=(); while (($#)); do case $1 in -o|-g) shift;; *) words+=("$1");; esac; shift; done\n'
    'exec /usr/bin/install "${words[@]}"',
    "runuser": 'shift 3; exec "$@"',
    # Without a pip of its own an environment is made in a fifth of the time.
    "make-venv": 'python3 -m venv --without-pip "$1"\n'
    'printf \'#!/bin/bash\\nexec python3 -m pip --python %q "$@"\\n\' "$1" > "$1/bin/pip"; chmod 755 "$1/bin/pip"',
}
NOTED = ("apt-get", "useradd", "nginx")
NOT_SERVING = ("curl", "runuser", "systemctl")  # noted, too, on a host that starts no process
NOTE = 'echo "${0##*/} $*" >> ~/done'
AS_ROOT = r"""
mkdir -p ~/etc/nginx/sites-available ~/etc/nginx/sites-enabled ~/etc/systemd/system ~/etc/ssl
sed -E "s#(^|[^[:alnum:]_.~-])/(srv|etc)/#\1$HOME/\2/#g; s/127\.0\.0\.1/$ADDRESS/g
    s/python3 -m venv/make-venv/" "$1" > "$1.here"
PATH=$STAND_INS:$PATH exec bash "$1.here"
"""
SERVICES = """
import os, pathlib, re, shlex, signal, subprocess, sys, time
home, (verb, *units) = pathlib.Path.home(), sys.argv[1:]
print("systemctl", verb, *units, file=open(home / "done", "a"))
for unit in units if verb in ("start", "restart", "stop") else ():
    name, at, number = unit.partition("@")
    file, pid = home / "etc/systemd/system" / f"{name}@.service", home / f"{unit}.pid"
    if not file.exists():
        continue
    if verb != "start" and pid.exists():
        os.kill(int(pid.read_text()), signal.SIGTERM)
        while pathlib.Path(f"/proc/{pid.read_text().strip()}").exists():
            time.sleep(0.05)
    if verb != "stop":
        program, *words = shlex.split(re.search("^ExecStart=(.*)$", file.read_text(), re.M)[1].replace("%i", number))
        words = [word.replace("/etc/", f"{home}/etc/") for word in words]
        os.environ["PATH"] = f"{home}/srv/tweeter/venv/bin:" + os.environ["PATH"]
        log = open(home / f"{unit}.log", "ab")
        # With another parent, so that its end leaves no entry behind.
        shell = 'setsid "$@" < /dev/null & echo $! > "$0"'
        subprocess.run(["bash", "-c", shell, f"{pid}", os.path.basename(program), *words], stdout=log, stderr=log)
"""


class Host:
    """An ssh server. `environ` is that of its commands. Without `serves` it starts no process of the site."""

    def __init__(self, folder: Path, address: str, environ: Mapping[str, str], serves: bool = True) -> None:
        self.folder = folder
        self.address = address
        self.port = free_port()
        program = find("sshd", "openssh-server", Path("/usr/sbin"))
        stand_ins = folder / "stand-ins"
        stand_ins.mkdir(parents=True)
        _program(stand_ins / "systemctl", f"#!{sys.executable}\n{SERVICES}")
        noted = dict.fromkeys(NOTED if serves else (*NOTED, *NOT_SERVING), NOTE)
        for name, script in {**STAND_INS, **noted, "as-root": AS_ROOT}.items():
            _program(stand_ins / name, f"#!/bin/bash\n{script}\n")
        own = {"HOME": str(folder), "ADDRESS": address, "STAND_INS": str(stand_ins), **environ}
        for name in ("host_key", "user_key"):
            run = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(run, check=True, stdin=subprocess.DEVNULL)
        values = " ".join(f'"{name}={value}"' for name, value in own.items())
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/user_key.pub\nStrictModes no\nPasswordAuthentication no\n"
            f"Subsystem sftp internal-sftp -d {folder}\nSetEnv {values}\n",
            encoding="utf-8",
        )
        self._made = os.geteuid() == 0 and not PRIVILEGES.exists()
        if self._made:
            PRIVILEGES.mkdir()
        self._log = (folder / "sshd.log").open("wb")
        command = [program, "-D", "-e", "-f", str(folder / "sshd_config")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=self._log)

    def ssh_config(self, name: str) -> str:
        return (
            f"Host {name}\n  HostName 127.0.0.1\n  Port {self.port}\n  IdentityFile {self.folder}/user_key\n"
            "  IdentitiesOnly yes\n"
        )

    @property
    def done(self) -> list[str]:
        """What it would have done to the machine."""
        return (self.folder / "done").read_text(encoding="utf-8").splitlines()

    @property
    def logs(self) -> str:
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')}" for path in self.folder.glob("*.log"))

    def close(self) -> None:
        for file in self.folder.glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        self._process.terminate()
        self._process.wait()
        self._log.close()
        if self._made:
            shutil.rmtree(PRIVILEGES, ignore_errors=True)


def _program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
