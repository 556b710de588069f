"""Writes the test vectors beside it; the same bytes every time, from fixed keys and a real old log.

Run it from the root of the repository: ``python tests/vectors/make_vectors.py``. A test compares what it
gives with the files, so a change of a format cannot go unnoticed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.receipts.checkpoint import Checkpoint, origin_of, sign_checkpoint, verifier_key
from cryoflux.receipts.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from cryoflux.receipts.proof import Proof, format_proof
from cryoflux.signing.envelope import pae
from cryoflux.signing.keys import key_id, public_pem, raw_public_key

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "log-evidence-v1.jsonl"
RECEIPT = Ed25519PrivateKey.from_private_bytes(b"\x01" * 32)
LOG = Ed25519PrivateKey.from_private_bytes(b"\x02" * 32)
ROOT = Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)
SECOND = Ed25519PrivateKey.from_private_bytes(b"\x04" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
ORIGIN = origin_of(RECEIPT.public_key())
IN_TOTO = "application/vnd.in-toto+json"
NOW = "2026-11-23T02:00:00Z"
Case = dict[str, Any]


def encode(content: bytes) -> str:
    return base64.b64encode(content).decode()


def seal(payload: bytes, key: Ed25519PrivateKey = RECEIPT, /, **changes: Any) -> bytes:
    """An envelope around any bytes; ``changes`` replace its fields before it is spelled."""
    signature = {"keyid": key_id(key.public_key()), "sig": encode(key.sign(pae(payload)))}
    said = {"payload": encode(payload), "payloadType": IN_TOTO, "signatures": [signature]}
    return rfc8785.dumps({**said, **changes})


def statements() -> list[dict[str, Any]]:
    lines = SOURCE.read_bytes().splitlines()
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in lines]


def chain(said: list[dict[str, Any]], keys: list[Ed25519PrivateKey]) -> list[bytes]:
    """Statements as a log: each gets its place, and is signed."""
    envelopes: list[bytes] = []
    leaves: dict[str, str] = {}
    for index, (statement, key) in enumerate(zip(said, keys, strict=True)):
        predicate = {**statement["predicate"], "sequence": index}
        before = predicate["prev"]
        predicate["prev"] = leaf_hash(envelopes[-1]).hex() if envelopes else "0" * 64
        if "intent" in predicate:
            predicate["intent"] = leaves.get(predicate["intent"], predicate["prev"])
        envelopes.append(seal(rfc8785.dumps({**statement, "predicate": predicate}), key))
        leaves[before] = predicate["prev"]
    return envelopes


def about_key(kind: str, subject: str, **predicate: Any) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "ed25519-public-key.der", "digest": {"sha256": subject}}],
        "predicateType": f"https://cryoflux.dev/{kind}/v1",
        "predicate": {"sequence": 0, "prev": "", **predicate},
    }


def public(key: Ed25519PrivateKey) -> dict[str, str]:
    return {"keyid": key_id(key.public_key()), "ed25519": encode(raw_public_key(key.public_key()))}


def root_named(root: Ed25519PrivateKey = ROOT) -> dict[str, Any]:
    return about_key("key-root", public(root)["keyid"], root=public(root), enrolledAt=NOW)


def rotated(old: Ed25519PrivateKey, new: Ed25519PrivateKey) -> dict[str, Any]:
    said = {"retired": public(old)["keyid"], "successor": public(new), "reason": "", "rotatedAt": NOW}
    return about_key("key-rotation", public(new)["keyid"], **said)


def revoked(old: Ed25519PrivateKey) -> dict[str, Any]:
    keyid = public(old)["keyid"]
    return about_key("key-revocation", keyid, revoked=keyid, reason="", revokedAt=NOW)


def entry_cases() -> list[Case]:
    """One envelope each, to be checked with the receipt key."""
    first, receipt = chain(statements()[:2], [RECEIPT, RECEIPT])
    payload = base64.b64decode(json.loads(receipt)["payload"])
    said = json.loads(payload)
    (signature,) = json.loads(receipt)["signatures"]

    def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
        document = json.loads(payload)
        change(document)
        return seal(rfc8785.dumps(document))

    def spelled(old: bytes, new: bytes) -> bytes:
        assert payload.count(old) >= 1
        return seal(payload.replace(old, new, 1))

    def resigned(**changes: Any) -> bytes:
        return seal(payload, signatures=[{**signature, **changes}])

    joules = b'"microjoules":%d' % said["predicate"]["energy"]["microjoules"]
    flipped = bytearray(base64.b64decode(signature["sig"]))
    flipped[7] ^= 1
    loose = signature["sig"][:-3] + chr(ord(signature["sig"][-3]) + 1) + "=="
    url = signature["sig"].replace("+", "-").replace("/", "_")
    cases = [
        ("an intent", first, ""),
        ("a receipt", receipt, ""),
        ("a key given twice", spelled(joules, joules + b"," + joules), "form: duplicate key"),
        ("a float", spelled(joules, joules + b".0"), "form: numbers are integers"),
        ("an exponent", spelled(joules, joules + b"e0"), "form: numbers are integers"),
        ("an unknown field", changed(lambda d: d["predicate"].update(bonus=1)), "form: unknown field"),
        ("a missing field", changed(lambda d: d["predicate"].pop("energy")), "form: missing field"),
        ("white space", seal(payload.replace(b":", b": ", 1)), "form: not canonical (RFC 8785)"),
        ("another key order", seal(json.dumps(dict(reversed(said.items())), separators=(",", ":"),
            ensure_ascii=False).encode()), "form: not canonical (RFC 8785)"),
        ("an escape that is not needed", spelled(b'"receipt', b'"\\u0072eceipt') if b'"receipt' in payload
            else spelled(b'"task"', b'"\\u0074ask"'), "form: not canonical (RFC 8785)"),
        ("an optional field that says nothing", changed(lambda d: d["predicate"]["decision"]["rule"].update(
            alphaPpm=0)), "form: not canonical (left out where it is zero)"),
        ("an integer beyond 2^53", seal(payload.replace(joules, b'"microjoules":9007199254740992')),
            "form: not every reader holds it exactly"),
        ("true for one", changed(lambda d: d["predicate"]["energy"].update(microjoules=True)), "form: type"),
        ("a digest in capitals", changed(lambda d: d["predicate"]["base"].update(
            digest=d["predicate"]["base"]["digest"].upper())), "form: pattern"),
        ("a text too long", changed(lambda d: d["predicate"].update(reason="x" * 2001)), "form: too long"),
        ("more than 60,000 bytes", changed(lambda d: d["predicate"].update(software={
            f"{i:04}": "x" * 2000 for i in range(24)})), "form: does not fit into a tile"),
        ("a name in the style of Python", spelled(b'"finishedAt"', b'"finished_at"'), "form: unknown field"),
        ("a version that came later", changed(lambda d: d.update(
            predicateType="https://cryoflux.dev/receipt/v2")), "newer: written by a newer CryoFlux"),
        ("a statement of somebody else", changed(lambda d: d.update(
            predicateType="https://example.org/receipt/v1")), "form: unknown predicate type"),
        ("not JSON", seal(b"not JSON"), "form: not JSON"),
        ("a payload of another type", seal(payload, payloadType="application/vnd.cryoflux.settlement+json"),
            "form: payload type"),
        ("no signature", seal(payload, signatures=[]), "form: exactly one signature"),
        ("two signatures", seal(payload, signatures=[signature, signature]), "form: exactly one signature"),
        ("a field beside the envelope", seal(payload, note="hello"), "form: unknown field"),
        ("base64 without padding", resigned(sig=signature["sig"].rstrip("=")),
            "form: base64 in its one spelling"),
        ("base64 of URLs", resigned(sig=url[:-3] + "-=="),
            "form: base64 in its one spelling"),
        ("base64 with loose bits", resigned(sig=loose),
            "form: base64 in its one spelling"),
        ("a signature of 63 bytes", resigned(sig=encode(bytes(63))),
            "form: 64 bytes"),
        ("a line feed at the end", receipt + b"\n", "form: not canonical (RFC 8785)"),
        ("a flipped bit in the signature", resigned(sig=encode(bytes(flipped))),
            "signature: does not hold"),
        ("a changed payload", seal(payload, payload=encode(payload.replace(joules, b'"microjoules":1', 1))),
            "signature: does not hold"),
        ("another signer", seal(payload, OTHER), "signature: another key"),
        ("another signer under the id of the right one", resigned(
            sig=encode(OTHER.sign(pae(payload)))), "signature: does not hold"),
        ("the right signer under the id of another", resigned(keyid=public(OTHER)["keyid"]),
            "signature: another key"),
        ("a signature over the payload alone", resigned(sig=encode(RECEIPT.sign(payload))),
            "signature: does not hold"),
    ]  # fmt: skip
    return [case(name, why, envelope=encode(envelope)) for name, envelope, why in cases]


def case(name: str, why: str, **inputs: Any) -> Case:
    return {"name": name, **inputs, "verdict": "refuse" if why else "accept", "why": why}


def log_cases() -> list[Case]:
    """Logs in order, to be checked under the key that they begin with: who may sign what, where."""
    pair = statements()[:2]
    named = [*pair, root_named()]
    turned = [*named, rotated(RECEIPT, SECOND)]
    ours, root = [RECEIPT] * 3, [ROOT]
    intent = statements()[2]
    cases = [
        ("one key", pair, ours[:2], ""),
        ("a root key is named", named, ours, ""),
        ("a rotation", [*turned, intent], [*ours, *root, SECOND], ""),
        ("the retired key after a rotation", [*turned, intent], [*ours, *root, RECEIPT], "4: retired key"),
        ("a rotation signed by the receipt key", turned, [*ours, RECEIPT], "3: not the root key"),
        (
            "a rotation without a root key",
            [*pair, rotated(RECEIPT, SECOND)],
            [*ours[:2], ROOT],
            "2: no root key",
        ),
        ("a second root key", [*named, root_named(OTHER)], [*ours, RECEIPT], "3: the root is named once"),
        ("a root key that names itself", [*pair, root_named()], [*ours[:2], ROOT], "2: not the receipt key"),
        ("a revocation", [*named, revoked(RECEIPT)], [*ours, *root], ""),
        (
            "the revoked key after it",
            [*named, revoked(RECEIPT), intent],
            [*ours, *root, RECEIPT],
            "4: revoked key",
        ),
        (
            "a rotation after a revocation",
            [*named, revoked(RECEIPT), rotated(RECEIPT, SECOND), intent],
            [*ours, *root, *root, SECOND],
            "",
        ),
        ("a rotation back", [*turned, rotated(SECOND, RECEIPT)], [*ours, *root, *root], "4: key named again"),
        (
            "a rotation of another key",
            [*named, rotated(OTHER, SECOND)],
            [*ours, *root],
            "3: not the last key",
        ),
    ]
    return [
        case(name, why, entries=[encode(entry) for entry in chain(said, keys)])
        for name, said, keys, why in cases
    ]


def checkpoint_cases() -> list[Case]:
    """Signed notes, to be checked with the log key."""
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, hashlib.sha256(b"root").digest()), LOG).decode()
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 7, hashlib.sha256(b"root").digest()), OTHER).decode()
    signature = note.splitlines()[-1].split()[-1]
    cases = [
        ("a checkpoint", note, ""),
        ("another size", note.replace("\n7\n", "\n8\n"), "signature: does not hold"),
        ("a leading zero", note.replace("\n7\n", "\n07\n"), "form: size"),
        ("another key", foreign, "signature: another key"),
        ("no signature", note.split("\n\n")[0] + "\n\n", "form: no signature"),
        (
            "another name in the signature line",
            note.replace(f" {ORIGIN} ", " example.org/other "),
            "form: name",
        ),
        ("a hyphen for the dash", note.replace("\N{EM DASH}", "-"), "form: signature line"),
        ("cut short", note[:-1], "form: does not end"),
        (
            "a signature that is too short",
            note.replace(signature, signature[:-8] + "AA=="),
            "form: signature",
        ),
    ]
    return [case(name, why, note=text) for name, text, why in cases]


def proof_cases() -> list[Case]:
    """C2SP tlog-proof files, to be checked with the receipt key and the log key."""
    entries = chain(statements(), [RECEIPT] * len(statements()))
    leaves = [leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root_hash(leaves)), LOG)
    good = [Proof(i, tuple(inclusion_proof(i, leaves)), note, entries[i]) for i in range(len(leaves))]
    one = good[1]
    text = format_proof(one).decode()
    older = sign_checkpoint(Checkpoint(ORIGIN, 3, root_hash(leaves[:3])), LOG)
    cases = [(f"entry {proof.index} of {len(leaves)}", format_proof(proof).decode(), "") for proof in good]
    cases += [
        ("another entry", format_proof(Proof(1, one.hashes, note, entries[2])).decode(), "inclusion"),
        ("another index", format_proof(Proof(2, one.hashes, note, one.extra)).decode(), "inclusion"),
        ("a hash too few", format_proof(Proof(1, one.hashes[:-1], note, one.extra)).decode(), "inclusion"),
        (
            "a hash too many",
            format_proof(Proof(1, (*one.hashes, bytes(32)), note, one.extra)).decode(),
            "inclusion",
        ),
        ("hashes swapped", format_proof(Proof(1, one.hashes[::-1], note, one.extra)).decode(), "inclusion"),
        ("an older head", format_proof(Proof(1, one.hashes, older, one.extra)).decode(), "inclusion"),
        ("a later version", text.replace("@v1", "@v2", 1), "form: version"),
        ("a leading zero", text.replace("index 1\n", "index 01\n"), "form: index"),
        ("no index", text.replace("index 1\n", ""), "form: index"),
        ("no empty line", text.replace("\n\ncryoflux", "\ncryoflux", 1), "form: empty line"),
        ("a changed checkpoint", text.replace(f"\n{len(leaves)}\n", f"\n{len(leaves) + 1}\n"), "checkpoint"),
        (
            "no entry",
            format_proof(Proof(1, one.hashes, note, b"")).decode(),
            "the entry is not brought along",
        ),
    ]
    return [case(name, why, proof=text) for name, text, why in cases]


def merkle_cases() -> dict[str, Any]:
    """Trees of RFC 6962 with the entries ``0``, ``1``, …: roots and proofs."""
    leaves = [leaf_hash(b"%d" % i) for i in range(70)]
    sizes = [1, 2, 3, 7, 8, 13, 64, 70]
    inclusion = [
        {"size": size, "index": i, "proof": [h.hex() for h in inclusion_proof(i, leaves[:size])]}
        for size in sizes
        for i in sorted({0, size // 2, size - 1})
    ]
    consistency = [
        {"old": old, "new": new, "proof": [h.hex() for h in consistency_proof(old, leaves[:new])]}
        for new in sizes
        for old in sizes
        if old <= new
    ]
    return {
        "entries": "the decimal digits of 0, 1, 2, … in ASCII",
        "roots": {str(size): root_hash(leaves[:size]).hex() for size in [0, *sizes]},
        "inclusion": inclusion,
        "consistency": consistency,
    }


def build() -> dict[str, bytes]:
    """Every file with its content."""
    keys = {
        "receiptKey": public_pem(RECEIPT.public_key()).decode(),
        "logKey": public_pem(LOG.public_key()).decode(),
        "logVerifierKey": verifier_key(ORIGIN, LOG.public_key()),
        "origin": ORIGIN,
    }
    documents = {
        "entries.json": {**keys, "cases": entry_cases()},
        "logs.json": {**keys, "cases": log_cases()},
        "checkpoints.json": {**keys, "cases": checkpoint_cases()},
        "proofs.json": {**keys, "cases": proof_cases()},
        "merkle.json": merkle_cases(),
    }
    return {
        name: (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        for name, document in documents.items()
    }


if __name__ == "__main__":
    for name, content in build().items():
        (FOLDER / name).write_bytes(content)
