"""The documentation: the reference matches the code, and every link has a target."""

import json
import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def generate() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.fixture(scope="module")
def pages(generate: dict[str, Callable[[], dict[str, str]]]) -> dict[str, str]:
    return generate["pages"]()


def test_the_reference_is_current(pages: dict[str, str]) -> None:
    assert {path.name for path in REFERENCE.iterdir()} == pages.keys()
    for name, text in pages.items():
        assert (REFERENCE / name).read_text(encoding="utf-8") == text, f"{name} is outdated: run `make docs`"


def test_figures_of_the_lab_are_those_of_the_committed_run(generate: dict[str, Any]) -> None:
    assert generate["REFERENCE"].read_text(encoding="utf-8") == generate["lab_reference"](), "run `make docs`"


def test_everything_in_the_reference_is_explained(pages: dict[str, str]) -> None:
    """The last cell of each row is its meaning."""
    rows = [line for text in pages.values() for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) > 300
    assert not [row for row in rows if not row.removesuffix("|").rpartition("|")[2].strip()]


def blocks(language: str) -> str:
    """The code blocks of this language in all documents."""
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.name != "CHANGELOG.md"]
    return "\n".join(re.findall(rf"^ *```{language}\n(.*?)^ *```", "\n".join(texts), re.MULTILINE | re.DOTALL))


def test_every_setting_and_metric_in_the_documents_exists(pages: dict[str, str]) -> None:
    named = set(re.findall(r"^ *(tweeter\.[\w.]+) *=", blocks("ini"), re.MULTILINE))
    assert len(named) > 5
    assert not [name for name in named - {"tweeter.cabinet.url"} if f"`{name}`" not in pages["settings.md"]]
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS if path.name != "CHANGELOG.md"]
    metrics = {name for text in texts for name in re.findall(r"\btweeter_\w+", text)}
    assert not [name for name in metrics if f"`{name}`" not in pages["metrics.md"]]


def test_every_command_in_the_documents_exists_with_its_options(pages: dict[str, str]) -> None:
    lines = re.findall(r"^ *\$ .*?\btweeter ([a-z-]+) ([^#\n]*)", blocks("console"), re.MULTILINE)
    assert len(lines) > 20
    for command, rest in lines:
        sections = re.findall(
            rf"^##+ `tweeter {command}\b.*?(?=^## |\Z)", pages["commands.md"], re.MULTILINE | re.DOTALL
        )
        assert sections, command
        for option in re.findall(r"--[a-z-]+", rest.split("|")[0]):
            assert f"`{option}" in sections[0] or option == "--compare", (command, option)


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub forms them."""
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href|srcset)="([^"]+)"', text)
    for link in links:
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "docs" / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        found = re.findall(r"\]\(([^)#\s:]+\.md)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        waiting += [target for link in found if (target := (path.parent / link).resolve()).exists()]
    assert set(DOCUMENTS) <= seen | {ROOT / "README.md"}


def test_alerts_and_dashboard_show_metrics_that_exist_with_their_labels(pages: dict[str, str]) -> None:
    rows = re.findall(r"^\| `(tweeter_\w+)` \| (\w+) \| (.*?) \|", pages["metrics.md"], re.MULTILINE)
    labels = {name: {*re.findall(r"`(\w+)`", given), "le"} for name, _, given in rows}
    histograms = {name for name, kind, _ in rows if kind == "histogram"}
    files = [ROOT / "docs/how-to/deploy" / name for name in ("alerts.yml", "dashboard.json")]
    for file in files:
        text = file.read_text(encoding="utf-8").replace('\\"', '"')
        used = re.findall(r"\b(tweeter_[a-z_]+)(?:\{([^}]*)\})?", text)
        assert len(used) > 10
        for name, selector in used:
            base = re.sub("_(bucket|count|sum)$", "", name)
            name = base if base in histograms else name
            assert name in labels, (file.name, name)
            assert set(re.findall(r"(\w+)[=!]~?\"", selector)) <= labels[name], (file.name, name, selector)
    shown = "".join(file.read_text(encoding="utf-8") for file in files)
    elsewhere = {"tweeter_timeline_ids_total", "tweeter_relay_holds_lease"}
    assert not [name for name in labels.keys() - elsewhere if name not in shown]
    alerts = set(re.findall(r"alert: (\w+)", files[0].read_text(encoding="utf-8")))
    assert alerts == set(re.findall(r"`(Tweeter\w+)`", (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")))
    panels = json.loads(files[1].read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10


def test_units_are_valid(tmp_path: Path) -> None:
    """systemd's own check. Their programs and users are those of the deployed machine: stand-ins here."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    units = []
    for unit in sorted((ROOT / "docs/how-to/deploy").glob("tweeter*.*")):
        text = re.sub(r"^ExecStart=\S+", f"ExecStart={program}", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
        copy = tmp_path / unit.name.replace("@.", "@1.")
        copy.write_text(text, encoding="utf-8")
        units.append(str(copy))
    assert len(units) == 5
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "tweeter" in line or str(tmp_path) in line]
    assert (ours, done.returncode) == ([], 0), done.stderr


def test_the_commands_of_the_deployment_guide_are_valid_shell() -> None:
    """`docs/how-to/deploy/try` runs them on an empty machine."""
    text = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    script = "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False).stderr == ""
    for name in re.findall(r"\]\(deploy/([^)]+)\)", text):
        assert (ROOT / "docs/how-to/deploy" / name).exists()
