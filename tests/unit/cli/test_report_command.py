"""``cryoflux report``: what goes where, in each format."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cryoflux.log_view import open_log
from cryoflux.report.log_words import log_lines
from running import exit_code_of
from synthetic_state import SyntheticState, open_state

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def state(tmp_path: Path) -> SyntheticState:
    made = open_state(tmp_path / "state")
    made.write_origin()
    made.attempt(0.05)
    made.screen_out()
    made.attempt(0.0005)
    made.session()
    made.finish()
    return made


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: object, code: int = 0
) -> tuple[str, str]:
    assert exit_code_of(monkeypatch, *words) == code
    return capsys.readouterr()


def test_lines_answer_what_it_cost_what_was_gained_how_sure_and_what_next(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = printed(monkeypatch, capsys, "report")
    for line in log_lines(open_log(state.path)):
        assert line in out
    assert "330.0 J [300, 360], modelled, all-in" in out
    assert "holdout  loss 0.9295 → 0.8746 nats, accuracy 0.0 → 85.9 %; Δ +0.0549\n" in out
    assert "probability of at most 5 %, however often it is looked at; 2 looks so far" in out
    assert "refused  1 stopped by the screen, such as #2: Δ " in out
    assert "next     The last run is over: what was left did not pay for another attempt" in out
    assert out.endswith("check    cryoflux verify state\n")


def test_a_state_can_be_named_either_way(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_place, _ = printed(monkeypatch, capsys, "report", state.path)
    by_option, _ = printed(monkeypatch, capsys, "report", "--state", state.path)
    assert by_place == by_option


def test_text_goes_to_stdout_and_files_say_where_they_are(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    out, err = printed(monkeypatch, capsys, "report", "--md")
    assert (out.startswith("# CryoFlux report: lora\\_delta\n"), err) == (True, "")
    for kind in ("svg", "pdf", "html"):
        out, err = printed(monkeypatch, capsys, "report", f"--{kind}")
        assert (out, err) == ("", f"written: report.{kind}\n")
    assert ET.fromstring(Path("report.svg").read_bytes())[0].text is not None
    assert Path("report.pdf").read_bytes().startswith(b"%PDF-")
    out, err = printed(monkeypatch, capsys, "report", "--json", "-o", "r.json")
    assert (out, err) == ("", "written: r.json\n")
    assert json.loads(Path("r.json").read_text("utf-8"))["schema"] == "cryoflux.report/2"
    assert printed(monkeypatch, capsys, "report", "--json", "-o", "r.json")[1] == "written: r.json\n"
    printed(monkeypatch, capsys, "report", "--pdf")


def test_every_format_says_the_same(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said, _ = printed(monkeypatch, capsys, "report", "--json")
    headline = json.loads(said)["results"]["headline"]
    markdown, _ = printed(monkeypatch, capsys, "report", "--md")
    assert headline in markdown
    printed(monkeypatch, capsys, "report", "--html")
    assert headline in Path("report.html").read_text("utf-8")


def test_what_is_not_ours_is_not_replaced_without_being_asked(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("report.html").write_text("my own page")
    _, err = printed(monkeypatch, capsys, "report", "--html", code=2)
    assert "no document of CryoFlux" in err
    assert Path("report.html").read_text() == "my own page"
    _, err = printed(monkeypatch, capsys, "report", "--html", "-o", "report.html")
    assert err == "report.html is replaced: it was no document of CryoFlux.\nwritten: report.html\n"
    _, err = printed(monkeypatch, capsys, "report", "--html")
    assert err == "written: report.html\n"


def test_two_states_stand_side_by_side_in_every_format(
    state: SyntheticState,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    other = state.fork(tmp_path / "other")
    other.attempt(0.03)
    other.session()
    other.finish()
    both = ("report", "state", "other")
    verdict = "B's head is better on the holdout set"
    out, _ = printed(monkeypatch, capsys, *both)
    assert verdict in out
    assert "audit accuracy" in out
    assert verdict in printed(monkeypatch, capsys, *both, "--md")[0]
    document = json.loads(printed(monkeypatch, capsys, *both, "--json")[0])
    assert document["tasks"][0]["head_to_head"][0]["delta"] > 0
    for kind in ("svg", "pdf", "html"):
        printed(monkeypatch, capsys, *both, f"--{kind}")
    assert "of two states" in Path("report.svg").read_text("utf-8")
    assert verdict in Path("report.html").read_text("utf-8").replace("&#39;", "'")
    printed(monkeypatch, capsys, *both, "--svg", "--figure", "progress")
    assert "A: Loss on the holdout goes from" in Path("report.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--md", "--svg"], "Two formats were asked for: --md, --svg."),
        (["a", "b", "c"], "3 states were named."),
        (["-o", "x.md"], "x.md was named, and no format."),
        (["nowhere"], "nowhere"),
        (["state", "--state", "state"], "A state was named twice"),
    ],
)
def test_slips_are_said_as_such(
    state: SyntheticState,
    words: list[str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said in printed(monkeypatch, capsys, "report", *words, code=2)[1]
    assert sorted(path.name for path in Path().iterdir()) == ["state"]


def test_without_matplotlib_text_is_written_all_the_same(
    state: SyntheticState, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "pip install 'cryoflux[report]'" in printed(monkeypatch, capsys, "report", "--svg", code=2)[1]
    assert printed(monkeypatch, capsys, "report", "--md")[0]


def test_a_pipe_or_a_device_is_not_replaced_by_a_file(
    state: SyntheticState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for command in (["report", "--md"], ["export"], ["models", "card"]):
        _, err = printed(monkeypatch, capsys, *command, "-o", pipe, code=2)
        assert "is no regular file" in err
    assert pipe.is_fifo()
