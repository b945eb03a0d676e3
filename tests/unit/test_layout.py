"""Architecture rules: imports between packages, and the size of modules."""

import ast
import builtins
import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from zope.interface import Interface
from zope.interface.interface import InterfaceClass, Method

import tweeter
from tests.conftest import ROOT
from tweeter import interfaces, values

PACKAGE = ROOT / "tweeter"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300  # lines


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports_of(path: Path) -> list[str]:
    """The dotted names of a module's imports; for `from a import b` both `a` and `a.b`."""
    names: list[str] = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(name_of(path).split(".")[: -node.level]) if node.level else ""
            module = ".".join(filter(None, (package, node.module)))
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return names


def strings_of(path: Path) -> list[str]:
    """The string constants of a module without docstrings."""
    documentation = {
        id(node.body[0].value)
        for node in nodes_of(path)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in nodes_of(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]


def test_interfaces_import_nothing_of_the_project() -> None:
    for path in (PACKAGE / "interfaces").glob("*.py"):
        own = {name for name in imports_of(path) if name.startswith("tweeter")}
        assert not [name for name in own if not name.startswith("tweeter.interfaces.")], path


def test_values_import_nothing_but_ids() -> None:
    own = {name for name in imports_of(PACKAGE / "values.py") if name.startswith("tweeter")}
    assert {".".join(name.split(".")[:2]) for name in own} <= {"tweeter.ids", "tweeter.interfaces"}
    assert not [name for name in imports_of(PACKAGE / "ids.py") if name.startswith("tweeter")]


# From the bottom up: a room imports only rooms below it. Rooms on one line don't import each other.
ROOMS = """
batches errors ids interfaces measure text
values masking
declarations metrics logs
plugins sockets
settings
db models
outbox
timelines
backends delivery services
search
streaming
web
api
main
serve pshell devtools console testing
bulk
bench
lab
celery cli
"""
LEVELS = {room: level for level, line in enumerate(ROOMS.strip().splitlines()) for room in line.split()}
NAMES = {name_of(path) for path in MODULES}
SITE = [room for room, level in LEVELS.items() if level <= LEVELS["main"]]


def room_of(name: str) -> str:
    """The top-level module or package of a dotted name; `main` is the package itself."""
    return ([*name.split("."), "main"])[1]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_imports_only_rooms_below_its_own(path: Path) -> None:
    own = room_of(name_of(path))
    assert own in LEVELS, f"add {own} to the rooms"
    for name in imports_of(path):
        if name in NAMES and room_of(name) != own and name != "tweeter":
            assert LEVELS[room_of(name)] < LEVELS[own], f"{name_of(path)} imports {name}"


def test_site_does_not_depend_on_tools() -> None:
    """The lab is included by name if the settings enable it."""
    assert not {"devtools", "lab", "bench", "cli", "console", "testing"} & set(SITE)


@pytest.mark.parametrize("path", [*MODULES, *sorted(PACKAGE.rglob("*.js"))], ids=name_of)
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_has_a_docstring(path: Path) -> None:
    module = nodes_of(path)[0]
    assert isinstance(module, ast.Module)
    if module.body:
        assert ast.get_docstring(module)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_import_creates_no_client_engine_or_thread(path: Path) -> None:
    """No client, engine or thread at import: they belong to an application."""
    source = path.read_text(encoding="utf-8")
    for call in ("make_engine(", "create_engine(", "Thread("):
        assert not [line for line in source.splitlines() if call in line and not line.startswith((" ", "def", '"'))]


BACKENDS = [module.name for module in pkgutil.iter_modules([str(PACKAGE / "backends")])]
CLIENTS = {"redis", "pymemcache", "memcache", "hiredis"}
# Only modules that start servers, measure or compare backends may name backends.
ABOUT_BACKENDS = ("tweeter.backends", "tweeter.devtools.servers", "tweeter.bench", "tweeter.cli.bench", "tweeter.lab")
ELSEWHERE = [path for path in MODULES if not name_of(path).startswith(ABOUT_BACKENDS)]


@pytest.mark.parametrize("path", ELSEWHERE, ids=name_of)
def test_only_backends_name_a_backend(path: Path) -> None:
    for name in imports_of(path):
        assert name.partition(".")[0] not in CLIENTS
        assert not name.startswith("tweeter.backends.")
    if name_of(path) == "tweeter.settings":
        return  # its table has the default
    allowed = {"tweeter.backends"} if name_of(path) == "tweeter.timelines" else set()
    for text in strings_of(path):
        assert "tweeter.backends" not in text or text in allowed
        assert text not in {"memory", "redis", "memcached"}


@pytest.mark.parametrize("room", ["outbox", "timelines", "backends", "delivery", "services"])
def test_only_its_own_module_names_a_timeline_kind(room: str) -> None:
    kinds = {module.name for module in pkgutil.iter_modules([str(PACKAGE / "timelines" / "kinds")])}
    assert kinds >= {"public", "home", "profile", "mentions"}
    for path in (PACKAGE / room).rglob("*.py"):
        if "kinds" not in path.parts:
            assert not kinds & set(strings_of(path)), path


def test_there_are_backends() -> None:
    assert {"memory", "sql"} <= set(BACKENDS)


def test_backends_do_not_import_each_other() -> None:
    for name in BACKENDS:
        home = PACKAGE / "backends" / name
        for path in sorted(home.rglob("*.py")) if home.is_dir() else [home.with_suffix(".py")]:
            others = {f"tweeter.backends.{other}" for other in BACKENDS if other != name}
            assert not others & set(imports_of(path))


def test_stores_do_not_import_sql() -> None:
    """Stores of ids query no rows; only the backends in the site's own database do."""
    for path in (PACKAGE / "backends").rglob("*.py"):
        if path.stem == "sql" or path.parent.name == "table":
            continue
        for name in imports_of(path):
            assert not name.startswith(("sqlalchemy", "tweeter.models", "pyramid.request")), path


def declared() -> list[InterfaceClass]:
    return [
        value
        for value in vars(interfaces).values()
        if isinstance(value, InterfaceClass)
        and value is not Interface
        and value.__module__.startswith(interfaces.__name__)
    ]


def test_every_contract_is_documented_to_the_last_method() -> None:
    assert declared()
    for interface in declared():
        assert interface.__doc__
        for name in interface.names():
            assert interface[name].__doc__, f"{interface.__name__}.{name}"
        assert any(isinstance(interface[name], Method) for name in interface.names(all=True))


def test_every_value_is_frozen() -> None:
    mine = [value for value in vars(values).values() if getattr(value, "__module__", "") == values.__name__]
    classes = [value for value in mine if inspect.isclass(value)]
    assert classes
    for value in classes:
        structure: Any = value
        assert issubclass(value, tuple) or structure.__struct_config__.frozen, value


def test_every_module_can_be_imported() -> None:
    for module in pkgutil.walk_packages(tweeter.__path__, "tweeter."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("folder", ["tweeter", "alembic", "tests", "docs"])
def test_there_are_no_todos(folder: str) -> None:
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X:")
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix in {".py", ".jinja2", ".css", ".js", ".md", ".mako"}:
            source = path.read_text(encoding="utf-8")
            assert not [mark for mark in marks if mark in source], path


def test_tests_are_sorted_by_purpose() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert folders == {"unit", "contract", "property", "integration", "web", "browser"}


def test_templates_have_autoescape() -> None:
    for path in (PACKAGE / "web" / "templates").rglob("*"):
        if path.is_file():
            assert path.suffix == ".jinja2", path
            source = path.read_text(encoding="utf-8")
            assert "autoescape false" not in source, path


def test_pages_load_nothing_from_other_hosts() -> None:
    """No script, style or font of another host: the site works offline and does not leak its readers."""
    for folder in ("templates", "static"):
        for path in (PACKAGE / "web" / folder).rglob("*"):
            if path.suffix in {".jinja2", ".css", ".js"}:
                source = path.read_text(encoding="utf-8")
                for sign in ('src="http', "src='http", "@import", "url(http", 'src="//', "from 'http", 'from "http'):
                    assert sign not in source, path


def test_no_module_has_the_name_of_a_builtin() -> None:
    """In its package the module would hide the builtin, once it is imported."""
    assert not [path for path in MODULES if path.stem in dir(builtins)]
