"""Slips of the hand: what cannot be is said as such, and what to type next is right."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from cryoflux.cli.doctor import PACKAGES
from running import exit_code_of
from synthetic_state import SyntheticState

pytestmark = pytest.mark.usefixtures("elsewhere")

ROOT = Path(__file__).parents[3]
PLACE = re.compile(r"\b\w*(?:path|folder|state|file|output|target|root|socket|public|trace)\w*\b")


def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object
) -> tuple[int, str]:
    code = exit_code_of(monkeypatch, *words)
    return code, " ".join(capsys.readouterr().err.split())


WRITES = {
    "report": ("--svg", "-o"),
    "models card": ("-o",),
    "export": ("-o",),
    "claim": ("kept >= 1", "-o"),
    "receipts export": ("-o",),
    "receipts proof": ("1", "-o"),
}


@pytest.mark.parametrize("command", WRITES)
def test_a_file_that_cannot_be_made_is_a_slip_and_no_fault_of_the_disk(
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: str,
) -> None:
    (tmp_path / "a folder").mkdir()
    words = [*command.split(), *WRITES[command]]
    for place, error, hint in (
        ("no where/x.svg", "no where is not a folder.", "mkdir -p 'no where'"),
        ("a folder", "a folder is a folder.", "'a folder/NAME'"),
        ("", ". is a folder.", "NAME"),
    ):
        if command == "receipts export" and not place:
            continue  # an empty name is no option that it would take
        code, text = said(monkeypatch, capsys, *words, place, "--state", pristine.path)
        assert (code, error in text, hint in text) == (2, True, True), text
    assert [path.name for path in tmp_path.iterdir()] == ["a folder"]


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "1e300"])
@pytest.mark.parametrize("option", ["--delta", "--spread"])
def test_a_number_that_no_contract_can_hold_is_a_slip(
    option: str, number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("contract", "check", "--clause", "delta >= 0.05 nats", "--spread", "0.8", option, number)
    code, text = said(monkeypatch, capsys, *words)
    assert (code, f"Invalid value for '{option}'" in text) == (2, True), text


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("report --svg -o", "cryoflux report"),
        ("report --plto x", "cryoflux report"),
        ("receipts show", "cryoflux receipts show"),
        ("receipts shw", "cryoflux receipts"),
        ("energy fit-curve --seconds x", "cryoflux energy fit-curve"),
        ("rn", "cryoflux"),
    ],
)
def test_a_slip_in_the_options_of_a_command_leads_to_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, command: str
) -> None:
    code, text = said(monkeypatch, capsys, *words.split())
    assert (code, text.endswith(f"See what it takes: {command} --help.")) == (2, True), text


def test_a_claim_that_is_not_there_is_said_to_be_missing_whatever_is_asked_of_it(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = pristine.path / "keys"
    named = ["--key", keys / "receipt.pub", "--log-key", keys / "log.pub"]
    for options in ([], named):
        code, text = said(monkeypatch, capsys, "verify", "claim.json", *options)
        assert (code, "claim.json does not exist." in text, "cryoflux claim" in text) == (2, True, True), text


def test_what_cannot_be_written_is_no_success_of_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for place, code, able in (("/proc/x", 1, False), ("file/x", 1, False), ("new/state", 0, True)):
        assert exit_code_of(monkeypatch, "doctor", "--state", place) == code
        out = capsys.readouterr().out
        assert ("✗ " in out, f"state {place} can be written" in out) == (not able, able)
        assert exit_code_of(monkeypatch, "doctor", "--state", place, "--json") == code
        assert json.loads(capsys.readouterr().out)["state"]["writable"] is able
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_read_or_written_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(monkeypatch, capsys, "node", "demo", "--dir", "/proc/x")
    assert (code, "/proc/x could not be read or written: No such file" in text) == (5, True), text


def test_doctor_names_the_extra_that_has_a_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    owners = {"OpenSSL": ["pyopenssl"], **importlib.metadata.packages_distributions()}
    for module, said_extra in PACKAGES.items():
        extra = said_extra.removeprefix("cryoflux[").removesuffix("]")
        names = {re.split(r"[>=<[]", line)[0] for line in project["optional-dependencies"][extra]}
        assert names & {*owners.get(module, ()), module.replace("_", "-")}, module
    assert {extra.split("[")[1][:-1] for extra in PACKAGES.values()} == set(project["optional-dependencies"])


def test_the_recipes_are_shown_with_where_they_are_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "cryoflux.toml").write_text("[recipe.mine]\nrank = 4\n[recipe.lean]\nrank = 2\n")
    assert exit_code_of(monkeypatch, "config", "show", "--json") == 0
    found = json.loads(capsys.readouterr().out)["recipes"]
    assert (found["mine"]["value"]["rank"], found["lean"]["value"]["rank"]) == (4, 2)
    assert found["mine"]["origin"] == found["lean"]["origin"] == str(tmp_path / "cryoflux.toml")
    assert found["head-first"]["origin"] == "built in"
    assert exit_code_of(monkeypatch, "config", "show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("recipe.mine") and "rank=4" in line]


def test_who_breaks_a_command_off_is_told_that_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cryoflux.config.load_settings", pressed)
    assert said(monkeypatch, capsys, "config", "show") == (130, "interrupted")


def shown_in(text: ast.AST) -> list[ast.FormattedValue]:
    """The values of a text that no ``shlex.quote`` is around."""
    if isinstance(text, ast.Call) and ast.unparse(text.func) == "shlex.quote":
        return []
    own = [text] if isinstance(text, ast.FormattedValue) else []
    return own + [value for part in ast.iter_child_nodes(text) for value in shown_in(part)]


@cache
def hints() -> list[tuple[str, str]]:
    """Every value that stands unquoted in a hint, by the line that it is in."""
    found = []
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for text in (word.value for word in getattr(node, "keywords", ()) if word.arg == "hint"):
                found += [(f"{path.name}:{v.lineno}", ast.unparse(v)) for v in shown_in(text)]
    return found


def test_a_path_in_a_hint_is_quoted_for_the_shell() -> None:
    assert len(hints()) > 20
    known = ("shlex.quote", "!r", ".name", ".flag()")  # a flag has its folder quoted
    assert [(where, v) for where, v in hints() if PLACE.search(v) and not any(w in v for w in known)] == []


def test_a_seed_needs_a_draw_and_has_to_be_one(
    pristine: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("verify", pristine.path, "--spot-seed")
    code, text = said(monkeypatch, capsys, *asked, "head")
    assert (code, "without --spot-check" in text, "--spot-check 64" in text) == (2, True, True)
    code, text = said(monkeypatch, capsys, *asked, "tails", "--spot-check", "4")
    assert (code, "32 hexadecimal digits, or the word head" in text) == (2, True)
