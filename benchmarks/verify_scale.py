"""How long a log of many entries takes to verify, wholly: every step, every signature, the account too.

    python benchmarks/verify_scale.py --entries 1000000 --folder long

leaves a state in the folder that ``cryoflux verify long`` reads (`long_state`), or takes the one that
lies there, and says what verifying it costs: in all; once more, when it was verified before
(``--trust-memory``, ``--only-new``); and when 1,000 entries were added since. Wall seconds, CPU seconds of
this process and of its workers, and the most memory that each of them had. Each is measured in a process of
its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.proof import check_proof, prove
from cryoflux.receipts.store import StoredRows
from cryoflux.signing.keys import KEYS_FOLDER, LOG_KEY, RECEIPT_KEY, load_key
from cryoflux.state import StateFolder
from cryoflux.tasks.lora.section import SECTIONS
from cryoflux.verification.result import Status
from cryoflux.verification.steps import verify_target
from cryoflux.verification.verified import Trust
from long_state import grow

_MORE = 1_000


def spent_s(who: int) -> float:
    """CPU seconds of this process, or of those that it waited for."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def verify_once(state: Path, heads: Path | None, trust: Trust) -> dict[str, float]:
    """What one verification costs; it has to find nothing."""
    began, cpu_s = time.perf_counter(), spent_s(resource.RUSAGE_SELF)
    report = verify_target(state, sections=SECTIONS, heads=heads, trust=trust)
    wall_s, cpu_s = time.perf_counter() - began, spent_s(resource.RUSAGE_SELF) - cpu_s
    for check in report.checks:
        if check.status is Status.FAIL:
            raise SystemExit(f"{check.number} {check.subject}: {check.detail}")
    workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "entries": report.entries,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "workers_cpu_s": spent_s(resource.RUSAGE_CHILDREN),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mib": workers.ru_maxrss / 1024,
    }


def measure(what: str, state: Path, heads: Path | None, trust: Trust = Trust.NOTHING) -> None:
    """The same in a process of its own, and a line about it."""
    command = [sys.executable, __file__, "--once", str(state)]
    command += ["--heads", str(heads)] if heads is not None else []
    command += ["--trust", trust.value]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    each = 1e6 * (found["cpu_s"] + found["workers_cpu_s"]) / found["entries"]
    cpu = (
        f"CPU {found['cpu_s']:7.2f} s + {found['workers_cpu_s']:7.2f} s in workers ({each:6.1f} µs an entry)"
    )
    memory = f"{found['mib']:5.0f} MiB + {found['worker_mib']:4.0f} each"
    print(f"{what:<30} {found['wall_s']:8.2f} s wall, {cpu}, {memory}", flush=True)


def proofs(state: Path, count: int) -> None:
    """One proof, made and checked."""
    began = time.perf_counter()
    proof = prove(state, count // 3)
    made_s = time.perf_counter() - began
    names = (RECEIPT_KEY, LOG_KEY)
    key, log_key = (load_key(state / KEYS_FOLDER, name, create=False).public_key() for name in names)
    began = time.perf_counter()
    check_proof(proof, key, log_key)
    print(f"one proof: made in {made_s:.2f} s, checked in {time.perf_counter() - began:.4f} s")


def opened(state: Path) -> None:
    """How long it takes to open the log for writing."""
    began = time.perf_counter()
    ReceiptLog.open(state).close()
    print(f"opened for appending in {time.perf_counter() - began:.2f} s")


def size_of(state: Path) -> int:
    """Entries of a state's log."""
    rows = StoredRows(StateFolder(state).receipts)
    try:
        return len(rows)
    finally:
        rows.close()


def main() -> None:
    """Make a state, and time what is done with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where to make the state; kept afterwards")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--heads", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--trust", type=Trust, default=Trust.NOTHING, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once is not None:
        print(json.dumps(verify_once(options.once, options.heads, options.trust)))
        return
    state = options.folder or Path(mkdtemp(prefix="verify-scale-")) / "state"
    print(f"{options.entries} entries, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    if not StateFolder(state).receipts.exists():
        began = time.perf_counter()
        grow(state, options.entries)
        print(f"made in {time.perf_counter() - began:.1f} s", flush=True)
    heads = Path(mkdtemp(prefix="verify-scale-heads-"))
    measure("verified wholly", state, heads)
    measure("again, with --trust-memory", state, heads, Trust.JUDGED)
    measure("again, with --only-new", state, heads, Trust.READ)
    grow(state, size_of(state) + _MORE)
    measure(f"{_MORE} more, with --only-new", state, heads, Trust.READ)
    opened(state)
    proofs(state, size_of(state))
    shutil.rmtree(heads)
    if not options.folder:
        shutil.rmtree(state.parent)


if __name__ == "__main__":
    main()
