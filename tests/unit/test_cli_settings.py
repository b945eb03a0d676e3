"""`tweeter settings`: every setting with its value, its origin and its meaning, and no secret."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL

from tests.conftest import ROOT
from tweeter.cli import main
from tweeter.masking import is_secret, mask
from tweeter.plugins import declared_settings, modules_of
from tweeter.settings import KNOWN

HIDDEN = "geheim"

MakeIni = Callable[..., str]


@pytest.fixture
def ini(tmp_path: Path) -> MakeIni:
    """`ini(**lines)` writes an ini file with more settings; `__` replaces a dot."""

    def ini(**lines: str) -> str:
        path = tmp_path / "site.ini"
        text = (ROOT / "testing.ini").read_text(encoding="utf-8")
        own = {name.replace("__", "."): value for name, value in lines.items()}
        kept = [line for line in text.splitlines() if line.partition(" = ")[0] not in own]
        place = kept.index("[app:main]") + 2
        kept[place:place] = [f"{name} = {value}" for name, value in own.items()]
        path.write_text("\n".join(kept), encoding="utf-8")
        return str(path)

    return ini


def rows(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The output of --json, by name."""
    assert main(["settings", *words, "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_setting_has_its_value_default_and_meaning(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, ini())
    assert found.keys() == KNOWN.keys()
    assert found["tweeter.capacity"] == {
        "name": "tweeter.capacity", "value": 800, "default": 800, "changed": False, "origin": "default",
        "source": None, "meaning": "Tweet ids that a materialized timeline keeps.",
    }  # fmt: skip


def test_every_meaning_is_one_line_that_ends_as_a_sentence() -> None:
    for key, declared in {**KNOWN, **declared_settings(modules_of("tweeter.backends"))}.items():
        assert declared.help.endswith("."), key
        assert "\n" not in declared.help


def test_the_origin_is_the_ini_file_or_the_variable_by_its_name(
    ini: MakeIni, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = ini(tweeter__capacity="100", tweeter__message_limit="200", tweeter__metrics="")
    (tmp_path / "secret").write_text(HIDDEN, encoding="utf-8")
    monkeypatch.setenv("TWEETER_CAPACITY", "300")
    monkeypatch.setenv("TWEETER_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("SQLALCHEMY_POOL_SIZE", "3")
    found = rows(capsys, path)
    come = {key: (found[key]["value"], found[key]["origin"], found[key]["source"]) for key in found}
    assert come["tweeter.capacity"] == (300, "environment", "TWEETER_CAPACITY")
    assert come["tweeter.message_limit"] == (200, "ini file", path)
    assert come["tweeter.metrics"] == ("", "default", None)
    assert come["tweeter.secret"] == ("***", "environment", "TWEETER_SECRET_FILE")
    assert come["sqlalchemy.pool_size"] == ("3", "environment", "SQLALCHEMY_POOL_SIZE")


def test_each_setting_is_printed_in_two_lines(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    path = ini(tweeter__capacity="100")
    assert main(["settings", path]) == 0
    out = capsys.readouterr().out
    assert f"tweeter.capacity = 100  (ini file: {path}; default: 800)\n    Tweet ids that" in out
    assert "tweeter.max_body = 65536  (default)\n    Bytes of a request body.\n" in out


def test_changed_shows_only_settings_without_their_default(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, ini(tweeter__capacity="800", tweeter__message_limit="200"), "--changed")
    assert "tweeter.message_limit" in found
    assert "tweeter.capacity" not in found
    assert all(row["changed"] for row in found.values())


# settings of backends


def test_the_settings_of_the_backends_that_the_site_loads_are_listed(
    ini: MakeIni, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ini(
        tweeter__timelines="redis",
        tweeter__timelines__shadow="memory tests.thirdparty.cabinet",
        tweeter__redis__timeout_ms="70",
    )
    found = rows(capsys, path)
    assert (found["tweeter.redis.timeout_ms"]["value"], found["tweeter.redis.timeout_ms"]["default"]) == (70, 250)
    assert found["tweeter.memory.tweets"]["value"] == 200_000
    assert found["tweeter.cabinet.drawers"]["meaning"] == "Drawers of the cabinet."
    assert not [key for key in found if key.startswith("tweeter.memcached.")]


def test_set_setting_of_an_unused_backend_is_listed(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, ini(tweeter__memcached__servers="one:1 two:2", tweeter__abacus__beads="10"))
    assert found["tweeter.memcached.servers"]["value"] == "one:1 two:2"
    assert found["tweeter.abacus.beads"]["meaning"] == "No backend in use declares it."


# invalid values


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tweeter.capacity", "many", "tweeter.capacity must be a whole number, not 'many'"),
        ("tweeter.limits.post", "often", "tweeter.limits.post must be a limit"),
        ("tweeter.metrics", "everybody", "tweeter.metrics must be addresses or networks"),
        ("tweeter.allowed_hosts", "http://x", "tweeter.allowed_hosts must be host names"),
        ("sqlalchemy.url", "nonsense", "Invalid sqlalchemy.url"),
        ("tweeter.timelines", "nosuch", "tweeter.timelines = nosuch: no such module"),
        ("tweeter.redis.timeout_ms", "0", "tweeter.redis.timeout_ms must be at least 1, not 0"),
        ("tweeter.redis.url", "gopher://x", "tweeter.redis.url: "),
        ("tweeter.cabinet.drawers", "101", "tweeter.cabinet.drawers must be at most 100, not 101"),
        ("tweeter.capacty", "1", "unknown setting tweeter.capacty; did you mean tweeter.capacity?"),
        ("tweeter.redis.url", "redis://ann:pass/word@h", "special characters in a password must be escaped"),
        ("tweeter.redis.url", "redis://ann:pass#word@h", "special characters in a password must be escaped"),
        ("tweeter.cabinet.drawer", "1", "did you mean tweeter.cabinet.drawers?"),
    ],
)
def test_invalid_value_is_reported_in_one_line(
    ini: MakeIni, capsys: pytest.CaptureFixture[str], key: str, value: str, said: str
) -> None:
    path = ini(**{"tweeter.timelines.shadow": "redis tests.thirdparty.cabinet", key: value})
    assert main(["settings", path]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("tweeter: ")
    assert said in err
    assert err.count("\n") == 1


# secrets


def test_no_secret_is_printed(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    path = ini(
        sqlalchemy__url=f"postgresql+psycopg://ada:{HIDDEN}@db/tweeter?sslpassword={HIDDEN}",
        sqlalchemy__connect_args=f'{{"password": "{HIDDEN} \\" {HIDDEN}", "application_name": "site"}}',
        tweeter__secret=HIDDEN * 6,
        tweeter__demo_account=f"demo {HIDDEN}",
        tweeter__timelines="redis",
        tweeter__timelines__shadow="tests.thirdparty.cabinet",
        tweeter__redis__url=f"redis+sentinel://u:{HIDDEN}@h:1,i:2/service?db=0&sentinel_password={HIDDEN}",
        tweeter__cabinet__combination=HIDDEN,
        tweeter__abacus__api_token=HIDDEN,
        tweeter__abacus__url=f"abacus://:{HIDDEN}/{HIDDEN}@h",
    )
    for words in ([], ["--json"], ["--changed"]):
        assert main(["settings", path, *words]) == 0
        out, err = capsys.readouterr()
        assert HIDDEN not in out + err
    assert "postgresql+psycopg://ada:***@db/tweeter" in out
    assert "redis+sentinel://u:***@h:1,i:2/service?db=0&sentinel_password=***" in out
    assert '"application_name": "site"' in out


def test_an_error_prints_no_password_either(ini: MakeIni, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", ini(sqlalchemy__connect_args=f'{{"password": "{HIDDEN}"')]) == 1
    err = capsys.readouterr().err
    assert "sqlalchemy.connect_args must be a JSON object" in err
    assert HIDDEN not in err


@given(st.text(min_size=1), st.text(st.characters(codec="ascii"), min_size=1))
def test_the_password_of_any_url_is_masked(password: str, host: str) -> None:
    url = URL.create("postgresql", "ada", password + HIDDEN, "db").render_as_string(hide_password=False)
    assert HIDDEN not in mask(f"{url},{host}")
    assert mask(url) == "postgresql://ada:***@db"


@pytest.mark.parametrize(
    "text",
    ["redis://localhost:6379/0", "sqlite:////tmp/x@y.sqlite", "127.0.0.1 ::1", "localhost:11211", "10/minute; 5/hour",
     "postgresql+psycopg://tweeter@localhost/tweeter", "unix:///run/redis.sock?db=0"],
)  # fmt: skip
def test_values_without_secrets_are_shown(text: str) -> None:
    assert mask(text) == text


def test_only_the_names_of_secrets_look_like_secrets() -> None:
    declared = {**KNOWN, **declared_settings(modules_of("tweeter.backends"))}
    assert [key for key in declared if is_secret(key)] == ["tweeter.secret"]
