"""A capsule proves who offers an update, since when, and that a receipt made it; nothing else passes."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from cryoflux.errors import StateTamperedError, UsageError, VerificationError
from cryoflux.network.capsule import (
    MOST_CAPSULE_BYTES,
    check_capsule,
    check_capsule_files,
    parse_capsule,
)
from cryoflux.network.offering import capsule_content
from cryoflux.receipts.checkpoint import verifier_key
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import UpdateOffer
from cryoflux.receipts.proof import format_proof, parse_proof
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.keys import load_key, raw_public_key
from cryoflux.witness.policy import parse_policy
from node_log import AT
from offered import COMMITTED_S, OfferedState, offered_state, tensors, write_capsule
from plain_log import model
from synthetic_parts import digest_of

ROOT_KEY = Ed25519PrivateKey.from_private_bytes(b"\x09" * 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[OfferedState, Entry]:
    return offered_state(tmp_path_factory.mktemp("offered") / "state")


def changed(content: bytes, **changes: object) -> bytes:
    """Another document, in canonical form."""
    return canonical_bytes(msgspec.structs.replace(parse_capsule(content), **changes))


def refused(content: bytes, made: OfferedState, said: str) -> None:
    with pytest.raises(VerificationError, match=said):
        check_capsule(content, made.policy)


def test_an_offer_proves_itself(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    found, said = state.checked(offer), offer.statement.predicate
    assert isinstance(said, UpdateOffer)
    assert (found.update, found.offer, found.committed_s) == (said.update, said, COMMITTED_S)
    assert (found.offer_leaf, found.receipt_leaf) == (offer.leaf_hash, said.receipt)
    assert found.origin == state.log.log.origin
    assert found.update.genesis == model("first lora_delta").digest


def test_the_document_has_the_names_and_the_form_that_others_read(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    content = state.content(offer)
    said = json.loads(content)
    assert set(said) == {"v", "origin", "log_vkey", "receipt_key", "offer", "receipt", "adapter", "config"}
    assert set(said["offer"]) == {"entry", "proof"}
    assert content == json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(content) < MOST_CAPSULE_BYTES


def test_its_folder_holds_what_was_signed(made: tuple[OfferedState, Entry], tmp_path: Path) -> None:
    state, offer = made
    folder = state.write(offer, tmp_path / "capsule")
    found = state.checked(offer)
    adapter, config = check_capsule_files(folder, found)
    kept = state.state.capsule(found.update.adapter)
    assert adapter == (kept / "adapter_model.safetensors").read_bytes()
    assert config == (kept / "adapter_config.json").read_bytes()


def test_the_earliest_head_that_a_quorum_saw_is_the_commitment(tmp_path: Path) -> None:
    state = OfferedState(tmp_path / "state")
    receipt = state.train()
    state.cosigned("a", COMMITTED_S - 500)  # one of three is no quorum
    state.cosigned("ab", COMMITTED_S - 100)
    offer = state.offer(receipt)
    state.cosigned("bc", COMMITTED_S + 100)
    assert state.checked(offer).committed_s == COMMITTED_S - 100
    state.heads.reverse()
    assert state.checked(offer).committed_s == COMMITTED_S - 100


def test_there_is_no_capsule_before_a_quorum_saw_the_offer(tmp_path: Path) -> None:
    state = OfferedState(tmp_path / "state")
    receipt = state.train()
    state.cosigned("ab")
    offer = state.offer(receipt)

    def content() -> bytes | None:
        return capsule_content(state.state, state.log.entries, offer, state.heads, state.policy)

    assert content() is None
    state.cosigned("c")
    assert content() is None
    state.cosigned("bc")
    assert content() is not None


def test_a_policy_that_needs_nobody_knows_no_time(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    line = next(line for line in state.policy_text.splitlines() if line.startswith("log "))
    nobody = parse_policy(f"{line}\nquorum none\n".encode())
    assert check_capsule(state.content(offer), nobody).committed_s is None


def test_an_update_of_a_composed_head_is_offered_with_its_list(tmp_path: Path) -> None:
    state = OfferedState(tmp_path / "state")
    first = state.train()
    offer = state.offer(state.train(save(tensors(1))))
    state.cosigned()
    update = state.checked(offer).update
    assert [term.adapter for term in update.parent] == [first.statement.subject[0].digest.sha256]


# Keys that follow one another


def rotated(path: Path) -> tuple[OfferedState, Entry]:
    """Trained under the first key, offered under the second one."""
    state = OfferedState(path)
    receipt = state.train()
    enrol_root(state.log.log, path, ROOT_KEY.public_key(), AT)
    rotate_key(state.log.log, path, ROOT_KEY, "new disk", AT)
    state.log.reopen()
    offer = state.offer(receipt)
    state.cosigned()
    return state, offer


def test_keys_that_the_root_put_in_place_are_followed(tmp_path: Path) -> None:
    state, offer = rotated(tmp_path / "state")
    content = state.content(offer)
    assert [len(parse_capsule(content).keys), state.checked(offer).signer] == [2, offer.signed.keyid]
    assert offer.signed.keyid != state.log.entries[0].signed.keyid
    refused(changed(content, keys=[]), state, "is not signed by the key")
    said = parse_capsule(content)
    refused(changed(content, keys=said.keys[1:]), state, "named no root key|not signed by the key")
    refused(changed(content, keys=[*said.keys, said.keys[1]]), state, "brought twice")
    refused(changed(content, keys=[*said.keys, said.receipt]), state, "another kind is due")


def test_what_a_revoked_key_signs_is_no_offer_as_far_as_the_revocation_is_brought(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = OfferedState(path)
    receipt = state.train()
    enrol_root(state.log.log, path, ROOT_KEY.public_key(), AT)
    stolen = load_key(path / "keys", "receipt", create=False)
    revoke_key(state.log.log, ROOT_KEY, receipt.signed.keyid, "laptop lost", AT)
    state.log.read_again()
    state.log.log._authority = Authority(stolen.public_key())  # as a thief's program has it
    state.log.store = lambda build: state.log.log.append(build, stolen)
    offer = state.offer(receipt)
    state.cosigned()
    content = state.content(offer)
    refused(content, state, "no key was valid there")
    # A capsule alone cannot show that nothing was left out; whoever has the log sees it.
    kept = parse_capsule(content).keys[:1]
    assert check_capsule(changed(content, keys=kept), state.policy).offer == offer.statement.predicate


# What does not hold


def test_no_byte_of_it_can_be_changed(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    content, policy, due = state.content(offer), state.policy, state.checked(offer)

    @settings(max_examples=150, deadline=None)
    @given(st.integers(0, len(content) - 1), st.integers(0, 255))
    def flipped(at: int, byte: int) -> None:
        other = content[:at] + bytes([byte]) + content[at + 1 :]
        try:
            found = check_capsule(other, policy)
        except VerificationError:
            return
        # the size of the settings is not signed, and the file tells; a witness that nobody needs may be lost
        assert replace(found, config_bytes=0) == replace(due, config_bytes=0)

    flipped()


def test_what_is_no_capsule_is_refused(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    content = state.content(offer)
    refused(b"", state, "malformed")
    refused(b"{}", state, "malformed")
    refused(b"[" * 60_000, state, "malformed")
    refused(b" " * (MOST_CAPSULE_BYTES + 1), state, "at most 65,536")
    refused(content + b"\n", state, "canonical|malformed")
    refused(content.replace(b'"v":1', b'"v":2'), state, "malformed")
    refused(content.replace(b'"v":1', b'"v":1.0'), state, "malformed|canonical")
    refused(content.replace(b"{", b'{"more":1,', 1), state, "malformed")


def test_a_log_that_the_policy_does_not_name_is_nobodys(
    made: tuple[OfferedState, Entry], tmp_path: Path
) -> None:
    state, offer = made
    other, _ = offered_state(tmp_path / "state")
    with pytest.raises(VerificationError, match="does not name the log") as caught:
        check_capsule(state.content(offer), other.policy)
    assert f"log {state.log_key}" in caught.value.hint
    found = check_capsule(state.content(offer), other.policy, [state.log_key])
    assert found.origin == state.log_key.name


def test_what_no_quorum_saw_is_not_witnessed(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    said = parse_capsule(state.content(offer))
    head = state.cosigned("a")
    state.heads.pop()
    proof = parse_proof(said.offer.proof.encode())
    alone = format_proof(replace(proof, checkpoint=head.content)).decode()
    content = changed(state.content(offer), offer=said.offer.but(proof=alone))
    refused(content, state, "is not witnessed")


def test_entries_of_two_offers_do_not_make_one(tmp_path: Path) -> None:
    state = OfferedState(tmp_path / "state")
    receipts = [state.train(), state.train(save(tensors(1)))]
    offers = [state.offer(receipt) for receipt in receipts]
    state.cosigned()
    one, other = (parse_capsule(state.content(offer)) for offer in offers)
    content = state.content(offers[0])
    refused(changed(content, receipt=other.receipt), state, "offers what entry 1 did not make")
    refused(changed(content, offer=other.offer), state, "offers what entry 3 did not make")
    refused(changed(content, adapter=other.adapter), state, "names other files")
    refused(changed(content, offer=one.receipt, receipt=one.offer), state, "no offer and its receipt")
    refused(changed(content, offer=one.offer.but(entry=other.offer.entry)), state, "does not lead")


def test_an_offer_of_what_its_receipt_did_not_make_is_refused(tmp_path: Path) -> None:
    state = OfferedState(tmp_path / "state")
    receipt = state.train()
    update = state.offer(receipt).statement.predicate
    assert isinstance(update, UpdateOffer)
    for forged, said in (
        ({"config": digest_of("others")}, "offers another update"),
        ({"update": update.update.but(genesis=digest_of("others"))}, "trained on another version"),
        ({"receipt": digest_of("others")}, "did not make"),
    ):
        offer = state.offer(receipt, **forged)
        state.cosigned()
        if "config" in forged:
            with pytest.raises(StateTamperedError, match="not the file that was signed"):
                state.content(offer)
            continue
        refused(state.content(offer), state, said)


def test_a_head_of_another_key_under_the_same_name_is_refused(made: tuple[OfferedState, Entry]) -> None:
    state, offer = made
    content = state.content(offer)
    thief = Ed25519PrivateKey.from_private_bytes(b"\x33" * 32)
    stolen = verifier_key(state.log_key.name, thief.public_key())
    refused(changed(content, log_vkey=str(stolen)), state, "does not name the log")
    with pytest.raises(VerificationError, match="another log or another key"):
        check_capsule(changed(content, log_vkey=str(stolen)), state.policy, [stolen])
    mine = base64.b64encode(raw_public_key(thief.public_key())).decode()
    refused(changed(content, receipt_key=mine), state, "not named after the receipt key")


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
@pytest.mark.parametrize("how", ["missing", "longer", "other", "link", "folder", "pipe"])
def test_other_bytes_are_not_what_was_signed(
    made: tuple[OfferedState, Entry], tmp_path: Path, name: str, how: str
) -> None:
    state, offer = made
    folder = state.write(offer, tmp_path / "capsule")
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    match how:
        case "longer":
            path.write_bytes(content + b"\0")
        case "other":
            path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case "link":
            (tmp_path / "else").write_bytes(content)
            path.symlink_to(tmp_path / "else")
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    with pytest.raises(VerificationError, match=r"cannot be read|not what was signed"):
        check_capsule_files(folder, state.checked(offer))


def test_a_state_that_lost_its_adapter_writes_no_capsule(tmp_path: Path) -> None:
    state, offer = offered_state(tmp_path / "state")
    content, said = state.content(offer), offer.statement.predicate
    assert isinstance(said, UpdateOffer)
    (state.state.capsule(said.update.adapter) / "adapter_model.safetensors").write_bytes(b"other")
    with pytest.raises(StateTamperedError, match="not the file that was signed"):
        write_capsule(state.state, said, content, tmp_path / "capsule")
    assert not (tmp_path / "capsule/capsule.json").exists()
    with pytest.raises(UsageError, match="is no offer"):
        capsule_content(state.state, state.log.entries, state.log.entries[1], state.heads, state.policy)
