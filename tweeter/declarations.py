"""Declarations of settings: type, default and meaning, and how text becomes a value."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pyramid.settings import asbool

from tweeter.errors import SettingError


class Setting(NamedTuple):
    """The declaration of one setting.

    `kind` is int, bool, str, or a function that parses the text and raises ValueError or SettingError. A setting
    whose default is None must be set. `least` and `most` bound a number. The value of a `secret` is never printed.
    """

    kind: Callable[[Any], Any]
    default: Any
    least: int = 0
    help: str = ""
    most: int | None = None
    secret: bool = False


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return key.replace(".", "_").replace("-", "_").upper()


def from_environment(key: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The value of a setting's variable, or of the file that NAME_FILE names, and the name of the variable.

    Raises SettingError for a file that can't be read.
    """
    name = variable(key)
    if value := environ.get(name):  # compose files set unset variables to empty texts
        return value, name
    if path := environ.get(name := f"{name}_FILE"):
        return from_file(name, path), name
    return None


def from_file(name: str, path: str) -> str:
    """The text of the file that `name` names. Raises SettingError."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}: {error}") from error


def setting(
    settings: Mapping[str, Any], key: str, kind: Callable[[Any], Any], default: Any = None, least: int = 0
) -> Any:
    """The value of one setting of the given kind. The environment overrides the settings.

        setting(settings, "tweeter.cabinet.drawers", int, 4, least=1)

    Raises SettingError for a value of another kind, a number below `least`, and for a missing value
    where `default` is None.
    """
    return read(settings, key, Setting(kind, default, least))


def read(settings: Mapping[str, Any], key: str, declared: Setting) -> Any:
    """The value of a declared setting. The environment overrides the settings. Raises SettingError."""
    found = from_environment(key, os.environ)
    return parse(settings if found is None else {key: found[0]}, key, declared)


def parse(settings: Mapping[str, Any], key: str, declared: Setting) -> Any:
    """The value of a declared setting in these settings. A value that was parsed before stays the same.

    Raises SettingError.
    """
    value = settings.get(key)
    if value is None or value == "":
        value = declared.default
        if value is None:
            hint = f" ({declared.help.rstrip('.')})" if declared.help else ""
            raise SettingError(f"{key} must be set{hint}: in the ini file, or as {variable(key)} in the environment")
        if value == "":
            return value
    if declared.kind is bool:
        return _boolean(key, value)
    if declared.kind is int:
        return _number(key, value, declared)
    if declared.kind is str:
        return str(value)
    try:
        return declared.kind(value) if isinstance(value, str) else value
    except ValueError as error:
        raise SettingError(f"{key}: {error}") from error


def _boolean(key: str, value: Any) -> bool:
    if isinstance(value, str) and value.strip().lower() not in {"true", "yes", "on", "1", "false", "no", "off", "0"}:
        raise SettingError(f"{key} must be true or false, not {value!r}")
    return bool(asbool(value))


def _number(key: str, value: Any, declared: Setting) -> int:
    try:
        number = int(value)
    except ValueError:
        raise SettingError(f"{key} must be a whole number, not {value!r}") from None
    if number < declared.least:
        raise SettingError(f"{key} must be at least {declared.least}, not {number}")
    if declared.most is not None and number > declared.most:
        raise SettingError(f"{key} must be at most {declared.most}, not {number}")
    return number
