"""The published vectors, which any implementation can use, against this one."""

from __future__ import annotations

import base64
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import parse_checkpoint
from cryoflux.receipts.decoding import NewerFormatError
from cryoflux.receipts.entry import parse_entry
from cryoflux.receipts.log_key import log_key_complaint, vouched_log_key
from cryoflux.receipts.merkle import EMPTY_ROOT, leaf_hash, root_hash, verify_consistency, verify_inclusion
from cryoflux.receipts.proof import check_proof, format_proof, parse_proof
from cryoflux.receipts.revocation import Authority
from cryoflux.sentences import say
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import key_id, load_public_key

FOLDER = Path(__file__).parents[2] / "vectors"
FILES = {name: json.loads((FOLDER / name).read_text("utf-8")) for name in (
    "entries.json", "logs.json", "log-keys.json", "checkpoints.json", "proofs.json", "merkle.json"
)}  # fmt: skip


def key_of(file: str, name: str) -> Ed25519PublicKey:
    key = load_pem_public_key(FILES[file][name].encode())
    assert isinstance(key, Ed25519PublicKey)
    return key


def cases(file: str) -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in FILES[file]["cases"]]


def complaint(check: Callable[[], object]) -> str:
    """What a check complains of, with the kind of complaint before it; empty where it passes."""
    try:
        check()
    except NewerFormatError as error:
        return f"newer: {error.what}"
    except VerificationError as error:
        return f"form: {error.what}"
    return ""


@pytest.mark.parametrize("case", cases("entries.json"))
def test_entries(case: dict[str, str]) -> None:
    envelope = base64.b64decode(case["envelope"])
    found = complaint(lambda: parse_entry(0, envelope))
    if not found and not verify(parse_entry(0, envelope).signed, key_of("entries.json", "receiptKey")):
        found = "signature: "
    assert ("refuse" if found else "accept") == case["verdict"]
    assert found.split(":")[0] == case["why"].split(":")[0]


@pytest.mark.parametrize("case", cases("logs.json"))
def test_logs(case: dict[str, Any]) -> None:
    authority = Authority(key_of("logs.json", "receiptKey"))
    entries = [parse_entry(i, base64.b64decode(text)) for i, text in enumerate(case["entries"])]
    refused = [str(entry.index) for entry in entries if authority.admit(entry)]
    assert refused[:1] == ([case["why"].split(":")[0]] if case["verdict"] == "refuse" else [])


@pytest.mark.parametrize("case", cases("log-keys.json"))
def test_log_keys(case: dict[str, Any]) -> None:
    authority = Authority(key_of("log-keys.json", "receiptKey"))
    expected = key_id(key_of("log-keys.json", "logKey"))
    entries = [parse_entry(i, base64.b64decode(text)) for i, text in enumerate(case["entries"])]
    assert [complaint for entry in entries if (complaint := authority.admit(entry))] == []
    refused = [
        str(entry.index)
        for entry in entries
        if log_key_complaint(entry) or vouched_log_key(entry) not in {"", expected}
    ]
    assert refused[:1] == ([case["why"].split(":")[0]] if case["verdict"] == "refuse" else [])
    assert case["verdict"] == "refuse" or vouched_log_key(entries[0]) == expected


@pytest.mark.parametrize("case", cases("checkpoints.json"))
def test_checkpoints(case: dict[str, str]) -> None:
    found = complaint(lambda: parse_checkpoint(case["note"].encode(), key_of("checkpoints.json", "logKey")))
    assert ("refuse" if found else "accept") == case["verdict"]


@pytest.mark.parametrize("case", cases("proofs.json"))
def test_proofs(case: dict[str, str]) -> None:
    keys = key_of("proofs.json", "receiptKey"), key_of("proofs.json", "logKey")
    content = case["proof"].encode()
    found = complaint(lambda: check_proof(parse_proof(content), *keys))
    assert ("refuse" if found else "accept") == case["verdict"]
    if not found:
        assert format_proof(parse_proof(content)) == content


def test_merkle_trees() -> None:
    said = FILES["merkle.json"]
    leaves = [leaf_hash(b"%d" % i) for i in range(70)]
    roots = {int(size): bytes.fromhex(root) for size, root in said["roots"].items()}
    assert roots[0] == EMPTY_ROOT
    assert all(root_hash(leaves[:size]) == root for size, root in roots.items())
    for case in said["inclusion"]:
        proof = [bytes.fromhex(text) for text in case["proof"]]
        assert verify_inclusion(
            case["index"], case["size"], leaves[case["index"]], proof, roots[case["size"]]
        )
    for case in said["consistency"]:
        proof = [bytes.fromhex(text) for text in case["proof"]]
        assert verify_consistency(case["old"], case["new"], roots[case["old"]], roots[case["new"]], proof)


def test_the_files_are_what_their_script_writes() -> None:
    spec = importlib.util.spec_from_file_location("make_vectors", FOLDER / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert {name: (FOLDER / name).read_bytes() for name in FILES} == module.build()


def test_the_log_of_the_second_form_is_what_its_script_writes_and_every_kind_is_in_it() -> None:
    spec = importlib.util.spec_from_file_location("make_log", FOLDER / "make_log.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (FOLDER / "log-v2.jsonl").read_bytes() == module.content()
    lines = (FOLDER / "log-v2.jsonl").read_bytes().splitlines()
    entries = [parse_entry(index, line) for index, line in enumerate(lines)]
    assert {entry.kind.value for entry in entries} == {"intent", "receipt", "head", "session"}
    assert {receipt.outcome for entry in entries if (receipt := entry.receipt)} >= {
        "accepted",
        "rejected",
        "aborted",
    }


def test_a_fork_is_what_its_script_writes_and_goes_on_with_the_looks_of_its_parent() -> None:
    from cryoflux.verification.steps import verify_target

    spec = importlib.util.spec_from_file_location("make_log", FOLDER / "make_log.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (FOLDER / "fork-v1.jsonl").read_bytes() == module.fork_content()
    entries = [
        parse_entry(i, line) for i, line in enumerate((FOLDER / "fork-v1.jsonl").read_bytes().splitlines())
    ]
    assert [entry.kind.value for entry in entries] == ["fork", "intent", "receipt"]
    fork, intent = entries[0].fork, entries[1].intent
    assert fork is not None
    assert intent is not None
    (used,) = next(said for said in fork.tasks if said.task == intent.task.name).holdouts
    assert (intent.bar.looks, intent.bar.kept) == (used.looks, used.kept) == (2, 1)
    assert verify_target(FOLDER / "fork-v1.jsonl", key=module.FORK_KEY.public_key()).ok


def test_there_are_cases_of_both_kinds_in_every_file() -> None:
    for name, file in FILES.items():
        if "cases" in file:
            assert {case["verdict"] for case in file["cases"]} == {"accept", "refuse"}, name


@pytest.mark.parametrize("name", ["log-evidence-v1", "log-v2"])
def test_the_logs_that_are_kept_verify(name: str) -> None:
    from cryoflux.verification.steps import verify_target

    key = FOLDER / "log-evidence-v1.pub"
    first = load_public_key(key) if name.endswith("v1") else key_of("entries.json", "receiptKey")
    assert verify_target(FOLDER / f"{name}.jsonl", key=first).ok


def test_the_worked_example_of_the_reference_is_a_vector() -> None:
    page = (FOLDER.parents[1] / "docs" / "reference" / "receipts.md").read_text("utf-8")
    entry = parse_entry(1, (FOLDER / "log-v2.jsonl").read_bytes().splitlines()[1])
    assert json.loads(page.split("```json\n")[1].split("```")[0]) == json.loads(entry.signed.payload)
    assert entry.receipt is not None
    said = " ".join(page.split('says so: "')[1].split('"')[0].split())
    assert said == say(entry.receipt.reason)
