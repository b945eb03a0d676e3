"""`tweeter settings`: every setting of a site with its value, its origin and its meaning."""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pyramid.paster import get_appsettings

from tweeter.console.commands import add_ini, read_settings
from tweeter.db.options import KINDS, PREFIX, REPLICA_URLS, engine_of, replica_engines
from tweeter.db.replicas import PATIENCE
from tweeter.declarations import Setting, from_environment, parse
from tweeter.masking import MASK, is_secret, mask
from tweeter.plugins import declarations, declared_settings, load, modules_of
from tweeter.settings import KNOWN, NAMING_MODULES
from tweeter.timelines import BACKENDS
from tweeter.web import ratelimits
from tweeter.web.clients import parse_hosts, parse_networks

OPTION = Setting(str, "", help="An option of SQLAlchemy's create_engine.")
UNUSED = Setting(str, "", help="No backend in use declares it.")


class Row(NamedTuple):
    """One setting. `source` is the ini file or the variable; None for a default. Secrets are masked.

    `changed` says whether the value differs from the default.
    """

    name: str
    value: Any
    default: Any
    changed: bool
    origin: str
    source: str | None
    meaning: str


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "settings",
        help="print every setting with its value, origin and meaning",
        description="""Prints every setting of the site and of the backends that it loads: the value, where it comes
        from (default, ini file, environment variable), the default and the meaning. Secrets are masked.""",
    )
    add_ini(parser)
    parser.add_argument("--changed", action="store_true", help="only settings whose value is not the default")
    parser.add_argument("--json", action="store_true", help="print a JSON list of objects")


def run(args: argparse.Namespace) -> int:
    merged = read_settings(args.ini)
    _check(merged)
    rows = list(_rows(args.ini, merged, get_appsettings(args.ini), os.environ))
    if args.changed:
        rows = [row for row in rows if row.changed]
    if args.json:
        print(json.dumps([row._asdict() for row in rows], indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        source = row.origin if row.source is None else f"{row.origin}: {row.source}"
        default = f"; {_shown_default(row.default)}" if row.changed else ""
        print(f"{row.name} = {_shown(row.value)}".rstrip(), f"  ({source}{default})", f"\n    {row.meaning}", sep="")
    return 0


def _rows(path: str, merged: Mapping[str, Any], ini: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[Row]:
    for key, declared in _declared(merged, environ).items():
        found = from_environment(key, environ)
        text, origin, source = (
            (found[0], "environment", found[1]) if found
            else (merged[key], "file", merged[f"{key}_file"]) if merged.get(f"{key}_file")
            else (ini[key], "ini file", path) if ini.get(key, "") != ""
            else (declared.default, "default", None)
        )  # fmt: skip
        value = parse({key: text}, key, declared)
        if declared.kind not in (int, bool, str):
            value = text  # in the syntax of the ini file
        yield Row(
            key,
            _masked(key, value, declared),
            _masked(key, declared.default, declared),
            value != declared.default,
            origin,
            source,
            declared.help or "Its backend declares no meaning.",
        )


def _declared(merged: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Setting]:
    """The site's settings, those of the modules that it loads, and all others that are set."""
    declared = dict(KNOWN)
    options = {PREFIX + name for name in KINDS if from_environment(PREFIX + name, environ)}
    declared |= {key: OPTION for key in sorted({*merged, *options} - KNOWN.keys()) if key.startswith(PREFIX)}
    for key in NAMING_MODULES:
        if key != "tweeter.lab.backends" or merged["tweeter.lab"]:
            package = "tweeter.delivery" if key == "tweeter.delivery" else BACKENDS
            for spec in str(merged[key]).split():
                declared |= declarations(load(key, spec, package))
    unused = {key for key in merged if key.startswith("tweeter.")} - declared.keys()
    known = declared_settings(modules_of(BACKENDS)) if unused else {}
    return declared | {key: known.get(key, UNUSED) for key in sorted(unused)}


def _masked(key: str, value: Any, declared: Setting) -> Any:
    if not isinstance(value, str) or value == "":
        return value
    if declared.secret or is_secret(key):
        return MASK
    return " ".join(map(mask, value.split())) if key == REPLICA_URLS else mask(value)


def _check(settings: Mapping[str, Any]) -> None:
    """Raises SettingError for values that the parts of the site parse when it starts."""
    for engine in (engine_of(settings), *replica_engines(settings, PATIENCE)):
        engine.dispose()
    parse_hosts(settings["tweeter.allowed_hosts"])
    for key in ("tweeter.metrics", "tweeter.lab.hosts"):
        parse_networks(settings[key], key)
    for name in ratelimits.NAMES:
        ratelimits.parse(name, settings[ratelimits.PREFIX + name])


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown_default(default: Any) -> str:
    return "no default" if default is None else f"default: {_shown(default) or 'empty'}"
