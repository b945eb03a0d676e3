"""Settings: the ini file, overridden by the command line, overridden by the environment.

    pserve development.ini tweeter.timelines=memory
    TWEETER_TIMELINES=memory pserve development.ini

A setting's environment variable is its name in capitals with `_` for `.` and `-`: TWEETER_TIMELINES, SQLALCHEMY_URL.
NAME_FILE names a file that holds the value, for secrets. The same rule serves the site, Alembic and the commands.
"""

import difflib
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pyramid.settings import asbool

from tweeter.errors import SettingError
from tweeter.plugins import declared_settings

log = logging.getLogger(__name__)

# Kubernetes sets the others for a service that is called `tweeter` or `tweeter-redis`.
_VARIABLE = re.compile(r"TWEETER_(?!.*(SERVICE|PORT)(_|$)).*")

PLACEHOLDER = "change-me"


class Setting(NamedTuple):
    """One line of the table below: its kind, its default, the least value of a number."""

    kind: type
    default: Any
    least: int = 0
    help: str = ""


KNOWN = {
    "sqlalchemy.url": Setting(str, None, help="a database URL such as sqlite:///tweeter.sqlite"),
    "tweeter.sql_timeout_ms": Setting(int, 5000, 0, "milliseconds a statement on PostgreSQL may take; 0: no limit"),
    "tweeter.timelines": Setting(str, "sql", help="the backend: its name in tweeter.backends, or a dotted name"),
    "tweeter.timelines.shadow": Setting(str, "", help="backends that are kept up to date without answering pages"),
    "tweeter.delivery": Setting(str, "inline", help="how events reach the stores: as for the backend"),
    "tweeter.secret": Setting(str, None, help="a long random text that signs cookies"),
    "tweeter.secure_cookies": Setting(bool, True, help="send cookies over https only"),
    "tweeter.production": Setting(bool, True, help="refuse the placeholder secret; hide the demo account"),
    "tweeter.demo_account": Setting(str, "", help="'name password' shown on the login page, in development only"),
    "tweeter.capacity": Setting(int, 800, 1, "ids a materialised timeline keeps"),
    "tweeter.message_limit": Setting(int, 140, 1, "characters of a message, as a person counts them"),
    "tweeter.max_body": Setting(int, 65536, 1024, "bytes a request may carry"),
    "tweeter.session_days": Setting(int, 30, 1, "days one stays signed in without coming back"),
    "tweeter.limits.sign_in": Setting(str, "10/minute", help="wrong passwords for a name from one address"),
    "tweeter.limits.sign_in_name": Setting(str, "30/minute", help="wrong passwords for a name from everywhere"),
    "tweeter.limits.sign_in_address": Setting(str, "50/10 minutes", help="names that one address tries in vain"),
    "tweeter.limits.sign_up": Setting(str, "50/hour", help="sign-ups from one address"),
    "tweeter.limits.post": Setting(str, "500/hour", help="tweets of an account"),
    "tweeter.limits.follow": Setting(str, "500/hour", help="follows and unfollows of an account"),
    "tweeter.limits.delete": Setting(str, "500/hour", help="tweets that an account deletes"),
    "tweeter.limits.settings": Setting(str, "100/hour", help="changes of an account's settings"),
    "tweeter.limits.export": Setting(str, "20/hour", help="downloads of everything of an account"),
    "tweeter.limits.search": Setting(str, "60/minute", help="searches of an account, or of an address"),
    "tweeter.limits.storage": Setting(str, "", help="the backend that counts; empty: that of the timelines"),
    "tweeter.allowed_hosts": Setting(str, "", help="names the site goes by, such as example.org; empty: any"),
    "tweeter.metrics": Setting(str, "", help="networks that may read /metrics; none: there is no such page"),
    "tweeter.argon2.time_cost": Setting(int, 3, 1, "rounds of the password hash"),
    "tweeter.argon2.memory_kib": Setting(int, 65536, 8, "memory of the password hash"),
    "tweeter.argon2.at_once": Setting(int, 0, 0, "password hashes at a time; 0: one for every two processors"),
    "tweeter.lab": Setting(bool, False, help="the page /lab, where backends are compared, switched and broken"),
    "tweeter.lab.hosts": Setting(str, "127.0.0.1 ::1", help="networks that may use the lab"),
    "tweeter.lab.backends": Setting(str, "sql memory redis memcached", help="the backends that the lab compares"),
    "tweeter.outbox.keep_hours": Setting(int, 24, 1, "hours that delivered events are kept"),
}

# Those that name modules, which may have settings of their own.
NAMING_MODULES = (
    "tweeter.timelines",
    "tweeter.timelines.shadow",
    "tweeter.delivery",
    "tweeter.limits.storage",
    "tweeter.lab.backends",
)


def merge(ini: Mapping[str, str], command_line: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings an application starts with.

    Names are checked: `tweeter.timeline` is refused with a hint, and so are `tweeter.redis.ulr` and TWEETER_SECRTE.
    Settings of a backend have a part of their own (`tweeter.redis.url`). It declares them in SETTINGS, and reads them
    with `setting`.

    Raises SettingError.
    """
    merged: dict[str, Any] = dict(ini)
    merged |= {key: value for key, value in command_line.items() if key.startswith(("tweeter.", "sqlalchemy."))}
    for key in {*merged, *KNOWN}:
        if key.startswith(("tweeter.", "sqlalchemy.")):
            value = _from_environment(key, environ)
            if value is not None:
                merged[key] = value
    check_names(merged, environ)
    for key in KNOWN:
        merged[key] = _parse(merged, key, KNOWN[key])
    return merged


def check_names(settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Raises SettingError for a name of ours that nobody declares.

    What may belong to another backend, one that is not in use, is left alone; so are variables that are no slips.
    """
    ours = {key for key in settings if key.startswith("tweeter.")} - KNOWN.keys()
    known = {variable(key) for key in (*KNOWN, *ours)}
    variables = {
        name
        for name, value in environ.items()
        if value and _VARIABLE.fullmatch(name) and known.isdisjoint((name, name.removesuffix("_FILE")))
    }
    if not ours and not variables:
        return  # the backends, and what they import, are not needed to tell
    named = " ".join(str(settings.get(key) or KNOWN[key].default) for key in NAMING_MODULES)
    declared = {*KNOWN, *declared_settings("tweeter.backends", named.split())}
    parts = {key.split(".")[1] for key in declared}
    for key in sorted(ours - declared):
        part = key.split(".")[1]
        same = sorted(name for name in declared if part in parts and name.startswith(f"tweeter.{part}"))
        if key.count(".") > 1 and part not in parts and not _closest(part, parts, "", 0.7):
            log.warning("no backend in use has a setting %s", key)
        elif close := _closest(key, declared, "tweeter.", 0.6):
            raise SettingError(f"there is no setting {key}; did you mean {close}?")
        else:
            raise SettingError(f"there is no setting {key}; known are {', '.join(same or sorted(KNOWN))}")
    for name in sorted(variables - {variable(key) for key in declared}):
        if close := _closest(name.removesuffix("_FILE"), map(variable, declared), "TWEETER_", 0.8):
            raise SettingError(f"there is no setting for the variable {name}; did you mean {close}?")


def _closest(name: str, names: Iterable[str], prefix: str, cutoff: float) -> str:
    """The name that is most alike, without what all have in common; empty if none is."""
    rests = {known.removeprefix(prefix): known for known in names}
    close = difflib.get_close_matches(name.removeprefix(prefix), rests, 1, cutoff)
    return rests[close[0]] if close else ""


def setting(settings: Mapping[str, Any], key: str, kind: type, default: Any = None, least: int = 0) -> Any:
    """The value of a setting that a backend brings, with its kind: int, bool or str. The environment wins here too.

        setting(settings, "tweeter.memory.tweets", int, 100_000, least=1)

    Raises SettingError for a value of another kind, a number below `least`, and for a missing value
    where `default` is None.
    """
    value = _from_environment(key, os.environ)
    return _parse(settings if value is None else {key: value}, key, Setting(kind, default, least))


def _parse(settings: Mapping[str, Any], key: str, known: Setting) -> Any:
    value = settings.get(key)
    if value is None or value == "":
        if known.default is None:
            hint = f" ({known.help})" if known.help else ""
            raise SettingError(f"{key} must be set{hint}: in the ini file, or as {variable(key)} in the environment")
        return known.default
    if known.kind is bool:
        return _boolean(key, value)
    if known.kind is int:
        return _number(key, value, known.least)
    return str(value)


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return key.replace(".", "_").replace("-", "_").upper()


def _from_environment(key: str, environ: Mapping[str, str]) -> str | None:
    name = variable(key)
    if value := environ.get(name):  # an empty variable is none: that is how compose files leave them
        return value
    if path := environ.get(name + "_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{name}_FILE: {error}") from error
    return None


def _boolean(key: str, value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise SettingError(f"{key} must be true or false, not {value!r}")
    return bool(asbool(value))


def _number(key: str, value: Any, least: int) -> int:
    try:
        number = int(value)
    except ValueError:
        raise SettingError(f"{key} must be a whole number, not {value!r}") from None
    if number < least:
        raise SettingError(f"{key} must be at least {least}, not {number}")
    return number


def check_secret(settings: Mapping[str, Any]) -> None:
    """Refuses to start a production site with a secret that anybody could know.

    Raises SettingError.
    """
    secret = settings["tweeter.secret"]
    if settings["tweeter.production"] and (secret.startswith(PLACEHOLDER) or len(secret) < 32):
        raise SettingError(
            "tweeter.secret must be a random text of at least 32 characters in production: "
            "set TWEETER_SECRET, or TWEETER_SECRET_FILE to a file that holds it"
        )


def read_ini(path: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The merged settings of an ini file's application, for whoever has no application (Alembic, the commands)."""
    from pyramid.paster import get_appsettings

    return merge(get_appsettings(path), {}, os.environ if environ is None else environ)
