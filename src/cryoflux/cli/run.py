"""``cryoflux run``: the main job."""

from __future__ import annotations

__all__ = ["run"]

import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.console import JsonOption, StateOption, stderr
from cryoflux.cli.data_options import (
    AuditOption,
    BalanceOption,
    EncodingOption,
    HoldoutOption,
    HoldoutSizeOption,
    LabelColumnOption,
    MostDroppedOption,
    SpareHoldoutsOption,
    TextColumnOption,
)
from cryoflux.cli.data_options import setting_option as _option
from cryoflux.errors import ExitCode, UsageError
from cryoflux.quantities import parse_duration, parse_energy

if TYPE_CHECKING:
    from cryoflux.cli.log_file import FileView
    from cryoflux.cli.run_view import RunView
    from cryoflux.runs.summary import Summary
    from cryoflux.runs.watching import Watching
    from cryoflux.settings import DataSettings


def _said(what: str, done: int, count: int) -> None:
    if stderr.is_terminal or done == count:
        begin, end = ("\r", "" if done < count else "\n") if stderr.is_terminal else ("", "\n")
        sys.stderr.write(f"{begin}… {what}: {done} of {count}{end}")
        sys.stderr.flush()


_OF_THE_RUN = {
    *("budget", "carry", "duration", "attempts", "watch", "log"),
    *("explain", "verbose", "dry_run", "debug", "as_json", "dashboard"),
}
"""options that are no settings"""


def _log_views(path: str | None) -> list[FileView]:
    """What writes events to a file; SIGHUP opens it anew, as logrotate's signal does."""
    if path is None:
        return []
    from cryoflux.cli.log_file import FileView, LogFile

    file = LogFile(Path(path), stderr.print)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda _signal, _frame: file.ask_reopen())
    return [FileView(file)]


def _watching(folder: str | None, views: Sequence[RunView], data: DataSettings) -> Watching | None:
    if folder is None:
        return None
    from cryoflux.data.columns import Wishes
    from cryoflux.runs.watching import Watching

    if not Path(folder).is_dir():
        raise UsageError(
            f"{folder} is no folder.",
            why="Files that arrive in it are read.",
            hint=f"Make it: mkdir -p {shlex.quote(folder)}.",
        )

    def settled(summary: Summary) -> None:
        for view in views:
            view.summary(summary)

    return Watching(Path(folder), settled, wishes=Wishes.of(data))


def _pages(state: Path, *, as_json: bool) -> AbstractContextManager[object]:
    """Live pages beside the run; a browser is opened where a person sees it."""
    from cryoflux.cli.dashboard import seen_by_somebody
    from cryoflux.cli.run_pages import open_pages

    return open_pages(state, open_browser=not as_json and seen_by_somebody())


def run(
    budget: Annotated[
        str | None, typer.Option(help="All that this run may spend.", metavar="ENERGY, e.g. 2kJ")
    ] = None,
    carry: Annotated[bool, typer.Option("--carry", help="Spend what earlier runs left over, too.")] = False,
    duration: Annotated[
        str | None, typer.Option("--for", help="Start no attempt after this.", metavar="TIME, e.g. 30m")
    ] = None,
    attempts: Annotated[int | None, typer.Option(help="Make at most so many attempts.", min=1)] = None,
    train: Annotated[
        str | None, _option("Labelled texts: CSV, JSONL, parquet, …", "--train", metavar="FILE")
    ] = None,
    holdout: HoldoutOption = None,
    audit: AuditOption = None,
    text_column: TextColumnOption = None,
    label_column: LabelColumnOption = None,
    encoding: EncodingOption = None,
    most_dropped: MostDroppedOption = None,
    balance: BalanceOption = None,
    model: Annotated[str | None, _option("Hugging Face id or folder.", "--model", metavar="ID|DIR")] = None,
    new_head: Annotated[
        str | None, _option("frequencies, or zero where others begin likewise.", "--new-head")
    ] = None,
    task: Annotated[
        list[str] | None,
        _option("What is improved: a task's name or module:Class; once for each.", "--task", metavar="NAME"),
    ] = None,
    index: Annotated[
        str | None, _option("Folder of documents, for index_refresh.", "--index", metavar="DIR")
    ] = None,
    queries: Annotated[
        str | None, _option("CSV of query,document that the index is judged by.", "--queries", metavar="FILE")
    ] = None,
    encoder: Annotated[
        str | None, _option("What embeds; else the head of lora_delta.", "--encoder", metavar="ID|DIR")
    ] = None,
    query_count: Annotated[int | None, _option("Most queries of a set of them.", "--query-count")] = None,
    document_tokens: Annotated[
        int | None, _option("Documents are cut to so many tokens.", "--document-tokens")
    ] = None,
    min_delta_mrr: Annotated[
        float | None, _option("Loss of MRR@10 that has to be ruled out.", "--min-delta-mrr")
    ] = None,
    index_reserve: Annotated[
        str | None, _option("Energy reserved for refreshing the index.", "--index-reserve", metavar="ENERGY")
    ] = None,
    state: StateOption = None,
    agent: Annotated[str | None, _option("Spend from this daemon.", "--agent", metavar="URL")] = None,
    token: Annotated[
        str | None, _option("Bearer token of the daemon, or of the workers' one.", "--token")
    ] = None,
    timeout: Annotated[float | None, _option("How long the daemon is waited for, s.", "--timeout")] = None,
    workers: Annotated[int | None, _option("Workers that train at once; 0 for none.", "--workers")] = None,
    fleet: Annotated[
        str | None, _option("Where they are: local, or a Ray cluster.", "--fleet", metavar="local|ray://…")
    ] = None,
    worker_agent: Annotated[
        str | None,
        _option("JouleAgent that meters workers, on their machine.", "--worker-agent", metavar="URL"),
    ] = None,
    worker_silence: Annotated[
        int | None, _option("A worker that is not heard of for so long is lost, s.", "--worker-silence")
    ] = None,
    seed: Annotated[int | None, _option("Seed of every random choice.", "--seed")] = None,
    rule: Annotated[str | None, _option("evidence/v3, v2 or v1, or whitepaper/v1.", "--rule")] = None,
    reserve: Annotated[
        str | None, _option("Energy reserved for an attempt.", "--reserve", metavar="ENERGY")
    ] = None,
    recipes: Annotated[
        str | None, _option("Recipes to choose from, with commas.", "--recipes", metavar="NAMES")
    ] = None,
    policy: Annotated[str | None, _option("chain-eta/v1, prior-eta/v1 or uniform/v1.", "--policy")] = None,
    rank: Annotated[int | None, _option("LoRA rank.", "--rank")] = None,
    alpha: Annotated[int | None, _option("LoRA scale is alpha / rank.", "--alpha")] = None,
    dropout: Annotated[float | None, _option("LoRA dropout.", "--dropout")] = None,
    learning_rate: Annotated[float | None, _option("Peak learning rate.", "--learning-rate")] = None,
    batch_size: Annotated[int | None, _option("Examples a step.", "--batch-size")] = None,
    max_steps: Annotated[int | None, _option("Most training steps of an attempt.", "--max-steps")] = None,
    slice_size: Annotated[
        int | None, _option("Most training examples of an attempt.", "--slice-size")
    ] = None,
    class_weights: Annotated[
        str | None,
        _option("How much rare classes count in training: none, sqrt, balanced.", "--class-weights"),
    ] = None,
    cache_mb: Annotated[
        int | None, _option("Most disk for the cache between runs, MB.", "--cache-mb")
    ] = None,
    max_tokens: Annotated[
        int | None, _option("Texts are cut to so many tokens; 0 for what the data say.", "--max-tokens")
    ] = None,
    reading: Annotated[
        str | None, _option("head, or head-tail to read the ends of long texts too.", "--reading")
    ] = None,
    holdout_size: HoldoutSizeOption = None,
    spare_holdouts: SpareHoldoutsOption = None,
    leak_guard: Annotated[
        float | None,
        _option(
            "Leave out training texts with such a cosine to one that judges; embeds every text, ~20 ms each.",
            "--leak-guard",
            metavar="COSINE, e.g. 0.85",
        ),
    ] = None,
    monitor: Annotated[
        str | None,
        _option("Fresh labelled examples that heads are held against.", "--monitor", metavar="FILE"),
    ] = None,
    monitor_size: Annotated[
        int | None, _option("Examples split off to hold heads against.", "--monitor-size")
    ] = None,
    error_budget: Annotated[
        float | None, _option("Most probability of ever keeping what is no improvement.", "--error-budget")
    ] = None,
    min_delta: Annotated[float | None, _option("Smallest Δ to keep, nats.", "--min-delta")] = None,
    min_accuracy_gain: Annotated[
        float | None, _option("Smallest accuracy gain to keep, 0 to 1.", "--min-accuracy-gain")
    ] = None,
    z: Annotated[float | None, _option("Standard errors that evidence/v1 needs.", "--z")] = None,
    credit: Annotated[str | None, _option("grant, or net to credit metered energy.", "--credit")] = None,
    tdp_w: Annotated[float | None, _option("TDP of these CPUs for the model, W.", "--tdp-w")] = None,
    trust: Annotated[
        str | None, _option("Policy that names the log's witnesses.", "--trust", metavar="FILE")
    ] = None,
    witnessing: Annotated[
        str | None, _option("async, or required to keep nothing without a quorum.", "--witnessing")
    ] = None,
    device: Annotated[str | None, _option("auto, cpu or cuda.", "--device")] = None,
    threads: Annotated[int | None, _option("CPU threads; 0 for the most frugal number.", "--threads")] = None,
    watch: Annotated[
        str | None,
        _option("Go on until stopped; files that arrive there join.", "--watch", metavar="DIR"),
    ] = None,
    log: Annotated[
        str | None, _option("Write events there as JSON lines, too.", "--log", metavar="FILE")
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say why each recipe was chosen.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show rule, model, recipes and evidence too.")
    ] = False,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Show live pages of it, for as long as it goes on.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan; write and spend nothing.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error in a task of your own.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Spend an energy budget on LoRA updates; keep what measurably helps; leave a receipt for each.

    Every option from --train on, but for --explain, --verbose, --dashboard, --dry-run, --debug and --json, is
    a setting too: a CRYOFLUX_* variable and a line of cryoflux.toml; `cryoflux config show` lists them.
    """
    flags = {key: value for key, value in locals().items() if key not in _OF_THE_RUN}
    flags["task"] = ",".join(task) if task else None
    flags["index"] = index or watch
    budget_uj = parse_energy(budget) if budget is not None else None
    seconds = parse_duration(duration) if duration is not None else None

    from cryoflux.config import load_settings

    sourced = load_settings(flags)
    if not sourced.settings.agent.agent:
        from cryoflux.energy.platforms import check_platform

        check_platform(sourced.settings.energy, sys.platform)
    if dry_run:
        from cryoflux.cli.plan_view import show_plans
        from cryoflux.runs.dry_run import make_plans

        show_plans(make_plans(sourced, budget_uj, carry=carry, progress=_said), as_json=as_json)
        return

    from cryoflux.cli.interrupts import Interrupts
    from cryoflux.cli.run_view import Shown, view_for
    from cryoflux.energy.derived import rates_of
    from cryoflux.energy.started import Started
    from cryoflux.report.monitor_words import watched_lines
    from cryoflux.runs.makers import RunLimits
    from cryoflux.runs.session import run as spend

    terminal = stderr.is_terminal
    show = Shown(explain, verbose, watched_lines(watch, sourced.settings.monitor.monitor))
    state_folder = Path(sourced.settings.run.state)
    with ExitStack() as opened:
        interrupts = opened.enter_context(Interrupts.heard())
        observers = _log_views(log)
        if dashboard:
            opened.enter_context(_pages(state_folder, as_json=as_json))
        on_closed = interrupts.output_closed
        view = opened.enter_context(
            view_for(as_json=as_json, show=show, terminal=terminal, on_closed=on_closed)
        )
        view.rates, view.stamped = rates_of(sourced.settings.energy), watch is not None
        limits = RunLimits(budget_uj, seconds, attempts, carry)
        summary = spend(
            sourced,
            limits,
            observers=[view, *observers],
            stop=lambda: interrupts.asked,
            started=Started.with_process(),
            watching=_watching(watch, [view, *observers], sourced.settings.data),
        )
        for one in (view, *observers):
            one.summary(summary)
    if watch is not None and summary.ended == "interrupted":
        return  # it was to go on until it is stopped
    if summary.exit_code is not ExitCode.DONE:
        sys.exit(int(summary.exit_code))
