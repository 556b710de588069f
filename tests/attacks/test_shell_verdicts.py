"""Whatever `cryoflux verify` refuses, `verify.sh` refuses at the same place; and it takes what that takes.

The logs are those of the vectors, and the lies of an owner with every key that can be told from the entries
alone. Where the two may differ is a written list, each with its reason.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from test_defences import LIES

from cryoflux.errors import VerificationError
from cryoflux.quantities import MICRO
from cryoflux.receipts.checkpoint import NoteSignature, origin_of, parse_checkpoint, verifier_key
from cryoflux.receipts.merkle import leaf_hash
from cryoflux.signing.envelope import pae
from cryoflux.signing.keys import key_id, load_key, load_public_key
from plain_log import KEY, PlainLog, plain_log
from shell_bundles import (
    LOG_KEY,
    Verdict,
    bare_tools,
    bundle_of,
    named_by_program,
    needs_tools,
    run_shell,
    run_verify,
    script_around_entries,
    verdict_by,
)

pytestmark = needs_tools
VECTORS = Path(__file__).parents[1] / "vectors"
ENTRIES = json.loads((VECTORS / "entries.json").read_text("utf-8"))
LOGS = json.loads((VECTORS / "logs.json").read_text("utf-8"))
NOTES = json.loads((VECTORS / "checkpoints.json").read_text("utf-8"))
IN_TOTO = "application/vnd.in-toto+json"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_tools(tmp_path_factory.mktemp("tools"))


def pem(text: str) -> Ed25519PublicKey:
    key = load_pem_public_key(text.encode())
    assert isinstance(key, Ed25519PublicKey)
    return key


def payload_of(envelope: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    return found


def envelopes(form: str) -> dict[str, bytes]:
    cases = [case for case in ENTRIES["cases"] if case["name"].startswith(form)]
    return {case["name"]: base64.b64decode(case["envelope"]) for case in cases}


FIRST, SECOND = envelopes("v1: "), envelopes("v2: ")
GOING_BEFORE = [envelope for name, envelope in SECOND.items() if name.startswith("v2: entry ")]


def log_around(name: str, envelope: bytes) -> list[bytes]:
    """The entries before the one that a vector is about, and that one."""
    try:
        place = payload_of(envelope)["predicate"]["sequence"]
    except (ValueError, KeyError, TypeError):
        place = 1
    before = [FIRST["v1: an intent"]] if name.startswith("v1: ") else GOING_BEFORE
    return [*before[:place], envelope]


def both(
    folder: Path,
    tools: Path,
    entries: list[bytes],
    first: Ed25519PublicKey,
    log_key: Ed25519PrivateKey = LOG_KEY,
) -> tuple[Verdict, Verdict]:
    bundle = bundle_of(folder / "bundle", entries, first, log_key)
    return run_shell(bundle, tools), run_verify(folder / "log.jsonl", entries, first)


def agree(shell: Verdict, verify: Verdict) -> None:
    assert shell.holds == verify.holds, (shell.said, verify.said)
    # One lie brings further complaints with it, so the first place that either names has to be the same.
    assert min(shell.entries, default=-1) == min(verify.entries, default=-1), (shell.said, verify.said)


@pytest.fixture(scope="module")
def named() -> dict[str, frozenset[int]]:
    """What the script's program for jq says of the vectors."""
    logs = {name: log_around(name, envelope) for name, envelope in {**FIRST, **SECOND}.items()}
    return named_by_program(logs, pem(ENTRIES["receiptKey"]))


@pytest.mark.parametrize("name", [*FIRST, *SECOND])
def test_an_entry_gets_the_verdict_of_verify(
    name: str, tmp_path: Path, tools: Path, named: dict[str, frozenset[int]]
) -> None:
    entries, first = log_around(name, {**FIRST, **SECOND}[name]), pem(ENTRIES["receiptKey"])
    shell = verdict_by(named[name], lambda: run_shell(bundle_of(tmp_path / "bundle", entries, first), tools))
    if name in SPELT_OTHERWISE_IN_AN_EXPORT:
        assert len(entries) - 1 in shell.entries
        return
    agree(shell, run_verify(tmp_path / "log.jsonl", entries, first))


@pytest.mark.parametrize("form", [FIRST, SECOND])
def test_the_script_names_what_its_program_names(
    form: dict[str, bytes], tmp_path: Path, tools: Path, named: dict[str, frozenset[int]]
) -> None:
    name = next(name for name in form if named[name])
    bundle = bundle_of(tmp_path / "bundle", log_around(name, form[name]), pem(ENTRIES["receiptKey"]))
    assert run_shell(bundle, tools).entries == named[name]


SPELT_OTHERWISE_IN_AN_EXPORT = {"v1: a line feed at the end", "v2: a line feed at the end"}
"""an export has an entry a line, so there a line feed ends the entry"""


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in LOGS["cases"]])
def test_a_log_gets_the_verdict_of_verify(case: dict[str, Any], tmp_path: Path, tools: Path) -> None:
    entries = [base64.b64decode(entry) for entry in case["entries"]]
    agree(*both(tmp_path, tools, entries, pem(LOGS["receiptKey"])))


NOT_IN_THE_ENTRIES = {
    "a row edited and signed again": "it lies in the tree of the state: a bundle is made of the edited one",
    "another adapter on the disk": "artefacts of a state",
    "Δ without the losses": "artefacts of a state",
    "training on the holdout": "artefacts of a state",
    "a file smuggled into the data": "artefacts of a state",
    "an account set back": "the account of a state",
    "joules below what the work takes": "how much work it was is said by the section of the task",
    "losses that no model has": "has to be computed again",
    "the adapter of another attempt": "has to be computed again",
}
NOT_CHECKED_BY_THE_SCRIPT = {
    "a fresh holdout too early": "whether a budget is spent takes the bar",
    "the same joules twice": "statements of the meter are only read by verify",
    "fewer joules than metered": "statements of the meter are only read by verify",
    "a worker's joules by its coordinator's meter": "statements of the meter are only read by verify",
    "joules beyond what a socket gives": "the box of joules is only known to verify",
}
"""the script's last words say so of each"""


def rows_of(target: Path) -> list[bytes]:
    if target.is_file():
        return target.read_bytes().splitlines()
    with closing(sqlite3.connect(target / "receipts.db")) as connection:
        return [row[0] for row in connection.execute("SELECT envelope FROM entries ORDER BY idx")]


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie not in NOT_IN_THE_ENTRIES])
def test_a_lie_gets_the_verdict_of_verify(lie: str, tmp_path: Path, tools: Path) -> None:
    attack = LIES[lie][0](tmp_path)
    key = attack.options.get("key") or load_public_key(attack.target / "keys" / "receipt.pub")
    state = attack.target if attack.target.is_dir() else tmp_path / "state"  # that an export is made of
    log_key = load_key(state / "keys", "log", create=False)
    shell, verify = both(tmp_path, tools, rows_of(attack.target), key, log_key)
    assert not verify.holds
    if lie in NOT_CHECKED_BY_THE_SCRIPT:
        assert shell.holds
        return
    agree(shell, verify)


def test_the_list_of_differences_is_of_lies_that_there_are() -> None:
    assert {*NOT_IN_THE_ENTRIES, *NOT_CHECKED_BY_THE_SCRIPT} <= set(LIES)


# ---- Byte by byte -----------------------------------------------------------------------------------------


def sealed(payload: bytes, key: Ed25519PrivateKey = KEY, **changes: Any) -> bytes:
    signature = {"keyid": key_id(key.public_key()), "sig": base64.b64encode(key.sign(pae(payload))).decode()}
    said = {"payload": base64.b64encode(payload).decode(), "payloadType": IN_TOTO, "signatures": [signature]}
    return rfc8785.dumps({**said, **changes})


def honest(*, reason: str = "", software: dict[str, str] | None = None) -> list[bytes]:
    """An intent and its receipt, with words of one's own."""
    log = PlainLog()
    changes: dict[str, Any] = {"software": software} if software else {}
    log.abort(log.announce(seed=len(reason)), **changes)
    return [entry.envelope for entry in log.entries]


def with_last(
    change: Callable[[dict[str, Any]], object] | None = None, spell: Callable[[bytes], bytes] = bytes
) -> list[bytes]:
    """An honest pair, whose receipt says something else, or the same in other bytes, and is signed again."""
    first, last = honest()
    said = payload_of(last)
    if change is not None:
        change(said)
    return [first, sealed(spell(rfc8785.dumps(said)))]


LIES_IN_BYTES: dict[str, list[bytes]] = {
    "an unknown field": with_last(lambda d: d["predicate"].update(bonus=1)),
    "an unknown field of the statement": with_last(lambda d: d.update(note="")),
    "an unknown field deep down": with_last(lambda d: d["predicate"]["energy"].update(bonus=1)),
    "a float": with_last(spell=lambda b: b.replace(b'"cpuMicroseconds":', b'"cpuMicroseconds":0.5,"x":')),
    "1.0 for 1": with_last(spell=lambda b: b.replace(b'"sequence":1', b'"sequence":1.0')),
    "1e0 for 1": with_last(spell=lambda b: b.replace(b'"sequence":1', b'"sequence":1e0')),
    "-0 for 0": with_last(spell=lambda b: b.replace(b'"loMicrojoules":', b'"loMicrojoules":-0,"x":')),
    "another framework": with_last(lambda d: d.update(_type="https://in-toto.io/Statement/v0.1")),
    "an interval below nothing": with_last(lambda d: d["predicate"]["energy"].update(loMicrojoules=-1)),
    "a predicate of somebody else": with_last(lambda d: d.update(predicateType="https://slsa.dev/provenance/v1")),
    "a list for a text": with_last(lambda d: d.update(predicateType=["https://cryoflux.dev/receipt/v2"])),
    "a line feed after the payload": with_last(spell=lambda b: b + b"\n"),
    "a byte order mark": with_last(spell=lambda b: b"\xef\xbb\xbf" + b),
    "bytes that are no UTF-8": with_last(spell=lambda b: b.replace(b'"code":"', b'"code":"\xff')),
    "half of a surrogate pair": with_last(spell=lambda b: b.replace(b'"cryoflux":"', b'"cryoflux":"\\ud800')),
    "127 escaped": with_last(spell=lambda b: b.replace(b'"cryoflux":"', b'"cryoflux":"\\u007f')),
    "a list as deep as it goes": with_last(spell=lambda b: b"[" * 5000 + b"]" * 5000),
    "no statement": with_last(spell=lambda _: b"null"),
    "an empty payload": with_last(spell=lambda _: b""),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES_IN_BYTES)
def test_other_bytes_get_the_verdict_of_verify(lie: str, tmp_path: Path, tools: Path) -> None:
    shell, verify = both(tmp_path, tools, LIES_IN_BYTES[lie], KEY.public_key())
    assert not shell.holds
    assert 1 in shell.entries
    agree(shell, verify)


GOOD = {"prepare": (60, 54, 66), "train": (30, 27, 33), "settle": (10, 9, 11)}
TOLD_PHASES: dict[str, tuple[bool, dict[str, tuple[int, int, int]]]] = {
    "that add up": (True, GOOD),
    "that do not": (False, {**GOOD, "settle": (9, 9, 11)}),
    "whose lower ends do not": (False, {**GOOD, "settle": (10, 8, 11)}),
    "whose upper ends do not": (False, {**GOOD, "settle": (10, 9, 12)}),
    "of which one is below nothing": (False, {**GOOD, "settle": (20, 19, 21), "merge": (-10, -10, -10)}),
    "of which one lies beside its interval": (
        False,
        {**GOOD, "train": (30, 31, 33), "settle": (10, 5, 11)},
    ),
    "beyond what is added up exactly": (False, {**GOOD, "merge": (2**53 // MICRO,) * 3}),
    "of which none is told": (False, {}),
}


@pytest.mark.parametrize("kind", TOLD_PHASES)
def test_phases_get_the_verdict_of_verify(kind: str, tmp_path: Path, tools: Path) -> None:
    holds, told = TOLD_PHASES[kind]
    names = ("microjoules", "loMicrojoules", "hiMicrojoules")
    phases = [
        {"name": name, **{end: joules * MICRO for end, joules in zip(names, ends, strict=True)}}
        for name, ends in told.items()
    ]
    log = with_last(lambda said: said["predicate"]["energy"].update(phases=phases))
    shell, verify = both(tmp_path, tools, log, KEY.public_key())
    assert verify.holds == holds, verify.said
    agree(shell, verify)


def test_a_phase_that_is_told_twice_is_refused_by_both(tmp_path: Path, tools: Path) -> None:
    half = {"microjoules": 50 * MICRO, "loMicrojoules": 45 * MICRO, "hiMicrojoules": 55 * MICRO}
    twice = [{"name": "train", **half}, {"name": "train", **half}]
    log = with_last(lambda said: said["predicate"]["energy"].update(phases=twice))
    shell, verify = both(tmp_path, tools, log, KEY.public_key())
    assert not verify.holds
    agree(shell, verify)


ENVELOPES: dict[str, Callable[[bytes], bytes]] = {
    "a second signature": lambda e: rfc8785.dumps(
        {**json.loads(e), "signatures": json.loads(e)["signatures"] * 2}
    ),
    "a line feed in the payload": lambda e: e.replace(b'"payload":"', b'"payload":"\\n'),
    "a payload that goes on": lambda e: e.replace(b'","payloadType"', b'AAAA","payloadType"'),
    "a space after a colon": lambda e: e.replace(b'"payload":', b'"payload": '),
    "a payload of another type": lambda e: e.replace(b"vnd.in-toto+json", b"vnd.cryoflux.claim+json"),
    "a signature that goes on": lambda e: e.replace(b'=="}', b'==AA"}'),
    "something behind it": lambda e: e + b" {}",
    "more than 60,000 bytes": lambda e: e + b" " * 60_000,
}


@pytest.mark.parametrize("lie", ENVELOPES)
def test_other_envelopes_get_the_verdict_of_verify(lie: str, tmp_path: Path, tools: Path) -> None:
    first, last = honest()
    shell, verify = both(tmp_path, tools, [first, ENVELOPES[lie](last)], KEY.public_key())
    assert not shell.holds
    agree(shell, verify)


WORDS = {
    "a control character 127": {"cryoflux": "a\x7fb\x7f"},
    "a backslash before what looks like 127": {"cryoflux": "\\u007f \\"},
    "names beyond the basic plane": {"\U0001f600": "1", "\uff5e": "2", "\ue000": "3", "a": "4"},
    "every control character": {"cryoflux": "".join(map(chr, range(32))) + "\x80\x9f\u2028\u2029\ufeff"},
    "a long text": {"cryoflux": "ä" * 2000},
}


@pytest.mark.parametrize("words", WORDS)
def test_innocent_words_are_not_accused(words: str, tmp_path: Path, tools: Path) -> None:
    """Its twin: bytes that are canonical, though stock tools write them in another way."""
    shell, verify = both(tmp_path, tools, honest(software=WORDS[words]), KEY.public_key())
    assert verify.holds, verify.said
    assert shell.holds, shell.said


# ---- The checkpoint ---------------------------------------------------------------------------------------

NOTE_CHANGES: dict[str, Callable[[str, str], str]] = {
    "none": lambda note, _: note,
    "another name in the signature line": lambda note, origin: note.replace(f"— {origin}", "— example.org/x"),
    "another key id": lambda note, _: _resigned(note, lambda b: bytes([b[0] ^ 1]) + b[1:]),
    "another signature": lambda note, _: _resigned(note, lambda b: b[:9] + bytes([b[9] ^ 1]) + b[10:]),
    "a signature that goes on": lambda note, _: _resigned(note, lambda b: b + b"\0"),
    "bytes before the signature": lambda note, _: _resigned(note, lambda b: b[:4] + b"\0" + b[4:]),
    "a hyphen for the dash": lambda note, _: note.replace("—", "-"),
    "an extension line": lambda note, _: note.replace("\n\n", "\nextension\n\n"),
    "carriage returns": lambda note, _: note.replace("\n", "\r\n"),
    "no last line feed": lambda note, _: note[:-1],
    "an empty line more": lambda note, _: note + "\n",
    "a leading zero": lambda note, _: note.replace("\n2\n", "\n02\n"),
    "a witness behind it": lambda note, _: note + "— witness.example AAAAAAAAAAA=\n",
    "a witness before it": lambda note, _: note.replace("\n\n", "\n\n— witness.example AAAAAAAAAAA=\n"),
    "another key of the same name": lambda note, origin: note + f"— {origin} AAAAAAAAAAA=\n",
    "two signatures of the log": lambda note, _: note + note.rpartition("\n\n")[2],
    "a second one that does not hold": lambda note, _: (
        note + _resigned(note, lambda b: b[:9] + bytes([b[9] ^ 1]) + b[10:]).rpartition("\n\n")[2]
    ),
    "a line that is no signature": lambda note, _: note + "hello\n",
    "loose bits": lambda note, _: note + "— witness.example AAAAAAAAAAB=\n",
    "65 signatures": lambda note, _: note + "— witness.example AAAAAAAAAAA=\n" * 64,
}


def _resigned(note: str, change: Callable[[bytes], bytes]) -> str:
    signed = note.splitlines()[-1].split(" ")[-1]
    return note.replace(signed, base64.b64encode(change(base64.b64decode(signed))).decode())


def _line(name: bytes, encoded: bytes = b"AAAAAAA=") -> bytes:
    return b"\xe2\x80\x94 " + name + b" " + encoded + b"\n"


FURTHER_LINES: dict[str, bytes] = {
    "a name that is no UTF-8": _line(b"w\xff"),
    "a surrogate in a name": _line(b"w\xed\xa0\x80"),
    "a letter in two bytes too many": _line(b"w\xc1\xa1"),
    "a zero byte in a name": _line(b"w\0"),
    "the space of ideographs in a name": _line("w\u3000".encode()),
    "the next line of EBCDIC in a name": _line("w\x85".encode()),
    "a space of no width in a name": _line("w\u200b".encode()),
    "what stands for no UTF-8, in UTF-8": _line("w\ufffd".encode()),
    "four bytes": _line(b"w", b"AAAAAA=="),
    "five bytes": _line(b"w", b"AAAAAAA="),
    "padding in the middle": _line(b"w", b"AAAAAA==AAAAAAAA"),
    "loose bits behind four bytes": _line(b"w", b"AAAAAAAAAB=="),
    "the base64 of addresses": _line(b"w", b"AAAA_-AA"),
    "a carriage return": _line(b"w", b"AAAAAAAA\r"),
    "a zero byte at the end": b"\0",
    "63 long ones, as long as a note may be": _line(b"w", b"A" * 2000) * 63,
    "one that makes the note too long": _line(b"w", b"A" * 4 * 32768),
}
"""behind a checkpoint that is right"""
FURTHER_TEXT: dict[str, bytes] = {
    "one": b"and more\n",
    "two, of which one looks like a signature": b"and\n" + _line(b"w"),
    "a tab": b"and\tmore\n",
    "no UTF-8": b"\xff\n",
}
"""lines behind the root that the log signs"""


SEEN_WHOLE = {
    *("a witness behind it", "another signature", "four bytes"),
    *("a zero byte in a name", "a tab", "one"),
}
"""what is shown to the whole script too; the others to those of its parts that read keys and checkpoints"""


def _around_entries(bundle: Path) -> Path:
    """The script without what it does about entries, for a bundle in which those are right."""
    head = parse_checkpoint((bundle / "log" / "checkpoint").read_bytes(), LOG_KEY.public_key())
    return script_around_entries(bundle.with_name("verify.sh"), head.size, head.root)


def _run_parts(bundle: Path, tools: Path, parts: Path, *, whole: bool) -> Verdict:
    """What parts of the script say of a bundle; it is what the whole says, where that is asked too."""
    found = run_shell(bundle, tools, bundle, script=parts)
    if whole:
        every = run_shell(bundle, tools)
        failed = [line for line in every.said.splitlines() if line.startswith("FAILED")]
        assert (every.holds, failed) == (found.holds, found.said.splitlines())
    return found


def _verdicts_on_a_note(bundle: Path, note: bytes, tools: Path, name: str) -> tuple[Verdict, bool]:
    """What the script says of a checkpoint, and whether it is one of the same entries to CryoFlux."""
    file, parts = bundle / "log" / "checkpoint", _around_entries(bundle)
    head = parse_checkpoint(file.read_bytes(), LOG_KEY.public_key())
    file.write_bytes(note)
    try:
        found = parse_checkpoint(note, LOG_KEY.public_key())
        holds = (found.origin, found.size, found.root) == (head.origin, head.size, head.root)
    except VerificationError:
        holds = False
    return _run_parts(bundle, tools, parts, whole=name in SEEN_WHOLE), holds


@pytest.mark.parametrize("change", NOTE_CHANGES)
def test_a_checkpoint_gets_the_verdict_of_verify(change: str, tmp_path: Path, tools: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", honest(), KEY.public_key())
    note = (bundle / "log" / "checkpoint").read_text("utf-8")
    changed = NOTE_CHANGES[change](note, origin_of(KEY.public_key())).encode()
    shell, holds = _verdicts_on_a_note(bundle, changed, tools, change)
    assert shell.holds == holds, shell.said
    assert holds or "FAILED log/checkpoint" in shell.said


@pytest.mark.parametrize("line", FURTHER_LINES)
def test_a_further_line_gets_the_verdict_of_verify(line: str, tmp_path: Path, tools: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", honest(), KEY.public_key())
    note = (bundle / "log" / "checkpoint").read_bytes()
    shell, holds = _verdicts_on_a_note(bundle, note + FURTHER_LINES[line], tools, line)
    assert shell.holds == holds, shell.said


@pytest.mark.parametrize("text", FURTHER_TEXT)
def test_a_further_text_gets_the_verdict_of_verify(text: str, tmp_path: Path, tools: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", honest(), KEY.public_key())
    begun, _, _ = (bundle / "log" / "checkpoint").read_bytes().partition(b"\n\n")
    said = begun + b"\n" + FURTHER_TEXT[text]
    signer = verifier_key(origin_of(KEY.public_key()), LOG_KEY.public_key())
    signature = NoteSignature(signer.name, signer.id, LOG_KEY.sign(said))
    shell, holds = _verdicts_on_a_note(bundle, said + b"\n" + signature.line, tools, text)
    assert shell.holds == holds, shell.said


def test_the_vectors_of_checkpoints_are_among_the_changes() -> None:
    assert len(NOTES["cases"]) <= len(NOTE_CHANGES)


# ---- Keys -------------------------------------------------------------------------------------------------

ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
PRIME = 2**255 - 19
WEAK = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, PRIME - 1, PRIME, PRIME + 1, 2**255 - 1, ORDER_8, PRIME - ORDER_8)
    for sign in (0, 1)
]


class Nobody:
    """Signs whatever it is given under the identity point: R = B and S = 1."""

    def public_key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))

    def sign(self, message: bytes) -> bytes:
        return bytes.fromhex("58" + "66" * 31) + (1).to_bytes(32, "little")


def test_a_log_that_anybody_could_have_signed_is_refused(tmp_path: Path, tools: Path) -> None:
    nobody: Any = Nobody()
    log = PlainLog(nobody)
    log.abort(log.announce())
    entries = [entry.envelope for entry in log.entries]
    bundle = bundle_of(tmp_path / "bundle", entries, nobody.public_key())
    shell = run_shell(bundle, tools)
    assert not shell.holds
    assert "FAILED keys/receipt.pub: is a key under which anybody can sign" in shell.said


@pytest.mark.parametrize("raw", WEAK, ids=[raw.hex()[:4] + raw.hex()[-2:] for raw in WEAK])
def test_every_weak_spelling_of_a_log_key_is_refused(raw: bytes, tmp_path: Path, tools: Path) -> None:
    bundle = bundle_of(tmp_path / "bundle", honest(), KEY.public_key())
    der, parts = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw), _around_entries(bundle)
    text = f"-----BEGIN PUBLIC KEY-----\n{der.decode()}\n-----END PUBLIC KEY-----\n"
    (bundle / "keys/log.pub").write_text(text)
    said = _run_parts(bundle, tools, parts, whole=raw == WEAK[0]).said
    assert "FAILED keys/log.pub: is a key under which anybody can sign" in said


# ---- The log key ------------------------------------------------------------------------------------------


def vouching(*keyids: str, index: int = 0) -> list[bytes]:
    """An honest pair, one of which vouches for log keys."""
    first, last = (payload_of(entry) for entry in honest())
    more = [{"name": "log-public-key.der", "digest": {"sha256": keyid}} for keyid in keyids]
    (first, last)[index]["subject"] += more
    begun = sealed(rfc8785.dumps(first))
    leaf = leaf_hash(begun).hex()
    last["predicate"] |= {"prev": leaf, "intent": leaf}
    return [begun, sealed(rfc8785.dumps(last))]


OURS = key_id(LOG_KEY.public_key())


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        (vouching(OURS), ""),
        (honest(), ""),
        (vouching("0" * 64), "entries/000000.json: vouches for another log key"),
        (vouching(OURS, OURS), "entries/000000.json: vouches for more than one log key"),
        (vouching(OURS, index=1), "entries/000001.json: vouches for a log key, which only"),
    ],
)
def test_a_log_key_is_held_to_what_the_first_entry_says(
    entries: list[bytes], complaint: str, tmp_path: Path, tools: Path
) -> None:
    shell = run_shell(bundle_of(tmp_path / "bundle", entries, KEY.public_key()), tools)
    assert shell.holds == (not complaint), shell.said
    assert complaint in shell.said
    if shell.holds:
        vouched = "for which the first entry vouches" in shell.said
        assert vouched == (entries != honest())


# ---- Whose script it is -----------------------------------------------------------------------------------


def test_a_copy_of_ones_own_checks_a_bundle_whose_script_lies(tmp_path: Path, tools: Path) -> None:
    entries = [entry.envelope for entry in plain_log().entries]
    bundle = bundle_of(tmp_path / "bundle", entries, KEY.public_key())
    own = tmp_path / "own" / "verify.sh"
    own.parent.mkdir()
    own.write_bytes((bundle / "verify.sh").read_bytes())
    (bundle / "verify.sh").write_text("echo VERIFIED 9 entries\n")
    assert run_shell(bundle, tools, bundle, script=own).holds
    (bundle / "entries/000003.json").write_bytes(entries[1])
    assert not run_shell(bundle, tools, bundle, script=own).holds


def test_a_schema_of_the_audited_party_is_not_believed(tmp_path: Path, tools: Path) -> None:
    """One that allows every field would let everything pass that has a field more."""
    bundle = bundle_of(tmp_path / "bundle", LIES_IN_BYTES["an unknown field"], KEY.public_key())
    (bundle / "receipt.schema.json").write_text("{}")
    assert "FAILED receipt.schema.json" in run_shell(bundle, tools).said
