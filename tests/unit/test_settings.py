"""Settings: their sources, and errors for invalid ones."""

import re
from pathlib import Path
from typing import Any

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_app

import tweeter
from tests.conftest import ROOT, running, settings_of, write_ini
from tweeter.errors import SettingError
from tweeter.plugins import declared_settings, modules_of
from tweeter.settings import KNOWN, check_secret, merge, read_ini, setting, variable

INI = {"sqlalchemy.url": "sqlite:///ini.sqlite", "tweeter.secret": "x" * 32}


def merged(ini: dict[str, str] | None = None, line: dict[str, str] | None = None, /, **environ: str) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        return merge(INI | (ini or {}), line or {}, environ)


# sources


def test_the_command_line_overrides_the_ini_and_the_environment_both() -> None:
    ini, line = {"tweeter.capacity": "100"}, {"tweeter.capacity": "200"}
    assert merged()["tweeter.capacity"] == 800
    assert merged(ini)["tweeter.capacity"] == 100
    assert merged(ini, line)["tweeter.capacity"] == 200
    assert merged(ini, line, TWEETER_CAPACITY="300")["tweeter.capacity"] == 300


def test_setting_absent_from_the_ini_can_come_from_the_environment() -> None:
    assert merged(TWEETER_MAX_BODY="2048")["tweeter.max_body"] == 2048
    assert merged(TWEETER_OUTBOX_KEEP_HOURS="2")["tweeter.outbox.keep_hours"] == 2
    assert merged(SQLALCHEMY_URL="sqlite:///env.sqlite")["sqlalchemy.url"] == "sqlite:///env.sqlite"


def test_empty_environment_variable_is_ignored() -> None:
    ini, line = {"tweeter.capacity": "100"}, {"tweeter.timelines": "memory"}
    settings = merged(ini, line, TWEETER_CAPACITY="", TWEETER_TIMELINES="")
    assert settings["tweeter.capacity"] == 100
    assert settings["tweeter.timelines"] == "memory"


def test_the_setting_of_a_backend_can_come_from_the_environment() -> None:
    ini = {"tweeter.fifth.url": "here"}
    assert merged(ini)["tweeter.fifth.url"] == "here"
    assert merged(ini, TWEETER_FIFTH_URL="there")["tweeter.fifth.url"] == "there"


def test_backend_setting_absent_from_the_ini_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert setting({}, "tweeter.fifth.size", int, 5) == 5
    monkeypatch.setenv("TWEETER_FIFTH_SIZE", "7")
    assert setting({}, "tweeter.fifth.size", int, 5) == 7


def test_secret_can_be_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  out of the file\n", encoding="utf-8")
    assert merged(TWEETER_SECRET_FILE=str(file))["tweeter.secret"] == "out of the file"
    assert merged(TWEETER_SECRET_FILE=str(file), TWEETER_SECRET="given")["tweeter.secret"] == "given"
    with pytest.raises(SettingError, match="TWEETER_SECRET_FILE.*nowhere"):
        merged(TWEETER_SECRET_FILE=str(tmp_path / "nowhere"))


def test_foreign_command_line_keys_are_ignored() -> None:
    assert "http_port" not in merged({}, {"http_port": "7000", "__file__": "x.ini", "here": "/"})


def test_other_settings_of_the_ini_are_kept() -> None:
    assert merged({"retry.attempts": "3", "jinja2.undefined": "strict"})["jinja2.undefined"] == "strict"


def test_variables_are_the_names_in_capitals() -> None:
    assert variable("tweeter.argon2.time_cost") == "TWEETER_ARGON2_TIME_COST"
    assert variable("sqlalchemy.url") == "SQLALCHEMY_URL"
    assert len({variable(key) for key in KNOWN}) == len(KNOWN)


# their kinds


def test_each_setting_has_its_kind() -> None:
    for key, value in merged().items():
        if key in KNOWN:
            assert type(value) is KNOWN[key].kind, key


def test_settings_can_be_merged_again() -> None:
    assert merge(merged(), {}, {}) == merged()


@pytest.mark.parametrize(
    ("value", "meant"), [("true", True), ("Yes", True), ("on", True), ("1", True), ("false", False), ("0", False)]
)
def test_booleans(value: str, meant: bool) -> None:
    assert merged({"tweeter.secure_cookies": value})["tweeter.secure_cookies"] is meant


@pytest.mark.parametrize("value", ["maybe", "truee", "2", "none"])
def test_a_bad_boolean_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=f"tweeter.secure_cookies must be true or false, not '{value}'"):
        merged({"tweeter.secure_cookies": value})


@pytest.mark.parametrize("value", ["many", "1.5", "1 000", "0x10"])
def test_a_bad_number_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=f"tweeter.capacity must be a whole number, not '{value}'"):
        merged({"tweeter.capacity": value})


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_number_below_the_least_is_refused(value: str) -> None:
    with pytest.raises(SettingError, match=f"tweeter.capacity must be at least 1, not {value}"):
        merged({"tweeter.capacity": value})


def test_a_bad_value_of_the_environment_is_refused_too() -> None:
    with pytest.raises(SettingError, match="tweeter.capacity must be a whole number"):
        merged(TWEETER_CAPACITY="plenty")


def test_an_empty_value_is_the_default() -> None:
    assert merged({"tweeter.capacity": ""})["tweeter.capacity"] == 800


# their names


def test_an_unknown_setting_is_refused_with_a_hint() -> None:
    with pytest.raises(SettingError, match=r"unknown setting tweeter.timeline; did you mean tweeter.timelines\?"):
        merged({"tweeter.timeline": "memory"})
    with pytest.raises(SettingError, match=r"did you mean tweeter.capacity\?"):
        merged({}, {"tweeter.capacty": "1"})
    with pytest.raises(SettingError, match="unknown setting tweeter.xyzzy; known settings: .*tweeter.secret"):
        merged({"tweeter.xyzzy": "1"})


SLIPS = [
    ("tweeter.redis.ulr", "tweeter.redis.url"),
    ("tweeter.redis_url", "tweeter.redis.url"),
    ("tweeter.rediss.prefix", "tweeter.redis.prefix"),
    ("tweeter.Redis.url", "tweeter.redis.url"),
    ("tweeter.memcached.server", "tweeter.memcached.servers"),
    ("tweeter.memcache.servers", "tweeter.memcached.servers"),
    ("tweeter.memory.tweet", "tweeter.memory.tweets"),
    ("tweeter.timelines.shadows", "tweeter.timelines.shadow"),
    ("tweeter.timeline.shadow", "tweeter.timelines.shadow"),
    ("tweeter.outbox.keep_hour", "tweeter.outbox.keep_hours"),
    ("tweeter.argon.time_cost", "tweeter.argon2.time_cost"),
    ("tweeter.cabinet.ulr", "tweeter.cabinet.url"),
    ("tweeter.secrte", "tweeter.secret"),
]


@pytest.fixture
def cabinet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a site on a third-party backend."""
    source = (
        'from tests.thirdparty.texts import includeme\nSETTINGS = ("tweeter.cabinet.url", "tweeter.cabinet.drawers")\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "cabinet.py").write_text(source, encoding="utf-8")
    return {"tweeter.timelines": "here.cabinet"}


@pytest.mark.parametrize(("slip", "meant"), SLIPS)
def test_misspelt_settings_are_rejected_from_every_source(cabinet: dict[str, str], slip: str, meant: str) -> None:
    expected = re.escape(f"unknown setting {slip}; did you mean {meant}?")
    with pytest.raises(SettingError, match=expected):
        merged(cabinet | {slip: "1"})
    with pytest.raises(SettingError, match=expected):
        merged(cabinet, {slip: "1"})
    if variable(slip) != variable(meant):
        with pytest.raises(SettingError, match=f"variable {variable(slip)}; did you mean {variable(meant)}\\?"):
            merged(cabinet, **{variable(slip): "1"})


@pytest.mark.parametrize("meant", sorted({meant for _, meant in SLIPS} - {"tweeter.timelines.shadow"}))
def test_declared_settings_are_accepted_for_unused_backends(cabinet: dict[str, str], meant: str) -> None:
    for ini in (cabinet, {}):
        merged(ini | {meant: "1"})
        merged(ini, {meant: "1"})
        merged(ini, **{variable(meant): "1"})


@pytest.mark.parametrize(
    "key", ["tweeter.timelines", "tweeter.timelines.shadow", "tweeter.limits.storage", "tweeter.lab.backends"]
)
def test_settings_of_every_named_backend_are_declared(cabinet: dict[str, str], key: str) -> None:
    with pytest.raises(SettingError, match=r"did you mean tweeter.cabinet.drawers\?"):
        merged({key: "here.cabinet", "tweeter.cabinet.drawer": "3"})


def test_setting_of_an_unused_backend_is_kept_and_reported(
    cabinet: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    merged({"tweeter.cabinet.ulr": "x"})
    assert [record.getMessage() for record in caplog.records] == [
        "no backend in use declares the setting tweeter.cabinet.ulr"
    ]


def test_import_error_of_a_backend_is_not_reported_as_an_unknown_name(cabinet: dict[str, str]) -> None:
    for name in ("no.such.module", "here.nothing", "..", "."):
        merged({"tweeter.timelines": name, "tweeter.redis.url": "redis://localhost"})


KUBERNETES = ["PORT", "SERVICE_HOST", "PORT_6543_TCP_ADDR", "REDIS_SERVICE_HOST", "MEMCACHED_SERVICE_PORT"]


@pytest.mark.parametrize("name", ["TWEETER_CHROMIUM", *map("TWEETER_{}".format, KUBERNETES)])
def test_foreign_environment_variables_are_ignored(name: str) -> None:
    merged(**{name: "1"})


def test_every_setting_that_a_backend_reads_is_declared() -> None:
    declared = declared_settings(modules_of("tweeter.backends"))
    read = {
        key
        for path in (ROOT / "tweeter" / "backends").rglob("*.py")
        for key in re.findall(r'settings\["([\w.]+)"\]', path.read_text(encoding="utf-8"))
    }
    assert read - KNOWN.keys() == declared.keys()
    assert len(read) > 5


def test_missing_setting_is_reported_with_all_its_names() -> None:
    with pytest.raises(SettingError, match=r"sqlalchemy.url must be set .*SQLALCHEMY_URL"):
        merge({"tweeter.secret": "x"}, {}, {})


def test_errors_of_settings_are_errors_of_configuration() -> None:
    assert issubclass(SettingError, ConfigurationError)


def test_programs_get_the_exception(sqlite_url: str, tmp_path: Path) -> None:
    ini = Path(write_ini(tmp_path, sqlite_url))
    ini.write_text(ini.read_text() + "tweeter.outbox.keep_hour = 1")
    with pytest.raises(SettingError):
        get_app(str(ini))


# secrets


@pytest.mark.parametrize("secret", ["change-me", "change-me-this-is-only-for-development", "short", "x" * 31])
def test_production_rejects_weak_secrets(secret: str) -> None:
    with pytest.raises(SettingError, match="TWEETER_SECRET"):
        check_secret(merged({"tweeter.secret": secret}))
    check_secret(merged({"tweeter.secret": secret, "tweeter.production": "false"}))


def test_production_takes_a_long_random_secret() -> None:
    check_secret(merged())


def test_production_is_the_default() -> None:
    assert merged()["tweeter.production"] is True
    assert merged()["tweeter.secure_cookies"] is True


def test_production_does_not_start_without_a_secret(sqlite_url: str) -> None:
    with pytest.raises(SettingError, match="TWEETER_SECRET"):
        tweeter.main({}, **{"sqlalchemy.url": sqlite_url})
    with pytest.raises(SettingError, match="TWEETER_SECRET"):
        tweeter.main({}, **read_ini(str(ROOT / "production.ini")) | {"sqlalchemy.url": sqlite_url})


def test_production_starts_with_one(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWEETER_SECRET", "0123456789abcdef" * 2)
    with running(read_ini(str(ROOT / "production.ini")) | {"sqlalchemy.url": sqlite_url}) as app:
        assert app.registry.settings["tweeter.secret"] == "0123456789abcdef" * 2


# the choice of the backend


def test_the_command_line_chooses_the_backend(sqlite_url: str) -> None:
    ini = settings_of(sqlite_url)
    app = tweeter.main({"tweeter.timelines": "memory", "here": "/", "__file__": "x.ini"}, **ini)
    tweeter.shut_down(app.registry)
    assert app.registry.settings["tweeter.timelines"] == "memory"


def test_unknown_backend_is_rejected_with_the_allowed_names(sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        tweeter.main({}, **settings_of(sqlite_url) | {"tweeter.timelines": "abacus"})
    message = str(caught.value)
    for word in ("abacus", "tweeter.timelines", "memory", "sql", "dotted"):
        assert word in message


@pytest.mark.parametrize(
    "name", ["nowhere.to.be.found", "json", "tweeter.backends", "tweeter.interfaces", "..", "memory.", ".memory", ""]
)
def test_dotted_name_without_a_backend_is_rejected(sqlite_url: str, name: str) -> None:
    settings = settings_of(sqlite_url) | {"tweeter.timelines": name}
    if name == "":
        with running(settings) as app:  # an empty value is the default
            assert app.registry.settings["tweeter.timelines"] == "sql"
        return
    with pytest.raises(ConfigurationError, match="tweeter.timelines"):
        tweeter.main({}, **settings)


# the ini files that are shipped


@pytest.mark.parametrize("name", ["development.ini", "production.ini", "testing.ini"])
def test_shipped_ini_files_are_valid(name: str) -> None:
    settings = read_ini(str(ROOT / name), {})
    assert (name == "production.ini") is settings["tweeter.production"] is settings["tweeter.secure_cookies"]


@pytest.mark.parametrize("name", ["development.ini", "production.ini", "testing.ini"])
def test_every_setting_that_an_ini_shows_in_a_comment_is_known(name: str) -> None:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        key, equals, _ = line.lstrip("# ").partition(" = ")
        if equals and key.startswith("tweeter.") and key.count(".") == 1:
            assert key in KNOWN


@pytest.mark.parametrize("name", ["development.ini", "production.ini"])
def test_commented_settings_of_ini_files_are_valid(name: str, sqlite_url: str) -> None:
    shown = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        key, equals, value = line.removeprefix("# ").partition(" = ")
        if equals and line.startswith("# tweeter.") and key in KNOWN and not key.startswith("tweeter.timelines"):
            shown[key] = value
    assert "tweeter.limits.post" in shown
    with running(read_ini(str(ROOT / "testing.ini"), {}) | merged(shown) | {"sqlalchemy.url": sqlite_url}):
        pass


def test_ini_files_have_no_default_section() -> None:
    """PasteDeploy would ignore command line values of these settings."""
    for path in ROOT.glob("*.ini"):
        assert "[DEFAULT]" not in path.read_text(encoding="utf-8")
