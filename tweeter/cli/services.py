"""`tweeter services`: private servers for the backends, until Ctrl-C."""

import argparse
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from tweeter.console.commands import CommandError, add_ini, read_settings
from tweeter.devtools.servers import HOST, NotInstalled
from tweeter.devtools.servers.expected import expected
from tweeter.plugins import load, with_declared
from tweeter.timelines import BACKENDS

LOOK_EVERY = 0.5  # seconds


class Service(NamedTuple):
    """A server that a backend expects on this machine: how to create it, and its port."""

    name: str
    make: Any  # a subclass of tweeter.devtools.servers.Server that can probe a port without an instance
    port: int

    @property
    def answers(self) -> bool:
        return bool(self.make.answers_at(self.port))


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "services",
        help="run private servers of the backends until Ctrl-C",
        description="""Starts a private server for each backend of the ini file (tweeter.timelines, shadows, the lab's
        backends) that expects one on this machine, on the expected port. A server that already runs there is used
        unchanged. The servers start empty and leave nothing behind.""",
    )
    add_ini(parser)
    parser.add_argument("--missing", action="store_true", help="print the Debian packages that are missing, and exit")


def run(args: argparse.Namespace) -> int:
    services = list(_services(read_settings(args.ini)))
    absent = [service for service in services if not service.answers]
    if args.missing:
        print(*sorted({package for service in absent if (package := _package(service))}), sep="\n", end="")
        return 0
    if packages := sorted({package for service in absent if (package := _package(service))}):
        raise CommandError(
            f"These servers are not installed: {' '.join(packages)}. apt-get install {' '.join(packages)}"
        )
    for service in services:
        if service not in absent:
            _say(f"{service.name} already runs on port {service.port}; using it.")
            if refusal := service.make.refuses_at(service.port):
                _say(f"It rejects the settings of the ini file: {refusal}")
    if not absent:
        _say("There is nothing to start.")
        return 0
    with ExitStack() as stack:
        try:
            servers = [stack.enter_context(closing(_start(service))) for service in absent]
            _say("Press Ctrl-C to stop them; their data is discarded.")
            while all(server.alive for server in servers):
                time.sleep(LOOK_EVERY)
        except KeyboardInterrupt:
            _say("Ended.")
            return 0
    raise CommandError("A server exited by itself; the others were stopped.")


def _services(settings: Mapping[str, Any]) -> Iterator[Service]:
    specs = f"{settings['tweeter.lab.backends']} {settings['tweeter.timelines']} {settings['tweeter.timelines.shadow']}"
    for spec in dict.fromkeys(specs.split()):
        module = load("tweeter.lab.backends", spec, BACKENDS)
        if (found := expected(module.__name__, with_declared(settings, module))) and found.ours:
            yield Service(spec.rpartition(".")[2], found.kind, found.port)


def _package(service: Service) -> str:
    """The missing Debian package; empty if none is missing."""
    try:
        service.make().close()
    except NotInstalled as error:
        return error.package
    return ""


def _start(service: Service) -> Any:
    server = service.make()
    server.port = service.port
    try:
        server.start()
    except RuntimeError as error:
        server.close()
        raise CommandError(
            f"{service.name} does not start on port {service.port}; is the port in use? {error}"
        ) from error
    _say(f"{service.name} runs on {HOST}:{service.port}.")
    return server


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
