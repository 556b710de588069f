"""What books cost over many entries: reading the logs once, and every time after that.

    python benchmarks/books_scale.py --logs 1000 --entries 1000

makes some logs of that length, each with offers, rounds and a guest holdout, and reads them, signatures and
all, again and again until as many logs were read: what a pull does once for each entry. Then it lays out the
records of as many peers, each with what such a log comes to, and makes the books of all, as ``cryoflux node
books`` does. Wall and CPU seconds; the logs are made in memory, and that is not counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.network.books import books_of
from cryoflux.network.following import follow
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.peer_record import PeerRecord
from cryoflux.network.peers import Peers, parse_peers
from cryoflux.network.telling import told_by
from cryoflux.receipts.checkpoint import (
    Checkpoint,
    VerifierKey,
    origin_of,
    parse_note,
    sign_checkpoint,
    verifier_key,
)
from cryoflux.receipts.merkle import CompactRange, leaf_hash
from cryoflux.receipts.tiles import TILE_WIDTH, bundle
from cryoflux.signing.keys import raw_public_key
from node_log import NodeLog
from node_tree import CosigningWitness
from plain_log import PlainLog

WITNESS = CosigningWitness("one", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
T = 1_764_000_000


def key_of(number: int) -> Ed25519PrivateKey:
    """The receipt key of a log."""
    return Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))


def log_key_of(number: int) -> Ed25519PrivateKey:
    """The key of a log's heads."""
    return Ed25519PrivateKey.from_private_bytes((10**9 + number).to_bytes(32, "big"))


def vkey_of(number: int) -> VerifierKey:
    """By which readers know a log."""
    return verifier_key(origin_of(key_of(number).public_key()), log_key_of(number).public_key())


def mirrored(network: Path, entries: int, number: int) -> int:
    """Lay out the mirror of a log: a guest holdout, an offer, rounds, and attempts; how many bytes it has."""
    log = PlainLog(key=key_of(number))
    node = NodeLog(log)
    node.offer(node.train())
    node.introduce()
    node.enter()
    while len(log.entries) < entries - 1:
        if len(log.entries) % 40 < 2 and log.state.nodes["lora_delta"].guest is not None:
            node.record(node.announce([node.candidate()]), gain=-1_000_000)
        else:
            log.conclude(log.announce(), kept=False)
    told = [entry.envelope for entry in log.entries]
    mirror = MirrorFolder.of(network, vkey_of(number))
    tree = CompactRange(map(leaf_hash, told))
    bundles = [
        bundle(start // TILE_WIDTH, told[start : start + TILE_WIDTH])
        for start in range(0, len(told), TILE_WIDTH)
    ]
    point = Checkpoint(vkey_of(number).name, len(told), tree.root())
    note = parse_note(sign_checkpoint(point, log_key_of(number)))
    for tile, content in bundles:
        mirror.arrive(tile, content)
    mirror.keep([tile for tile, _ in bundles], tree, note, "")
    return sum(map(len, told))


def read(network: Path, number: int) -> tuple[int, int]:
    """Read a log for the first time; its entries, and those that were wrong."""
    record = PeerRecord.of(network, vkey_of(number))
    record.keep_facts(type(record.facts)())
    facts = follow(record, raw_public_key(key_of(number).public_key()))
    return facts.size, bool(facts.fault) + facts.broken


def known(network: Path, number: int, like: PeerRecord) -> None:
    """Lay out the record of a peer whose log comes to the same as another one's."""
    record = PeerRecord.of(network, vkey_of(number))
    point = Checkpoint(record.origin, like.mirror.size, like.mirror.tree().root())
    note = parse_note(WITNESS.cosigned(sign_checkpoint(point, log_key_of(number)), T))
    record.mirror.keep([], like.mirror.tree(), note, "")
    record.keep_published((note,), "")
    record.keep_facts(like.facts)


def measured(what: str, entries: int, act: Callable[[], float]) -> dict[str, float]:
    """What something costs, and a line about it; what is done gives the CPU seconds of other processes."""
    began, cpu_s = time.perf_counter(), time.process_time()
    elsewhere_s = act()
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s + elsewhere_s
    each = 1e6 * cpu_s / entries
    print(f"{what:<44} {wall_s:7.2f} s wall, {cpu_s:7.2f} s CPU, {each:6.2f} µs an entry", flush=True)
    return {"wall_s": wall_s, "cpu_s": cpu_s}


def books(network: Path, peers: Peers) -> float:
    """Make the books of all, as the command does."""
    logs, now_s = told_by(network, peers)
    if len(books_of(logs, peers.verifier_origins, 1, now_s)) != len(peers.nodes):
        raise SystemExit("a node has no book")
    return 0.0


def read_all(network: Path, numbers: list[int]) -> tuple[int, float]:
    """Read some logs, one after the other; their entries, and the CPU seconds that took."""
    began_s, entries = time.process_time(), 0
    for number in numbers:
        size, wrong = read(network, number)
        if wrong:
            raise SystemExit(f"log {number} is not what it should be")
        entries += size
    return entries, time.process_time() - began_s


def read_in(processes: ProcessPoolExecutor, network: Path, parts: list[list[int]], total: int) -> float:
    """Read logs in some processes; the CPU seconds of these."""
    found = list(processes.map(partial(read_all, network), parts))
    if sum(entries for entries, _ in found) < total * 0.99:
        raise SystemExit("logs are shorter than they should be")
    return sum(cpu_s for _, cpu_s in found)


def main() -> None:
    """Make the logs and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--entries", type=int, default=1000, help="of each log")
    parser.add_argument(
        "--made", type=int, default=20, help="logs that are made; they are read again and again"
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    network = Path(mkdtemp(prefix="books"))
    try:
        made = list(range(1, given.made + 1))
        with ProcessPoolExecutor(given.processes) as processes:
            size = sum(processes.map(partial(mirrored, network, given.entries), made))
            rounds = [made[at % len(made)] for at in range(given.logs)]
            total = given.logs * given.entries
            print(
                f"{given.logs} logs, {total:,} entries of {size // given.made // given.entries} bytes",
                flush=True,
            )
            # Each process reads logs of its own, so that none is read twice at once.
            parts = [
                [one for one in rounds if one % given.processes == part] for part in range(given.processes)
            ]
            what = f"read for the first time, {given.processes} processes"
            first = measured(what, total, partial(read_in, processes, network, parts, total))
        like = PeerRecord.of(network, vkey_of(1))
        names = list(range(given.logs))
        for number in names:
            if number + 1 not in made:
                known(network, number + 1, like)
        lines = [f"witness one {WITNESS.vkey}", "quorum one"]
        lines += [f"node n{number} {vkey_of(number + 1)} http://n{number}.example" for number in names]
        lines += [f"verifier n{number}" for number in names[:10]]
        peers = parse_peers("\n".join([*lines, ""]).encode())
        cold = measured("books, cosignatures checked", total, partial(books, network, peers))
        warm = measured("books", total, partial(books, network, peers))
        if given.json is not None:
            given.json.write_text(json.dumps({"read": first, "checked": cold, "books": warm}))
    finally:
        shutil.rmtree(network)


if __name__ == "__main__":
    main()
