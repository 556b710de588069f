"""How long a log of many entries takes to append to, open, prove from and verify.

    python benchmarks/verify_scale.py --entries 100000

It repeats one announced and accepted attempt of a real log (``tests/vectors``) with sequence numbers, links
and signatures of its own, so every entry is valid, and every step of ``cryoflux verify`` has its work. Wall
seconds and CPU seconds of this process are reported. For comparison, securesystemslib (DSSE, Ed25519) checks
the signatures of a sample of the same envelopes, and nothing else.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux import database
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, sign_checkpoint
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.merkle import CompactRange, leaf_hash
from cryoflux.receipts.proof import check_proof, prove
from cryoflux.receipts.statement import ZERO_HASH, IntentStatement, Statement
from cryoflux.receipts.store import DATABASE, ReceiptStore
from cryoflux.signing.envelope import pae
from cryoflux.signing.keys import KEYS_FOLDER, key_id, load_key, load_public_key
from cryoflux.verification.artefacts import ARTEFACTS
from cryoflux.verification.history import read_history
from cryoflux.verification.material import read_material
from cryoflux.verification.result import Status
from cryoflux.verification.steps import STEPS
from cryoflux.verification.streaming import LARGE, verify_in_one_pass

SOURCE = Path(__file__).parents[1] / "tests" / "vectors" / "log-evidence-v1.jsonl"
BATCH = 10_000


def encode(document: object) -> bytes:
    """RFC 8785 bytes, for documents without floats and with ASCII keys."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def template() -> tuple[dict[str, Any], dict[str, Any]]:
    """An intent and its receipt, as they were signed."""
    said = [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in SOURCE.open("rb")]
    return said[0], said[1]


def model(number: int) -> dict[str, str]:
    """A model version; there are no files of it."""
    return {"digest": f"{number:064x}", "files": f"{number:064x}"}


def seal(payload: bytes, key: Ed25519PrivateKey, keyid: str) -> bytes:
    """The envelope of a payload."""
    signature = base64.b64encode(key.sign(pae(payload))).decode()
    said = {"payload": base64.b64encode(payload).decode(), "signatures": [{"keyid": keyid, "sig": signature}]}
    return encode({**said, "payloadType": "application/vnd.in-toto+json"})


def synthetic(count: int, key: Ed25519PrivateKey) -> Iterator[tuple[str, str, str, bytes]]:
    """Rows of a log: kind, task, leaf hash, envelope."""
    intent, receipt = template()
    keyid, prev = key_id(key.public_key()), ZERO_HASH
    for index in range(count):
        document = receipt if index % 2 else intent
        said, task = document["predicate"], f"t{index // 2:08}"
        said.update(sequence=index, prev=prev)
        said["task"]["id"] = task
        holdout = said["holdout"] if index % 2 else said["data"]["holdout"]
        holdout["useIndex"] = index // 2 + 1
        said["base"] = model(index // 2)
        if index % 2:
            said["intent"] = prev
            said["result"] = said["evaluation"]["candidate"] = model(index // 2 + 1)
        envelope = seal(encode(document), key, keyid)
        prev = leaf_hash(envelope).hex()
        yield "receipt" if index % 2 else "intent", task, prev, envelope


def make_log(state: Path, count: int) -> None:
    """A state whose log has so many entries; tiles are left to the first opening."""
    key = load_key(state / KEYS_FOLDER, "receipt", create=True)
    log_key = load_key(state / KEYS_FOLDER, "log", create=True)
    ReceiptStore(state / DATABASE).close()
    connection = database.connect(state / DATABASE, "", 1)
    tree = CompactRange()
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for index, (kind, task, leaf, envelope) in enumerate(synthetic(count, key)):
        outcome = "accepted" if kind == "receipt" else ""
        row = (index, kind, task, outcome, leaf, envelope)
        connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
        tree.append(bytes.fromhex(leaf))
        if index % BATCH == BATCH - 1:
            connection.execute("COMMIT")
            connection.execute("BEGIN")
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    head = Checkpoint(origin_of(key.public_key()), tree.size, tree.root())
    (state / "log").mkdir()
    (state / "log" / "checkpoint").write_bytes(sign_checkpoint(head, log_key))


def timed(what: str, run: Callable[[], Any], *, per: int = 0) -> Any:
    """Run something and say how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    each = f"  {1e6 * cpu / per:8.1f} µs CPU each" if per else ""
    print(f"{what:<28} {wall:9.2f} s wall {cpu:9.2f} s CPU{each}", flush=True)
    return result


def append_some(log: ReceiptLog, count: int) -> list[float]:
    """Seconds that each of ``count`` appends took."""
    last = list(log_tail(log))
    intent, receipt = (entry for entry in last)
    took = []

    def build(sequence: int, prev: str) -> Statement:
        document = receipt if sequence % 2 else intent
        changes = {"sequence": sequence, "prev": prev, **({"intent": prev} if sequence % 2 else {})}
        said = document.predicate.model_copy(update=changes)
        return document.model_copy(update={"predicate": said})

    for _ in range(count):
        began = time.perf_counter()
        log.append(build)
        took.append(time.perf_counter() - began)
    return sorted(took)


def log_tail(log: ReceiptLog) -> Iterator[Statement]:
    """The statements of the last intent and its receipt."""
    pair = list(log.tail(2))
    yield from sorted((e.statement for e in pair), key=lambda s: not isinstance(s, IntentStatement))


def compare(state: Path, sample: int) -> None:
    """The same signatures by another implementation."""
    try:
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import SSlibKey
    except ImportError:
        print("securesystemslib is not installed: nothing to compare with")
        return
    store = ReceiptStore(state / DATABASE)
    envelopes = [row.envelope for row, _ in zip(store.rows(), range(sample), strict=False)]
    store.close()
    public = load_public_key(state / KEYS_FOLDER / "receipt.pub")
    key = SSlibKey.from_crypto(public, keyid=key_id(public))

    def check() -> None:
        for envelope in envelopes:
            Envelope.from_dict(json.loads(envelope)).verify([key], 1)

    timed(f"securesystemslib, {sample}", check, per=sample)


def one_pass(state: Path, key: Ed25519PublicKey) -> None:
    """The pass that ``cryoflux verify`` makes over a long log; it has to find nothing."""
    with verify_in_one_pass(state, key, least=0) as passed:
        if passed is None or any(check.status is not Status.OK for check in passed.checks):
            raise SystemExit("the log does not verify")


def verify_steps(state: Path, key: Ed25519PublicKey, count: int) -> None:
    """What ``cryoflux verify`` does, without the files of models and adapters, of which there are none."""
    wall, cpu = time.perf_counter(), time.process_time()
    timed("  steps 1 to 8, one pass", lambda: one_pass(state, key), per=count)
    if count >= LARGE:  # step by step, each entry stays in memory
        return
    material = timed("  read", lambda: read_material(state, key), per=count)
    history = timed("  1 parse", lambda: read_history(material), per=count)
    for step, run in STEPS:
        if step.number != ARTEFACTS.number:
            checks = timed(f"  {step.number} {step.name[:22]}", lambda run=run: run(history), per=count)
            print("".join(f"      {c.status.value}: {c.detail[:90]}\n" for c in checks[:1]), end="")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{'verify':<28} {wall:9.2f} s wall {cpu:9.2f} s CPU  {1e6 * cpu / count:8.1f} µs CPU each")


def main() -> None:
    """Make a log, and time what is done with it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=20_000)
    parser.add_argument("--appends", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="where to make the log; kept afterwards")
    parser.add_argument("--skip-verify", action="store_true")
    options = parser.parse_args()
    state = options.folder or Path(mkdtemp(prefix="verify-scale-"))
    count = options.entries
    print(f"{count} entries, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    if not (state / DATABASE).exists():
        timed("make (one commit a batch)", lambda: make_log(state, count), per=count)
        timed("open, all tiles missing", lambda: ReceiptLog.open(state).close(), per=count)
    timed("open", lambda: ReceiptLog.open(state).close(), per=count)
    proof = timed("one proof", lambda: prove(state, count // 3))
    keys = [load_key(state / KEYS_FOLDER, name, create=False).public_key() for name in ("receipt", "log")]
    timed("check it", lambda: check_proof(proof, *keys))
    if not options.skip_verify:
        verify_steps(state, keys[0], count)
    log = ReceiptLog.open(state)
    took = append_some(log, options.appends)
    log.close()
    p50, p99 = (1000 * took[int(len(took) * part)] for part in (0.5, 0.99))
    print(f"append                       p50 {p50:.1f} ms, p99 {p99:.1f} ms, worst {1000 * took[-1]:.1f} ms")
    compare(state, min(count, 5_000))
    print(f"most memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    if not options.folder:
        shutil.rmtree(state)


if __name__ == "__main__":
    main()
