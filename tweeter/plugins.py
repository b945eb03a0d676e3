"""Loads the modules that settings name: backends and delivery.

Such a module may declare its own settings:

    SETTINGS = {"tweeter.cabinet.drawers": Setting(int, 4, least=1, help="Drawers of the cabinet.")}

They are parsed when the module is included, so its includeme finds them in `config.get_settings()`.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

from pyramid.config import Configurator

from tweeter.declarations import Setting, read
from tweeter.errors import SettingError

# SETTINGS may also be a collection of names; the module then reads the values with `settings.setting`.
UNTYPED = Setting(str, "")

# The order of configuration actions that run after those of all plugins.
REGISTERED = 10


def dotted(package: str, spec: str) -> str:
    """The dotted name of a module: `memory` is a module of the package; a name with a dot is returned unchanged."""
    return spec if "." in spec else f"{package}.{spec}"


def load(setting: str, spec: str, package: str) -> ModuleType:
    """The module that `setting = spec` names.

    Raises SettingError if the module or one of its imports is missing, or if it has no includeme(config).
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
            f"{setting} = {spec}: no such module; built-in modules: {', '.join(built_in(package))}; "
            "give any other by its dotted name"
        ) from None
    if not _can_be_included(module):
        raise SettingError(f"{setting} = {spec}: the module {name} has no includeme(config)")
    return module


def include(config: Configurator, setting: str, spec: str, package: str) -> None:
    """Includes the module that `setting = spec` names, after parsing the settings that it declares. See `load`."""
    module = load(setting, spec, package)
    config.get_settings().update(with_declared(config.get_settings(), module))
    config.include(module)


def with_declared(settings: Mapping[str, Any], module: ModuleType) -> dict[str, Any]:
    """The settings with the values of those that the module declares. Raises SettingError."""
    declared = declarations(module).items()
    return {**settings, **{key: read(settings, key, each) for key, each in declared if each is not UNTYPED}}


def declarations(module: ModuleType) -> dict[str, Setting]:
    """The settings that a module declares in SETTINGS, by name."""
    declared = getattr(module, "SETTINGS", ())
    return dict(declared) if isinstance(declared, Mapping) else dict.fromkeys(declared, UNTYPED)


def modules_of(package: str) -> list[str]:
    """The dotted names of a package's own modules."""
    return [f"{package}.{found.name}" for found in pkgutil.iter_modules(importlib.import_module(package).__path__)]


def built_in(package: str) -> list[str]:
    """The names of the package's own modules that can be included."""
    names = modules_of(package)
    return sorted(name.rpartition(".")[2] for name in names if _can_be_included(importlib.import_module(name)))


def declared_settings(names: Iterable[str]) -> dict[str, Setting]:
    """The settings that these modules declare. Modules that can't be imported are ignored; loading them fails later."""
    found: dict[str, Setting] = {}
    for name in names:
        with suppress(ImportError):
            if name.strip("."):
                found |= declarations(importlib.import_module(name))
    return found


def _can_be_included(module: ModuleType) -> bool:
    return callable(getattr(module, "includeme", None))
