"""`tweeter services` as a process: it starts missing servers, uses running ones, and stops cleanly."""

import os
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tweeter.devtools import servers
from tweeter.devtools.servers import Memcached, Redis, free_port

COMMAND = [sys.executable, "-m", "tweeter.cli", "services"]
SECONDS = 20


@pytest.fixture
def ports(redis_server, memcached_server):
    """Free ports; the server fixtures skip the test if programs are not installed."""
    return free_port(), free_port()


@pytest.fixture
def ini(tmp_path, ports):
    path = tmp_path / "site.ini"
    path.write_text(
        (ROOT / "testing.ini").read_text(encoding="utf-8").replace(
            "tweeter.timelines = sql",
            f"tweeter.timelines = sql\ntweeter.redis.url = redis://localhost:{ports[0]}/0\n"
            f"tweeter.memcached.servers = localhost:{ports[1]}",
        ),
        encoding="utf-8",
    )  # fmt: skip
    return path


@contextmanager
def running(ini, ignored=(), command=COMMAND):
    """The command, running; killed at the end if it is not over.

    The process ignores exactly these signals, whatever the tests inherited.
    """
    env = ["env", "--default-signal", *(f"--ignore-signal={name}" for name in ignored)]
    with subprocess.Popen(
        [*env, *command, str(ini)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("how", "ignored"),
    [
        (signal.SIGINT, ()),
        (signal.SIGINT, ("INT", "HUP")),  # a background job of a script, under nohup
        (signal.SIGTERM, ()),
        (signal.SIGTERM, ("TERM",)),
        (signal.SIGHUP, ()),  # the terminal was closed
    ],
)
def test_servers_run_until_the_command_ends(ini, ports, how, ignored):
    with running(ini, ignored) as process:
        wait_for(lambda: Redis.answers_at(ports[0]) and Memcached.answers_at(ports[1]))
        for line in (f"redis runs on 127.0.0.1:{ports[0]}.", f"memcached runs on 127.0.0.1:{ports[1]}.", "Ctrl-C"):
            assert line in process.stderr.readline()
        process.send_signal(how)
        assert process.wait(SECONDS) == 0
        assert "Ended." in process.stderr.read()
    assert not Redis.answers_at(ports[0])
    assert not Memcached.answers_at(ports[1])


def test_nohup_keeps_it_running_when_the_terminal_is_closed(ini, ports):
    with running(ini, ["HUP"]) as process:
        while "Ctrl-C" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0


def test_ctrl_c_ends_make_services_if_the_job_ignores_sigint(ini, ports):
    tweeter = Path(sys.executable).with_name("tweeter")
    with running(ini, ["INT"], [ROOT / ".ci" / "services", tweeter]) as process:
        wait_for(lambda: Redis.answers_at(ports[0]) and Memcached.answers_at(ports[1]))
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


def test_running_servers_are_used(ini, ports):
    with closing(Redis()) as mine:
        mine.port = ports[0]
        mine.start()
        with running(ini) as process:
            wait_for(lambda: Memcached.answers_at(ports[1]))
            assert f"redis already runs on port {ports[0]}; using it." in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            assert process.wait(SECONDS) == 0
        assert mine.answers()


def test_exit_of_a_server_ends_the_command(ini, ports):
    with running(ini) as process:
        wait_for(lambda: Redis.answers_at(ports[0]) and Memcached.answers_at(ports[1]))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        assert process.wait(SECONDS) == 1
        assert "A server exited by itself" in process.stderr.read()


def test_port_in_use_is_reported(ini, ports):
    with closing(servers.Redis()) as other:
        other.port = ports[1]  # where memcached is expected
        other.start()
        result = subprocess.run([*COMMAND, str(ini)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 1
    assert f"memcached does not start on port {ports[1]}; is the port in use?" in result.stderr
    assert not Redis.answers_at(ports[0])


def test_missing_packages_are_named(ini, ports, tmp_path):
    environment = os.environ | {"PATH": str(tmp_path)}
    missing = subprocess.run(
        [*COMMAND, "--missing", str(ini)], capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    assert missing.stdout.split() == ["memcached", "redis-server"]
    result = subprocess.run(
        [*COMMAND, str(ini)], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    assert result.returncode == 1
    assert "apt-get install memcached redis-server" in result.stderr


def test_servers_on_other_machines_are_not_started(ini):
    text = ini.read_text(encoding="utf-8").replace("localhost:", "store.example.org:")
    ini.write_text(text, encoding="utf-8")
    result = subprocess.run([*COMMAND, str(ini)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0
    assert "There is nothing to start." in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tweeter.redis.url = redis://localhost:", "tweeter.redis.url = redis://localhost:x", "tweeter.redis.url: "),
        ("tweeter.memcached.servers = localhost:", "tweeter.memcached.servers = :", "is no server"),
        ("tweeter.timelines = sql", "tweeter.timelines = cabinet", "no such module"),
    ],
)
def test_invalid_settings_are_reported(ini, old, new, message):
    ini.write_text(ini.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    result = subprocess.run([*COMMAND, str(ini)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_ini_file_is_reported(tmp_path):
    result = subprocess.run([*COMMAND, tmp_path / "no.ini"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 1
    assert "no.ini can't be used" in result.stderr


@pytest.mark.parametrize("install", ["", "no"])
def test_make_services_installs_nothing_by_default(ini, ports, tmp_path, install):
    tweeter = tmp_path / "tweeter"
    tweeter.write_text("#!/bin/bash\necho redis-server\n", encoding="utf-8")
    tweeter.chmod(0o755)
    result = subprocess.run(
        [ROOT / ".ci" / "services", tweeter, str(ini), install],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert "make services INSTALL=yes" in result.stderr
    assert "apt-get install redis-server" in result.stderr
