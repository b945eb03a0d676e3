"""Writes docs/reference/ from the code, and the lab's reference.json from docs/results/bench.json: `make docs`.

A test compares the files with the results of `pages()` and `lab_reference()`.
"""

import argparse
import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any, get_args, get_type_hints

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from pyramid.registry import Registry
from zope.interface.interface import InterfaceClass, Method

import tweeter
from tweeter import cli, interfaces, values
from tweeter.db.options import KINDS
from tweeter.declarations import Setting
from tweeter.outbox import encode
from tweeter.plugins import declarations, modules_of
from tweeter.settings import KNOWN

ROOT = Path(tweeter.__file__).parent
FOLDER = Path(__file__).parent / "reference"
REFERENCE = ROOT / "lab" / "reference.json"
NOTE = "<!-- Generated from the code by `make docs`. Do not edit. -->"
SETTINGS = {
    "sqlalchemy.url": "sqlite://", "tweeter.secret": "not needed", "tweeter.production": "false",
    "tweeter.lab": "true", "tweeter.lab.backends": "sql memory",
}  # fmt: skip


def pages() -> dict[str, str]:
    """The text of each page by the name of its file."""
    makers: tuple[Callable[[], Iterable[str]], ...] = (
        settings, directives, interface_pages, events, metrics, commands, modules,
    )  # fmt: skip
    return {
        f"{maker.__name__.removesuffix('_pages').removesuffix('s')}s.md": "\n\n".join([NOTE, *maker()]) + "\n"
        for maker in makers
    }


def settings() -> Iterator[str]:
    yield "# Settings"
    yield (
        "The ini file sets them in `[app:main]`. The command line overrides the ini file, and the environment "
        "overrides both: `TWEETER_CAPACITY` is the variable of `tweeter.capacity`, and `TWEETER_SECRET_FILE` names a "
        "file with the value of `tweeter.secret`. `tweeter settings INI` prints the values of a site. "
        "[In production](../how-to/production.md) explains the limits of the server (`[server:main]`)."
    )
    yield "## The site"
    yield _settings(KNOWN)
    for name in [*modules_of("tweeter.backends"), *modules_of("tweeter.delivery")]:
        if declared := declarations(import_module(name)):
            yield f"## `{name.removeprefix('tweeter.')}`"
            yield _settings(declared)
    yield "## SQLAlchemy"
    yield (
        "Every other `sqlalchemy.NAME` is the option NAME of SQLAlchemy's `create_engine`. These are not strings: "
        + ", ".join(f"`{name}` ({kind.__name__})" for name, kind in sorted(KINDS.items()))
        + "."
    )


def _settings(declared: dict[str, Setting]) -> str:
    return _table(
        ("setting", "type", "default", "bounds", "meaning"),
        (
            (
                f"`{name}`",
                each.kind.__name__ if each.kind in (int, bool) else "str",
                "required" if each.default is None else _code(_lower(each.default)),
                _bounds(each),
                each.help + (" Secret." if each.secret else ""),
            )
            for name, each in declared.items()
        ),
    )


def _lower(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _bounds(declared: Setting) -> str:
    if declared.kind is not int:
        return ""
    return f"≥ {declared.least}" if declared.most is None else f"{declared.least} to {declared.most}"


def directives() -> Iterator[str]:
    registry = _registry()
    yield "# Directives"
    yield (
        "What a module can call on Pyramid's `config` in its `includeme`. A module that a setting names may also "
        "define `SETTINGS` and `limits_storage`: see [Extending Tweeter](../extending.md)."
    )
    # The lab overrides a directive; without it modules call the original.
    found = {**registry._directives, **_registry(**{"tweeter.lab": "false"})._directives}
    for name, (directive, _) in sorted(found.items()):
        if directive.__module__.startswith("tweeter"):
            yield f"## `config.{name}`"
            yield f"```python\nconfig.{name}({_arguments(directive)})\n```"
            yield _sentence(_prose(directive).removeprefix("Directive: "))
    yield "## Attributes of the request"
    rows = []
    for item in registry.introspector.get_category("request extensions"):
        extension = item["introspectable"]
        if ROOT in Path(extension.action_info.file).parents:
            called = extension["callable"]
            arguments = "" if extension["property"] else f"({_arguments(called)})"
            rows.append((f"`request.{extension.discriminator}{arguments}`", _line(_prose(called))))
    yield _table(("attribute", "meaning"), sorted(rows))


def _registry(**more: str) -> Registry:
    """The registry of an application in which nothing runs."""
    return tweeter.main({"__script__": "proutes"}, **(SETTINGS | more)).registry


def _arguments(function: FunctionType) -> str:
    """The arguments of a function as its source has them, without the first (config or request)."""
    node: Any = ast.parse(inspect.getsource(function)).body[0]
    del node.args.args[0]
    return ast.unparse(node.args)


def interface_pages() -> Iterator[str]:
    yield "# Interfaces"
    yield _prose(interfaces)
    for interface in vars(interfaces).values():
        if isinstance(interface, InterfaceClass) and interface.__module__.startswith(interfaces.__name__):
            yield f"## {interface.__name__}"
            own = (base for base in interface.__bases__ if base.__module__.startswith(interfaces.__name__))
            if bases := [base.__name__ for base in own]:
                yield f"Extends {', '.join(f'[{base}](#{base.lower()})' for base in bases)}."
            yield _prose(interface)
            yield _table(
                ("name", "meaning"),
                ((_member(interface[name]), _line(_prose(interface[name]))) for name in interface.names()),
            )


def _member(member: Any) -> str:
    return f"`{member.__name__}{member.getSignatureString()}`" if isinstance(member, Method) else f"`{member.__name__}`"


def events() -> Iterator[str]:
    yield "# Events"
    yield (
        "Each change that affects timelines is recorded as a row of the table `outbox`, in the transaction of the "
        "change. The column `payload` contains one of these events as JSON:"
    )
    yield f"```json\n{encode(values.TweetCreated(tweet_id=42, user_id=7))}\n```"
    yield _table(
        ("`type`", "fields", "meaning"),
        (
            (
                f"`{event.__name__}`",
                ", ".join(f"`{name}: {_type(kind)}`" for name, kind in get_type_hints(event).items()),
                _line(vars(event)["__doc__"] or ""),
            )
            for event in get_args(values.AnyEvent)
        ),
    )


def _type(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def metrics() -> Iterator[str]:
    _registry()
    yield "# Metrics"
    yield (
        "`GET /metrics` serves them in the format of Prometheus to the networks in `tweeter.metrics`. The label "
        "`backend` is the last part of the backend's dotted name. A histogram also has `_bucket`, `_count` and `_sum`."
    )
    found = {each for each in REGISTRY._names_to_collectors.values() if isinstance(each, MetricWrapperBase)}
    rows = []
    for metric in found:
        [described] = metric.describe()
        name = described.name + ("_total" if described.type == "counter" else "")
        if name.startswith("tweeter_"):
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append((f"`{name}`", described.type, labels, described.documentation.rstrip(".") + "."))
    yield _table(("metric", "type", "labels", "meaning"), sorted(rows))


def commands() -> Iterator[str]:
    yield "# Commands"
    yield (
        "`tweeter COMMAND --help` prints the same. INI is the site's ini file. Exit codes: 0 success, 1 failure "
        "or a difference that was found, 2 wrong usage, 130 interrupted."
    )
    yield from _commands("tweeter", cli._parser(*cli.COMMANDS), 1)


def _commands(name: str, parser: argparse.ArgumentParser, depth: int, purpose: str = "") -> Iterator[str]:
    """The section of a command, and those of its subcommands. `purpose` stands in for a missing description."""
    usage, rows, nested = [name], [], []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            nested = [(each.dest, action.choices[each.dest], each.help or "") for each in action._choices_actions]
        elif not isinstance(action, argparse._HelpAction | argparse._VersionAction):
            word = _word(action)
            usage.append(word if action.required else f"[{word}]")
            rows.append((f"`{word}`", _line(str(action.help or "") % {"default": action.default, "prog": name})))
    if depth > 1:
        yield f"{'#' * depth} `{name}`"
        yield inspect.cleandoc(parser.description or _sentence(purpose) + ".")
    if rows:
        yield f"```text\n{textwrap.fill(' '.join(usage), 100, subsequent_indent='    ')}\n```"
        yield _table(("argument", "meaning"), rows)
    for word, sub, what in nested:
        yield from _commands(f"{name} {word}", sub, depth + 1, what)


def _word(action: argparse.Action) -> str:
    """An argument as the usage line shows it."""
    metavar = action.metavar if action.metavar is not None else action.dest.upper()
    value = str(metavar) if action.nargs not in ("*", "+") else f"{metavar}…"
    if not action.option_strings:
        return value
    return action.option_strings[-1] if action.nargs == 0 else f"{action.option_strings[-1]} {value}"


def modules() -> Iterator[str]:
    yield "# Modules"
    yield "Each package with its modules. [How Tweeter works](../architecture.md) explains the parts."
    for package in sorted(path.parent for path in ROOT.rglob("__init__.py")):
        yield f"## `{'.'.join(package.relative_to(ROOT.parent).parts)}`"
        yield _first(package / "__init__.py")
        paths = [path for path in sorted(package.glob("*.py")) if not path.stem.startswith("__")]
        if paths:
            yield _table(("module", "purpose"), ((f"`{path.stem}`", _first(path)) for path in paths))


def _first(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return _line(text.partition("\n\n")[0])


def _prose(thing: Any) -> str:
    return inspect.cleandoc(thing.__doc__ or "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _line(text: str) -> str:
    """A text on one line, for the cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def _code(value: Any) -> str:
    return f"`{value}`" if value != "" else "empty"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lab_reference() -> str:
    """What the lab needs of docs/results/bench.json: the home page of each backend, by the number of followees."""
    result = json.loads((FOLDER.parent / "results" / "bench.json").read_text(encoding="utf-8"))
    lines: dict[str, list[tuple[int, float]]] = {}
    for point in result["measurements"]:
        if point["series"] == "followees" and point["measure"] == "home":
            lines.setdefault(point["backend"], []).append((point["x"], round(point["times"]["median"] * 1000, 3)))
    machine = f"{result['machine']['cpus']} CPUs, PostgreSQL {result['servers']['postgresql']}"
    content = {"date": result["created"][:10], "machine": machine, "home_ms": {k: sorted(v) for k, v in lines.items()}}
    return json.dumps(content, indent=1) + "\n"


if __name__ == "__main__":
    REFERENCE.write_text(lab_reference(), encoding="utf-8")
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{FOLDER.name}/{name}", file=sys.stderr)
