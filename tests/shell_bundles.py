"""Bundles around any entries, and what `verify.sh` says of them without CryoFlux and Python."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import Checkpoint, origin_of, sign_checkpoint
from cryoflux.receipts.entry import Entry, parse_entry
from cryoflux.receipts.key_statement import KeyRevocation, KeyRoot, public_key_of
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.receipts.network_parts import RoundOutcome
from cryoflux.receipts.network_statement import RoundResult
from cryoflux.receipts.schema import schema_bytes
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.keys import key_id, public_pem
from cryoflux.verification.result import Status
from cryoflux.verification.steps import verify_target

SCRIPT = Path(__file__).parents[1] / "src/cryoflux/receipts/verify.sh"
OTHERS = "base64 cat cut head ls mkdir mktemp rm sed sort split tail wc xargs"
TOOLS = ["sh", "openssl", "jq", "sha256sum", "xxd", *OTHERS.split()]
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
needs_tools = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"l" * 32)


@dataclass(frozen=True)
class Verdict:
    """What a verifier says of a log."""

    holds: bool
    entries: frozenset[int]
    """places of the entries that it names"""
    said: str


def bare_tools(folder: Path) -> Path:
    """A folder with nothing but links to the tools that the script may use."""
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    if dash := shutil.which("dash"):
        (folder / "sh").unlink()
        (folder / "sh").symlink_to(dash)
    return folder


def run_script(
    bundle: Path, tools: Path, *arguments: str | Path, script: Path | None = None, shell: str = "sh"
) -> tuple[int, str]:
    """Exit code and output of the script, with an empty environment; ``sh`` is the one of the tools."""
    command = ["busybox", "sh"] if shell == "busybox" else [shell]
    program = shutil.which(command[0]) if shell != "sh" else tools / "sh"
    assert program is not None
    done = subprocess.run(
        [program, *command[1:], script or bundle / "verify.sh", *arguments],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=bundle.parent,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def named_by_program(
    logs: Mapping[str, Sequence[bytes]], first: Ed25519PublicKey
) -> dict[str, frozenset[int]]:
    """Places of the entries that the script's program for jq complains of, of many logs in one process.

    To compile that program takes longer than to read most logs by it. What the script does besides (bytes,
    signatures, the tree) is not in it: where the program names nothing, only the script can tell.

    Args:
        logs: by their names.
        first: under which all of them began.
    """
    begin, each = (
        "| foreach (inputs, null) as $line (",
        "| inputs | fromjson | .[0], foreach (.[1][], null) as $line (",
    )
    said = SCRIPT.read_text("utf-8")
    parts = [
        re.findall(rf"^{name}='(.*?)'$", said, re.MULTILINE | re.DOTALL)[0] for name in ("bytes", "reading")
    ]
    assert parts[1].count(begin) == 1
    given = {"first": key_id(first), "origin": origin_of(first), "in_toto": "application/vnd.in-toto+json"}
    arguments = [word for name, value in given.items() for word in ("--arg", name, value)]
    rows = [
        json.dumps([name, [f"{leaf_hash(one).hex()} {base64.b64encode(one).decode()}" for one in entries]])
        for name, entries in logs.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        schema = Path(folder) / "schema.json"
        schema.write_bytes(schema_bytes())
        done = subprocess.run(
            ["jq", "-nRr", "--slurpfile", "schema", schema, *arguments, " ".join(parts).replace(begin, each)],
            input="\n".join(rows),
            capture_output=True,
            text=True,
            check=True,
        )
    found: dict[str, set[int]] = {}
    for line in done.stdout.splitlines():
        if line in logs:
            named = found.setdefault(line, set())
        elif failed := re.match(r"F entries/0*([0-9]+)\.json", line):
            named.add(int(failed[1]))
    return {name: frozenset(named) for name, named in found.items()}


def script_around_entries(place: Path, count: int, root: bytes) -> Path:
    """The script without the parts that go through entries, which take it longest: what they leave is given.

    Args:
        place: where it is written.
        count: entries of the log.
        root: of their tree.
    """
    begins, *parts = re.split(r"^# ---- (.+?) -+\n", SCRIPT.read_text("utf-8"), flags=re.MULTILINE)
    titled = dict(zip(parts[::2], parts[1::2], strict=True))
    said = titled["What an entry says"]
    unpacking = said[said.index("bytes='") : said.index("reading='")]
    left = f"n={count} root={root.hex()}\n{unpacking}"
    place.write_text(f"{begins}{titled['Keys']}{left}{titled['The checkpoint']}[ $bad = 0 ]\n")
    return place


def run_shell(bundle: Path, tools: Path, *arguments: str | Path, script: Path | None = None) -> Verdict:
    """What the script says of a bundle."""
    code, said = run_script(bundle, tools, *arguments, script=script)
    named = re.findall(r"^FAILED entries/0*([0-9]+)\.json", said, re.MULTILINE)
    assert (code == 0) == ("FAILED" not in said)
    return Verdict(code == 0, frozenset(map(int, named)), said)


def run_verify(file: Path, entries: Sequence[bytes], key: Ed25519PublicKey) -> Verdict:
    """What `cryoflux verify` says of the same entries, exported, without what only a task knows."""
    file.write_bytes(b"".join(entry.replace(b"\n", b" ") + b"\n" for entry in entries))
    failed = [check for check in verify_target(file, key=key).checks if check.status is Status.FAIL]
    named = [re.match(r"entry ([0-9]+)\b", check.subject) for check in failed]
    said = "\n".join(f"{check.number} {check.subject}: {check.detail}" for check in failed)
    return Verdict(not failed, frozenset(int(found[1]) for found in named if found), said)


def _parsed(entries: Sequence[bytes]) -> list[Entry]:
    found = []
    for index, content in enumerate(entries):
        try:
            found.append(parse_entry(index, content))
        except VerificationError:
            continue
    return found


def bundle_of(
    folder: Path, entries: Sequence[bytes], first: Ed25519PublicKey, log_key: Ed25519PrivateKey = LOG_KEY
) -> Path:
    """A bundle around any entries, whoever signed them; its tree and checkpoint are right."""
    tree = TileTree(entries)
    note = sign_checkpoint(Checkpoint(origin_of(first), len(entries), tree.root()), log_key)
    publish_tiles(folder / "log", tree.contents())
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / "checkpoint").write_bytes(note)
    for name in ("entries", "keys"):
        (folder / name).mkdir()
    for index, entry in enumerate(entries):
        (folder / "entries" / f"{index:06}.json").write_bytes(entry)
    (folder / "keys" / "receipt.pub").write_bytes(public_pem(first))
    (folder / "keys" / "log.pub").write_bytes(public_pem(log_key.public_key()))
    parsed = _parsed(entries)
    said = [entry.key.predicate for entry in parsed if entry.key is not None]
    brought = [
        p.root if isinstance(p, KeyRoot) else p.successor for p in said if not isinstance(p, KeyRevocation)
    ]
    for key in (first, *(public_key_of(key) for key in brought)):
        (folder / "keys" / f"{key_id(key)}.pem").write_bytes(public_pem(key))
    (folder / "heads.txt").write_text(_heads(parsed))
    shutil.copy(SCRIPT, folder / "verify.sh")
    (folder / "receipt.schema.json").write_bytes(schema_bytes())
    return folder


def _heads(entries: Sequence[Entry]) -> str:
    heads = {}
    for entry in entries:
        if entry.fork:
            heads |= {said.task: said.head for said in entry.fork.tasks}
        elif attempt := entry.receipt or entry.intent:
            if entry.receipt is not None and attempt.task.name not in heads:
                continue
            heads[attempt.task.name] = (
                entry.receipt.result if entry.receipt else heads.get(attempt.task.name, attempt.base)
            )
        elif (moved := entry.move or entry.recall or _accepted(entry)) and moved.task in heads:
            heads[moved.task] = moved.result
    return "".join(f"{task} {head.digest} {head.files}\n" for task, head in sorted(heads.items()))


def _accepted(entry: Entry) -> RoundResult | None:
    return entry.round if entry.round and entry.round.outcome is RoundOutcome.ACCEPTED else None
