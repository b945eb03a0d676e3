"""Modules that a setting names: backends, and ways of delivery."""

import importlib
import pkgutil
from collections.abc import Iterable
from contextlib import suppress
from types import ModuleType

from tweeter.errors import SettingError


def dotted(package: str, spec: str) -> str:
    """`memory` is a module of the package; a name with a dot is any module, as it is."""
    return spec if "." in spec else f"{package}.{spec}"


def load(setting: str, spec: str, package: str) -> ModuleType:
    """The module that `setting = spec` names.

    Raises SettingError where there is no such module, where it lacks what it needs, or has no includeme(config).
    """
    name = dotted(package, spec)
    try:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ModuleNotFoundError(name=name)  # importlib would take a leading dot for a relative name
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise SettingError(f"{setting} = {spec}: {error}; install what this module needs") from error
        raise SettingError(
            f"{setting} = {spec}: there is no such module; built in are {', '.join(built_in(package))}; "
            "any other is the dotted name of a module"
        ) from None
    if not _can_be_included(module):
        raise SettingError(f"{setting} = {spec}: the module {name} has no includeme(config)")
    return module


def built_in(package: str) -> list[str]:
    """The names of the package's own modules that can be included."""
    names = (found.name for found in pkgutil.iter_modules(importlib.import_module(package).__path__))
    return sorted(name for name in names if _can_be_included(importlib.import_module(f"{package}.{name}")))


def declared_settings(package: str, specs: Iterable[str]) -> set[str]:
    """The names in SETTINGS of the package's own modules and of those with a dotted name, in use or not.

    What can't be imported has none. Whoever uses it says so.
    """
    own = (f"{package}.{found.name}" for found in pkgutil.iter_modules(importlib.import_module(package).__path__))
    names: set[str] = set()
    for name in (*own, *(spec for spec in specs if "." in spec.strip("."))):
        with suppress(ImportError):
            names.update(getattr(importlib.import_module(name), "SETTINGS", ()))
    return names


def _can_be_included(module: ModuleType) -> bool:
    return callable(getattr(module, "includeme", None))
