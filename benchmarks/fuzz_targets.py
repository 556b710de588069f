"""What reads bytes of strangers, one function each, and what it may raise and cost.

Each target takes any bytes, and either returns or raises an error of the project. It may take `CPU_S` and
`CPU_S_PER_BYTE` for each byte, and `BYTES_PER_BYTE` of memory beyond `BYTES`. Seeds lie in
``tests/corpus/<target>/``.
"""

from __future__ import annotations

__all__ = [
    "BYTES",
    "BYTES_PER_BYTE",
    "CORPUS",
    "CPU_S",
    "CPU_S_PER_BYTE",
    "TARGETS",
    "Cost",
    "broken",
    "measured",
    "seeds_of",
]

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryoflux.claims.document import parse_claim
from cryoflux.claims.evidence import unpack
from cryoflux.data.examples import normalise
from cryoflux.data.prepared import load_examples
from cryoflux.digests import CHECKSUMS, read_tensor_entries, sha256_hex
from cryoflux.energy.account.settlement import parse_settlement
from cryoflux.errors import CryoFluxError
from cryoflux.expression import parse_expression
from cryoflux.receipts.checkpoint import parse_note, parse_verifier_key
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.proof import parse_proof
from cryoflux.receipts.store import StoredRows
from cryoflux.receipts.tiles import is_bundle, parse_tile_path
from cryoflux.registry.plain_adapter import adapter_settings
from cryoflux.registry.plain_tokenizer import tokenizer_complaints
from cryoflux.signing.envelope import parse_envelope
from cryoflux.signing.keys import load_public_key
from cryoflux.state import ADAPTER_CONFIG
from cryoflux.tasks.lora.section import SECTIONS
from cryoflux.verification.artefacts import read_losses
from cryoflux.verification.folders import compare_folder
from cryoflux.verification.steps import verify_target
from cryoflux.witness.evidence import parse_equivocation
from cryoflux.witness.policy import parse_policy
from cryoflux.witness.submission import parse_submission

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
CPU_S = 0.25
"""that any input may take, however short"""
CPU_S_PER_BYTE = 20e-6
BYTES = 8 << 20
"""of memory that any input may take"""
BYTES_PER_BYTE = 100
_KEPT = TemporaryDirectory(prefix="cryoflux-fuzz-")  # goes with the process
_PLACE = Path(_KEPT.name)


def _file(content: bytes, name: str) -> Path:
    path = _PLACE / name
    path.write_bytes(content)
    return path


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _rows(content: bytes) -> None:
    rows = StoredRows(_file(content, "receipts.db"))
    try:
        for _ in rows:
            pass
    finally:
        rows.close()


def _folder(content: bytes) -> None:
    (_PLACE / "folder").mkdir(exist_ok=True)
    compare_folder(_file(content, f"folder/{CHECKSUMS}").parent, sha256_hex(content))


def _losses(content: bytes) -> None:
    with suppress(ValueError):
        read_losses(_file(content, "losses.bin"), sha256_hex(content), len(content) // 18)


def _examples(content: bytes) -> None:
    with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
        for example in load_examples(_file(content, "holdout.jsonl")):
            normalise(example.text)


def _bundle(content: bytes) -> None:
    is_bundle(content, [b"x" * 300, b"y" * 300])
    parse_tile_path(_text(content[:200]))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "envelope": parse_envelope,
    "entry": lambda content: parse_entry(0, content),
    "statement": parse_statement,
    "checkpoint": parse_note,
    "verifier-key": lambda content: parse_verifier_key(_text(content)),
    "proof": parse_proof,
    "claim": parse_claim,
    "packed": lambda content: unpack(content, 3),
    "expression": lambda content: parse_expression(_text(content)),
    "tile": _bundle,
    "settlement": lambda content: parse_settlement(_text(content)),
    "policy": parse_policy,
    "equivocation": parse_equivocation,
    "submission": parse_submission,
    "safetensors": lambda content: read_tensor_entries(_file(content, "model.safetensors")),
    "adapter-config": lambda content: adapter_settings(_file(content, ADAPTER_CONFIG).parent),
    "tokenizer": lambda content: tokenizer_complaints(_file(content, "tokenizer.json").parent, {}),
    "export": lambda content: verify_target(_file(content, "export.jsonl"), sections=SECTIONS),
    "losses": _losses,
    "examples": _examples,
    "checksums": _folder,
    "key": lambda content: load_public_key(_file(content, "key.pub")),
    "database": _rows,
}
"""name → what reads bytes"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one input cost."""

    cpu_s: float
    peak_bytes: int
    error: BaseException | None
    """that is none of the project's"""


def measured(target: str, content: bytes, *, memory: bool = False) -> Cost:
    """What a target does with some bytes; memory is only measured where it is asked for."""
    read, error = TARGETS[target], None
    if memory:
        tracemalloc.start()
    before = time.process_time()
    try:
        read(content)
    except CryoFluxError:
        pass
    except BaseException as found:
        if isinstance(found, KeyboardInterrupt):
            raise
        error = found
    cost = time.process_time() - before
    peak = tracemalloc.get_traced_memory()[1] if memory else 0
    tracemalloc.stop()
    return Cost(cost, peak, error)


def broken(target: str, content: bytes, *, memory: bool = False) -> str:
    """How a target breaks its promise on some bytes; empty where it keeps it."""
    found = measured(target, content, memory=memory)
    if found.error is not None:
        return f"raised {type(found.error).__name__}: {str(found.error)[:200]}"
    if memory:
        most = BYTES + BYTES_PER_BYTE * len(content)
        if found.peak_bytes > most:  # once more: the first time may have imported something
            found = measured(target, content, memory=True)
        return f"took {found.peak_bytes} bytes of memory" if found.peak_bytes > most else ""
    most_s = CPU_S + CPU_S_PER_BYTE * len(content)
    if found.cpu_s > most_s:  # once more: the first time may have imported something
        found = min((measured(target, content) for _ in range(2)), key=lambda cost: cost.cpu_s)
    return f"took {found.cpu_s:.2f} s of CPU time" if found.cpu_s > most_s else ""


def seeds_of(target: str) -> list[bytes]:
    """The inputs that are kept for a target; an empty one where there are none."""
    folder = CORPUS / target
    return [path.read_bytes() for path in sorted(folder.glob("*"))] or [b""]
