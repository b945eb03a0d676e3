"""Settings: the ini file, overridden by the command line, overridden by the environment.

    pserve development.ini tweeter.timelines=memory
    TWEETER_TIMELINES=memory pserve development.ini

A setting's environment variable is its name in capitals with `_` for `.` and `-`: TWEETER_TIMELINES, SQLALCHEMY_URL.
NAME_FILE names a file that contains the value, for secrets. The site, Alembic and the commands read settings alike.
"""

import difflib
import logging
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tweeter.declarations import Setting, from_environment, from_file, parse, setting, variable
from tweeter.errors import SettingError
from tweeter.plugins import declared_settings, modules_of

__all__ = ["KNOWN", "Setting", "check_names", "check_secret", "merge", "read_ini", "setting", "variable"]

log = logging.getLogger(__name__)

# Kubernetes sets variables with SERVICE or PORT for a service named `tweeter` or `tweeter-redis`.
_VARIABLE = re.compile(r"TWEETER_(?!.*(SERVICE|PORT)(_|$)).*")

PLACEHOLDER = "change-me"


KNOWN = {
    "sqlalchemy.url": Setting(str, None, help="URL of the database. Example: sqlite:///tweeter.sqlite."),
    "sqlalchemy.replica_urls": Setting(
        str, "", help="URLs of replicas of PostgreSQL that serve reads, separated by spaces."
    ),
    "tweeter.replica_lag_ms": Setting(
        int, 1000, 1, "Milliseconds that a replica may lag behind the commits; beyond that it serves no reads.", 10_000
    ),
    "tweeter.sql_timeout_ms": Setting(
        int, 5000, help="Milliseconds until PostgreSQL cancels a statement; 0: no limit."
    ),
    "tweeter.timelines": Setting(str, "sql", help="The backend that serves the timelines: a built-in or dotted name."),
    "tweeter.timelines.kinds": Setting(str, "", help="Modules with further timeline kinds, separated by spaces."),
    "tweeter.timelines.shadow": Setting(str, "", help="Backends that receive all deliveries but serve no pages."),
    "tweeter.delivery": Setting(
        str, "inline", help="How events reach the stores: inline, relay, celery, or a dotted name."
    ),
    "tweeter.secret": Setting(str, None, help="Key that signs cookies: a random text.", secret=True),
    "tweeter.secret_file": Setting(str, "", help="File that contains tweeter.secret; it replaces that setting."),
    "tweeter.secure_cookies": Setting(bool, True, help="Send cookies over https only."),
    "tweeter.production": Setting(bool, True, help="Refuse weak secrets and the lab; hide the demo account."),
    "tweeter.demo_account": Setting(str, "", help="'name password' shown at login in development.", secret=True),
    "tweeter.capacity": Setting(int, 800, 1, "Tweet ids that a materialized timeline keeps."),
    "tweeter.celebrity_followers": Setting(
        int, 0, help="Followers from which an author's tweets are merged at read instead of pushed; 0: never."
    ),
    "tweeter.message_limit": Setting(int, 140, 1, "Characters of a message (grapheme clusters)."),
    "tweeter.max_body": Setting(int, 65536, 1024, "Bytes of a request body."),
    "tweeter.compression": Setting(
        str, "gzip br", help="Codings of compressed pages, the preferred first; none: a proxy compresses."
    ),
    "tweeter.session_days": Setting(int, 30, 1, "Days until an unused session ends."),
    "tweeter.limits.sign_in": Setting(str, "10/minute", help="Wrong passwords for one name from one address."),
    "tweeter.limits.sign_in_name": Setting(str, "30/minute", help="Wrong passwords for one name from all addresses."),
    "tweeter.limits.sign_in_address": Setting(
        str, "50/10 minutes", help="Names with wrong passwords from one address."
    ),
    "tweeter.limits.sign_up": Setting(str, "50/hour", help="Sign-ups from one address."),
    "tweeter.limits.app": Setting(str, "50/hour", help="Applications registered from one address."),
    "tweeter.limits.post": Setting(str, "500/hour", help="Tweets of one account."),
    "tweeter.limits.follow": Setting(str, "500/hour", help="Follows and unfollows of one account."),
    "tweeter.limits.act": Setting(str, "2000/hour", help="Reposts and likes of one account, and their undos."),
    "tweeter.limits.delete": Setting(str, "500/hour", help="Deletes of one account."),
    "tweeter.limits.settings": Setting(str, "100/hour", help="Changes of one account's settings."),
    "tweeter.limits.export": Setting(str, "20/hour", help="Exports of one account."),
    "tweeter.limits.search": Setting(str, "60/minute", help="Searches of one account, or of one address."),
    "tweeter.limits.storage": Setting(
        str, "", help="The backend that counts for the limits; empty: tweeter.timelines."
    ),
    "tweeter.allowed_hosts": Setting(
        str, "", help="Host names that the site accepts (example: example.org); empty: any."
    ),
    "tweeter.api": Setting(bool, True, help="Serve Mastodon's client API, for phone and terminal clients."),
    "tweeter.api.direct_login": Setting(
        bool, False, help="Let applications send a user's name and password instead of asking for consent."
    ),
    "tweeter.pushpin": Setting(
        str,
        "",
        help="Addresses at which Pushpins accept events (push_in_sub_specs), separated by spaces; empty: no streams. "
        "Example: tcp://127.0.0.1:5562.",
    ),
    "tweeter.pushpin.key": Setting(
        str, "", help="The sig_key of Pushpin, which signs the requests that it forwards.", secret=True
    ),
    "tweeter.metrics": Setting(str, "", help="Networks that may read /metrics; empty: the page does not exist."),
    "tweeter.argon2.time_cost": Setting(int, 3, 1, "Rounds of a password hash."),
    "tweeter.argon2.memory_kib": Setting(int, 65536, 8, "KiB of memory of a password hash."),
    "tweeter.argon2.at_once": Setting(int, 0, help="Passwords hashed at the same time; 0: one per two CPUs."),
    "tweeter.lab": Setting(bool, False, help="Serve /lab, which compares, switches and breaks backends."),
    "tweeter.lab.hosts": Setting(str, "127.0.0.1 ::1", help="Networks that may use the lab."),
    "tweeter.lab.backends": Setting(str, "sql memory redis memcached", help="Backends that the lab compares."),
    "tweeter.notifications.keep_days": Setting(int, 90, 1, "Days until notifications are removed.", 3650),
    "tweeter.outbox.keep_hours": Setting(int, 24, 1, "Hours until delivered events are removed."),
}

# Settings that name modules; these modules may declare settings.
NAMING_MODULES = (
    "tweeter.timelines",
    "tweeter.timelines.kinds",
    "tweeter.timelines.shadow",
    "tweeter.delivery",
    "tweeter.limits.storage",
    "tweeter.lab.backends",
)


def merge(ini: Mapping[str, str], command_line: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings of an application. Raises SettingError for invalid values and unknown names (`check_names`).

    Settings of a backend (`tweeter.redis.url`) remain text. They are parsed when its module is loaded, because a
    command may run where the backend is not installed: see `tweeter.plugins`.
    """
    merged: dict[str, Any] = dict(ini)
    merged |= {
        key: value for key, value in command_line.items() if key.startswith(("tweeter.", "sqlalchemy.", "pyramid."))
    }
    for key in {*merged, *KNOWN}:
        if key.startswith(("tweeter.", "sqlalchemy.")):
            found = from_environment(key, environ)
            if found is not None:
                merged[key] = found[0]
    if (path := merged.get("tweeter.secret_file")) and not environ.get("TWEETER_SECRET"):
        merged["tweeter.secret"] = from_file("tweeter.secret_file", path)
    check_names(merged, environ)
    for key in KNOWN:
        merged[key] = parse(merged, key, KNOWN[key])
    return merged


def check_names(settings: Mapping[str, Any], environ: Mapping[str, str]) -> None:
    """Raises SettingError for an undeclared name that begins with `tweeter.`, such as `tweeter.redis.ulr`.

    A setting that may belong to a third-party backend that is not in use only gets a log line. An undeclared variable
    is an error only if it resembles a declared one (TWEETER_SECRTE).
    """
    ours = {key for key in settings if key.startswith("tweeter.")} - KNOWN.keys()
    known = {variable(key) for key in (*KNOWN, *ours)}
    variables = {
        name
        for name, value in environ.items()
        if value and _VARIABLE.fullmatch(name) and known.isdisjoint((name, name.removesuffix("_FILE")))
    }
    if not ours and not variables:
        return  # without importing the backends
    named = " ".join(str(settings.get(key) or KNOWN[key].default) for key in NAMING_MODULES)
    third_party = (spec for spec in named.split() if "." in spec)
    own = [*modules_of("tweeter.backends"), *modules_of("tweeter.delivery")]
    declared = {*KNOWN, *declared_settings([*own, *third_party])}
    parts = {key.split(".")[1] for key in declared}
    for key in sorted(ours - declared):
        part = key.split(".")[1]
        same = sorted(name for name in declared if part in parts and name.startswith(f"tweeter.{part}"))
        if key.count(".") > 1 and part not in parts and not _closest(part, parts, "", 0.7):
            log.warning("no backend in use declares the setting %s", key)
        elif close := _closest(key, declared, "tweeter.", 0.6):
            raise SettingError(f"unknown setting {key}; did you mean {close}?")
        else:
            raise SettingError(f"unknown setting {key}; known settings: {', '.join(same or sorted(KNOWN))}")
    for name in sorted(variables - {variable(key) for key in declared}):
        if close := _closest(name.removesuffix("_FILE"), map(variable, declared), "TWEETER_", 0.8):
            raise SettingError(f"unknown environment variable {name}; did you mean {close}?")


def _closest(name: str, names: Iterable[str], prefix: str, cutoff: float) -> str:
    """The most similar name, compared without the common prefix; empty if none is similar."""
    rests = {known.removeprefix(prefix): known for known in names}
    close = difflib.get_close_matches(name.removeprefix(prefix), rests, 1, cutoff)
    return rests[close[0]] if close else ""


def check_secret(settings: Mapping[str, Any]) -> None:
    """Raises SettingError for a weak secret in production."""
    secret = settings["tweeter.secret"]
    if settings["tweeter.production"] and (secret.startswith(PLACEHOLDER) or len(secret) < 32):
        raise SettingError(
            "tweeter.secret must be a random text of at least 32 characters in production: "
            "set TWEETER_SECRET, or tweeter.secret_file (TWEETER_SECRET_FILE) to a file that contains it"
        )


def read_ini(path: str, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The merged settings of an ini file, for callers without an application (Alembic, the commands)."""
    from pyramid.paster import get_appsettings

    return merge(get_appsettings(path), {}, os.environ if environ is None else environ)
