"""What a person sees: lines that fit, whole words, one word an outcome, and nothing by colour alone."""

from __future__ import annotations

import io
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.live import Live

from cryoflux.attempt.watch import Step
from cryoflux.cli import console
from cryoflux.cli.live_view import LiveView
from cryoflux.cli.run_view import PlainView, Shown
from cryoflux.energy.started import Started
from cryoflux.report.layout import plain, table, unbroken, wrap
from cryoflux.report.monitor_words import watched_lines
from cryoflux.runs.inputs import stored_origins
from cryoflux.runs.makers import RunLimits
from cryoflux.runs.open_session import OpenSession
from cryoflux.runs.opening import opening_of
from cryoflux.runs.spending import spend
from cryoflux.tasks.pacing import Progress
from running import exit_code_of
from small_context import NOISY, WORSE, Made, ToyTask, gained
from small_runs import no_power_cuts, run, small
from synthetic_state import SyntheticState

pytestmark = pytest.mark.usefixtures("elsewhere")

__all__ = ["no_power_cuts", "run", "small"]

WIDTHS = [80, 100]
WORD = st.text(st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1, max_size=12)


def too_long(text: str, width: int) -> list[str]:
    """Lines that do not fit, but for a path or digest that is too long itself, and commands to type."""
    return [
        line
        for line in text.splitlines()
        if len(line) > width
        and max(map(len, line.split())) <= width - 14
        and not re.match(r"(next)? +cryoflux ", line)
    ]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "command",
    [
        "verify --no-memory",
        "receipts list",
        "receipts list --intents",
        "receipts show #2",
        "models show #1",
        "report",
        "keys show",
    ],
)
def test_the_output_of_a_command_fits(
    command: str,
    width: int,
    pristine: SyntheticState,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(pristine.path.parent)
    arguments = [*command.split(), "--state", pristine.path.name]
    monkeypatch.delenv("COLUMNS", raising=False)
    assert exit_code_of(monkeypatch, *arguments) == 0
    whole = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", str(width))
    assert exit_code_of(monkeypatch, *arguments) == 0
    shown = capsys.readouterr().out
    assert too_long(shown, width) == []
    assert shown.split() == whole.split(), "no word is cut, lost or moved"


@pytest.mark.parametrize("command", ["", "run", "energy", "receipts", "models", "verify", "agent"])
def test_a_help_page_fits_and_no_description_breaks_off(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code_of(monkeypatch, *command.split(), "--help")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and "ARGS" not in line]


def test_commands_are_in_groups_and_options_have_their_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code_of(monkeypatch, "--help")
    shown = capsys.readouterr().out
    headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    groups = ["Learn", "Measure", "Check and prove", "Share with others", "Keys and witnesses", "Settings"]
    assert headings[1:] == [f"{group}:" for group in groups]
    assert "Measure any command" in shown
    exit_code_of(monkeypatch, "run", "--help")
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        "Energy reserved for an attempt. [default: (120J)]",
        "LoRA rank. [default: (the recipe's)]",
    ):
        assert words in said


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("verbose", [False, True])
def test_a_run_fits(
    run, width: int, verbose: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    view = PlainView(lambda: None, Shown(verbose=verbose))
    run.attempt(WORSE)
    run.task.plans += [WORSE, NOISY, Made(900_000_000, stopped_by="interrupt")]
    origins = stored_origins(run.state)
    session = OpenSession(run.context, run.agent.bucket_uj(), Started.now())
    view.opened(opening_of(run.context, origins, session))
    summary = spend(run.context, RunLimits(attempts=3), view, time.monotonic(), session)
    view.summary(summary)
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert too_long(shown, width) == []
    begun = [line for line in lines if line.startswith("#")]
    assert [line.split()[0] for line in begun] == ["#2", "#3", "#4"], "numbers go on from run to run"
    assert [line.split()[2] for line in begun] == ["rejected", "undecided", "aborted"]
    assert verbose or lines.index(begun[0]) == 3, "three lines before the first attempt"
    said = " ".join(shown.split())
    assert ("attempts go on from #2" in said) == verbose
    assert "Δ +0.0200 steps, anytime [" in said
    assert "not proven yet, not ruled out" in said
    assert "ended As many attempts as were asked for are made: 3." in said
    assert ("rule evidence/v2" in said) == verbose


def test_the_interval_beside_a_verdict_is_the_one_that_it_went_by(
    run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside "not proven yet" the interval holds zero, beside "kept" it lies above."""
    monkeypatch.setenv("COLUMNS", "100")
    view = PlainView(lambda: None, Shown())
    for plan in (Made(970_000_000, noise=90_000_000), Made(900_000_000, noise=60_000_000)):
        view.finished(run.attempt(plan))
    said = " ".join(capsys.readouterr().out.split())
    found = re.findall(r"[✓?] (kept|undecided) .*?anytime \[([+-][0-9.]+), ", said)
    assert {word for word, _ in found} == {"kept", "undecided"}
    assert all((float(low) > 0) == (word == "kept") for word, low in found)


class Screening(ToyTask):
    screens = True


def test_a_refused_update_is_rejected_by_its_screen(small, capsys: pytest.CaptureFixture[str]) -> None:
    run = small(Screening)
    PlainView(lambda: None, Shown()).finished(run.attempt(Made(900_000_000, screening=gained(1_000))))
    assert re.search(r"✗ rejected .*screen: Δ is below 0.002", capsys.readouterr().out)


def test_what_is_watched_is_said_when_it_begins() -> None:
    assert watched_lines(None, "") == ()
    folder, monitor = watched_lines("in", "fresh.csv")
    assert folder.startswith("watches  in: ")
    assert monitor.startswith("monitor  fresh.csv: ")


def test_the_steps_of_a_live_run_are_the_ten_in_their_order(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base is evaluated before training: that is no sixth step before the fifth."""
    seen: list[str] = []

    class Seen(LiveView):
        def _draw(self, *, now: bool = False) -> None:
            seen.append(self._doing)

    run.change(observer=Seen(None, lambda: None, Shown()))
    run.attempt()
    numbers = [int(re.search(r"(\d+)/10", doing)[1]) for doing in seen if "/10" in doing]
    assert numbers == sorted(numbers)
    assert list(dict.fromkeys(numbers)) == list(range(1, len(Step) + 1))
    assert any("for the base" in doing for doing in seen)


def test_the_bar_of_a_run_with_workers_keeps_what_was_spent_while_an_update_is_judged() -> None:
    pictures = io.StringIO()
    terminal = Console(file=pictures, width=100)
    view = LiveView(Live(console=terminal, auto_refresh=False), lambda: None, Shown())
    view.spendable_uj = 50_000_000
    view.trained(Progress(1, 0, 0.5, 20_000_000), 40_000_000)
    terminal.print(view._live.renderable)
    view._drawn = 0.0
    view.at_work({"w1": None})  # delivered: its meter's word is with the coordinator
    terminal.print(view._live.renderable)
    assert pictures.getvalue().count("20.0 J of 50.0 J") == 2


@given(st.lists(WORD, min_size=1, max_size=40), st.integers(24, 100), st.integers(0, 9))
def test_wrapping_cuts_no_word_and_keeps_to_the_width(words: list[str], width: int, indent: int) -> None:
    text = " ".join(words)
    lines = wrap(text, width, indent)
    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == words
    assert all(line.startswith(" " * indent) for line in lines[1:])


def test_pieces_numbers_and_commands_are_kept_whole() -> None:
    assert wrap("#1  kept  Δ +0.1 nats  73.8 J, modelled", 24, 5) == [
        "#1  kept  Δ +0.1 nats",
        "     73.8 J, modelled",
    ]
    assert wrap("it took 73.8 J", 13, 0) == ["it took", "73.8 J"]
    command = unbroken("cryoflux verify state --recompute 1")
    assert wrap(f"next     {command}", 20, 9) == ["next     cryoflux verify state --recompute 1"]


def test_a_column_that_is_empty_is_left_out() -> None:
    rows = [("a", "b", "c"), ("1", "", "xx"), ("22", "", "y")]
    assert table(rows, (True, False, False)) == [" a  c", " 1  xx", "22  y"]


def test_an_ascii_terminal_tells_passed_failed_and_unknown_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain("✓ ✗ ? Δ → η", "ascii") == "ok FAIL ? delta -> eta"
    assert plain("✓ Δ", "utf-8") == "✓ Δ"
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", written)
    output = console._Output(stderr=False)
    output.print("✗  9  artefacts: Δ")
    written.flush()
    assert written.buffer.getvalue() == b"FAIL  9  artefacts: delta\n"


def test_colour_comes_with_a_word_and_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(**environ: str) -> str:
        written = io.StringIO()
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.stdout", written)
        console._Output(stderr=False).print("#1  ✓ kept  lean")
        return written.getvalue()

    assert shown() == "#1  ✓ kept  lean\n"
    coloured = shown(FORCE_COLOR="1", TERM="xterm")
    assert "\x1b[32m✓ kept\x1b[0m" in coloured
    assert "\x1b[32m" not in shown(FORCE_COLOR="1", TERM="xterm", NO_COLOR="1")
