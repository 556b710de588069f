"""Writes the test vectors beside it; the same bytes every time, from fixed keys and a log of each form.

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
FIRST_FORM = FOLDER / "log-evidence-v1.jsonl"
SECOND_FORM = FOLDER / "log-v2.jsonl"
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


def statements(source: Path = FIRST_FORM) -> list[dict[str, Any]]:
    lines = source.read_bytes().splitlines()
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
        if "madeAt" in predicate:
            made = envelopes[predicate["madeAt"]] if predicate["madeAt"] < index else b""
            predicate["madeBy"] = leaf_hash(made).hex()
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
    first = forged_entries(statements()[:2], "v1: ")
    second = forged_entries(statements(SECOND_FORM)[:2], "v2: ")
    return [*first, *second, *second_form()]


def forged_entries(pair: list[dict[str, Any]], form: str) -> list[Case]:
    """An intent and a receipt, and whatever must not be taken for one."""
    first, receipt = chain(pair, [RECEIPT, RECEIPT])
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

    squared = next(name for name in said["predicate"]["evaluation"] if name.startswith("deltaSquared"))
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
            screen="")), "form: not canonical (left out where it says nothing)"),
        ("an integer beyond 2^53", seal(payload.replace(joules, b'"microjoules":9007199254740992')),
            "form: not every reader holds it exactly"),
        ("true for one", changed(lambda d: d["predicate"]["energy"].update(microjoules=True)), "form: type"),
        ("a digest in capitals", changed(lambda d: d["predicate"]["base"].update(
            digest=d["predicate"]["base"]["digest"].upper())), "form: pattern"),
        ("a text too long", changed(
            lambda d: d["predicate"]["task"].update(id="x" * 2001)), "form: too long"),
        ("more than 60,000 bytes", changed(lambda d: d["predicate"].update(software={
            f"{i:04}": "x" * 2000 for i in range(24)})), "form: does not fit into a tile"),
        ("a name in the style of Python", spelled(b'"finishedAt"', b'"finished_at"'), "form: unknown field"),
        ("a version that came later", changed(lambda d: d.update(
            predicateType="https://cryoflux.dev/receipt/v3")), "newer: written by a newer CryoFlux"),
        ("the other version's name", changed(lambda d: d.update(predicateType="https://cryoflux.dev/receipt/"
            + {"1": "v2", "2": "v1"}[d["predicateType"][-1]])), "form: missing and unknown fields"),
        ("a kind that came later", changed(lambda d: d.update(
            predicateType="https://cryoflux.dev/verdict/v1")), "newer: written by a newer CryoFlux"),
        ("a line feed after a time", changed(lambda d: d["predicate"].update(
            finishedAt=d["predicate"]["finishedAt"] + "\n")), "form: pattern"),
        ("a line feed after a digest", changed(lambda d: d["predicate"]["base"].update(
            digest=d["predicate"]["base"]["digest"] + "\n")), "form: pattern"),
        ("a large number with a line feed", changed(lambda d: d["predicate"]["evaluation"].update(
            {squared: d["predicate"]["evaluation"][squared] + "\n"})), "form: pattern"),
        ("a large number with a zero before it", changed(lambda d: d["predicate"]["evaluation"].update(
            {squared: "0" + d["predicate"]["evaluation"][squared]})), "form: pattern"),
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
    return [case(form + name, why, envelope=encode(envelope)) for name, envelope, why in cases]


def two_meters(energy: dict[str, Any], worker: str = "w1") -> dict[str, Any]:
    """What of a figure says that a coordinator was charged a fourth of it, and its worker the rest."""
    names = ("microjoules", "loMicrojoules", "hiMicrojoules", "reservedMicrojoules", "cpuMicroseconds")
    shared = {name: energy[name] for name in ("tier", "sources", "baseline", "curve", "flags")}
    own = {"worker": "", "boot": "b0", **shared, **{name: energy[name] // 4 for name in names}}
    rest = {name: energy[name] - energy[name] // 4 for name in names}
    return {"parts": [own, {**own, "worker": worker, "boot": "b1", **rest}]}


def second_form() -> list[Case]:
    """Every kind of entry of the second form, and what is new in it."""
    said = statements(SECOND_FORM)
    whole = chain(said, [RECEIPT] * len(said))
    kinds = [f"{s['predicateType'].rsplit('/', 2)[1]} {i}" for i, s in enumerate(said)]
    cases = [(f"entry {i}, {kind}", whole[i], "") for i, kind in enumerate(kinds)]
    moved = next(i for i, statement in enumerate(said) if "head/" in statement["predicateType"])
    aborted = next(i for i, statement in enumerate(said) if statement["predicate"].get("cause"))
    plain = next(i for i, statement in enumerate(said)
        if (statement["predicate"].get("evaluation") or {"hits": 1}).get("hits") is None)  # fmt: skip

    def changed(index: int, change: Callable[[dict[str, Any]], object]) -> bytes:
        document = json.loads(base64.b64decode(json.loads(whole[index])["payload"]))
        change(document["predicate"])
        return seal(rfc8785.dumps(document))

    spelt = "form: not canonical (left out where it says nothing)"
    cases += [
        ("an empty cause", changed(1, lambda p: p.update(cause="")), spelt),
        ("a cause that nobody knows", changed(aborted, lambda p: p.update(cause="bored")), "form: cause"),
        ("one slot", changed(0, lambda p: p.update(slots=1)), spelt),
        ("no slot", changed(0, lambda p: p.update(slots=0)), "form: slots"),
        ("more slots than any run has", changed(0, lambda p: p.update(slots=65)), "form: slots"),
        ("hits of null", changed(plain, lambda p: p["evaluation"].update(hits=None)), spelt),
        ("a reason that is a sentence", changed(1, lambda p: p.update(reason="Kept.")), "form: type"),
        ("a code in capitals", changed(1, lambda p: p["reason"].update(code="Kept")), "form: pattern"),
        ("a half in a reason", changed(1, lambda p: p["reason"]["numbers"].update(count=0.5)), "form: type"),
        ("no numbers, spelt out", changed(aborted, lambda p: p["reason"].update(numbers={})), spelt),
        ("a task whose name is a path", changed(0, lambda p: p["task"].update(name="../x")), "form: pattern"),
        ("a head of a path", changed(moved, lambda p: p.update(task="../x")), "form: pattern"),
        ("a move that nobody knows", changed(moved, lambda p: p.update(move="merge")), "form: move"),
        ("no evidence, spelt out", changed(moved, lambda p: p.update(evidence=[])), spelt),
        (
            "a section of numbers in a list",
            changed(1, lambda p: p["training"]["section"]["fields"].update(modules=[1])),
            "form: type",
        ),
        (
            "a section that is deep",
            changed(1, lambda p: p["training"]["section"]["fields"].update(modules={})),
            "form: type",
        ),
        (
            "more programs than are listed",
            changed(1, lambda p: p.update(software={f"{i:02}": "1" for i in range(65)})),
            "form: too many",
        ),
        ("joules of two meters", changed(1, lambda p: p["energy"].update(two_meters(p["energy"]))), ""),
        (
            "joules of one meter as a part",
            changed(1, lambda p: p["energy"].update(parts=two_meters(p["energy"])["parts"][:1])),
            "form: at least two",
        ),
        (
            "more meters than there may be",
            changed(1, lambda p: p["energy"].update(parts=two_meters(p["energy"])["parts"][:1] * 65)),
            "form: too many",
        ),
        (
            "a worker whose name is a path",
            changed(1, lambda p: p["energy"].update(two_meters(p["energy"], worker="../w"))),
            "form: pattern",
        ),
        ("no parts, spelt out", changed(1, lambda p: p["energy"].update(parts=[])), "form: at least two"),
        ("nothing was read", changed(1, lambda p: p["evaluation"].update(read=0)), "form: read"),
    ]
    return [case(f"v2: {name}", why, envelope=encode(envelope)) for name, envelope, why in cases]


def case(name: str, why: str, **inputs: Any) -> Case:
    return {"name": name, **inputs, "verdict": "refuse" if why else "accept", "why": why}


def log_cases() -> list[Case]:
    """Logs in order, to be checked under the key that they begin with: who may sign what, where."""
    pair = statements()[:2]
    named = [*pair, root_named()]
    turned = [*named, rotated(RECEIPT, SECOND)]
    ours, root = [RECEIPT] * 3, [ROOT]
    intent = statements()[2]
    second = statements(SECOND_FORM)
    moved = next(i for i, statement in enumerate(second) if "head/" in statement["predicateType"])
    onward, until = [*named, *second[:2]], second[: moved + 1]
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
        ("a log of the second form", second, [RECEIPT] * len(second), ""),
        ("a log that goes on in the second form", onward, [RECEIPT] * 5, ""),
        ("a receipt signed by the root key", onward, [*[RECEIPT] * 4, ROOT], "4: not the receipt key"),
        (
            "a head moved by the root key",
            [*until[:2], root_named(), *until[2:]],
            [*[RECEIPT] * (moved + 1), ROOT],
            f"{moved + 1}: not the receipt key",
        ),
        (
            "a head moved by a retired key",
            [*named, rotated(RECEIPT, SECOND), until[-1]],
            [*ours, ROOT, RECEIPT],
            "4: retired key",
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


def vouching(statement: dict[str, Any], *keys: Ed25519PrivateKey) -> dict[str, Any]:
    """The same statement with a subject for each log key."""
    named = [
        {"name": "log-public-key.der", "digest": {"sha256": key_id(key.public_key())}}
        for key in keys or (LOG,)
    ]
    return {**statement, "subject": [*statement["subject"], *named]}


def log_key_cases() -> list[Case]:
    """Logs under a head that the log key has signed: whether their first entry vouches for it."""
    intent, receipt = statements(SECOND_FORM)[:2]
    cases = [
        ("an intent vouches", [vouching(intent), receipt], ""),
        ("an entry that names a root key vouches", [vouching(root_named())], ""),
        ("a session vouches", [vouching(first_session())], ""),
        ("another log key", [vouching(intent, OTHER), receipt], "0: another log key"),
        ("two log keys", [vouching(intent, LOG, OTHER), receipt], "0: more than one"),
        ("a later entry vouches", [vouching(intent), vouching(receipt)], "1: not the first entry"),
        ("only a later entry vouches", [intent, vouching(receipt)], "1: not the first entry"),
    ]
    return [
        case(name, why, entries=[encode(entry) for entry in chain(said, [RECEIPT] * len(said))])
        for name, said, why in cases
    ]


def first_session() -> dict[str, Any]:
    """A session without attempts before it."""
    said = next(one for one in statements(SECOND_FORM) if "session/" in one["predicateType"])
    changes = {"openedAt": 0, "firstAttempt": 1, "attempts": 0, "id": "session/1764000000_0"}
    return {**said, "predicate": {**said["predicate"], **changes}}


def checkpoint_cases() -> list[Case]:
    """Signed notes, to be checked with the log key."""
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, hashlib.sha256(b"root").digest()), LOG).decode()
    foreign = sign_checkpoint(Checkpoint(ORIGIN, 7, hashlib.sha256(b"root").digest()), OTHER).decode()
    signature = note.splitlines()[-1].split()[-1]
    root = note.splitlines()[2]

    def hashed(text: str) -> str:
        content = base64.b64decode(text)
        return encode(bytes([content[0] ^ 1]) + content[1:])

    def loosened(text: str) -> str:
        return text[:-2] + chr(ord(text[-2]) + 1) + "="

    cases = [
        ("a checkpoint", note, ""),
        ("another size", note.replace("\n7\n", "\n8\n"), "signature: does not hold"),
        ("a leading zero", note.replace("\n7\n", "\n07\n"), "form: size"),
        ("another key", foreign, "signature: another key"),
        ("another hash of the key", note.replace(signature, hashed(signature)), "signature: another key"),
        ("loose bits", note.replace(signature, loosened(signature)), "form: signature"),
        ("another origin", note.replace(ORIGIN + "\n", ORIGIN + "x\n", 1), "signature: does not hold"),
        ("another root", note.replace(root, encode(bytes(32))), "signature: does not hold"),
        ("carriage returns", note.replace("\n", "\r\n"), "form: lines"),
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
    cases += second_proofs()
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


def second_proofs() -> list[tuple[str, str, str]]:
    """Entries of the second form, each with its proof; one is called by another's number."""
    said = statements(SECOND_FORM)
    entries = chain(said, [RECEIPT] * len(said))
    leaves = [leaf_hash(entry) for entry in entries]
    note = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root_hash(leaves)), LOG)
    moved = [*entries[1:], entries[0]]
    elsewhere = [leaf_hash(entry) for entry in moved]
    other = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), root_hash(elsewhere)), LOG)
    return [
        *(
            (
                f"v2: entry {i} of {len(leaves)}",
                format_proof(Proof(i, tuple(inclusion_proof(i, leaves)), note, entries[i])).decode(),
                "",
            )
            for i in range(len(leaves))
        ),
        (
            "v2: an entry at another place than it says",
            format_proof(Proof(0, tuple(inclusion_proof(0, elsewhere)), other, moved[0])).decode(),
            "sequence",
        ),
    ]


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
        "logVerifierKey": str(verifier_key(ORIGIN, LOG.public_key())),
        "origin": ORIGIN,
    }
    documents = {
        "entries.json": {**keys, "cases": entry_cases()},
        "logs.json": {**keys, "cases": log_cases()},
        "log-keys.json": {**keys, "cases": log_key_cases()},
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
