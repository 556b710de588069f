"""``cryoflux capsule``: what it offers, shows, checks and lists, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save

from cryoflux.decision.reason import Reason
from cryoflux.network.folder import NetworkFolder
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.network_statement import OfferStatement
from cryoflux.receipts.parts import Outcome
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.statement import Sha256Digest, Subject
from cryoflux.witness.cosigned import keep_cosigned
from json_rule import complaints, keys_of, parsed
from offered import COMMITTED_S, OfferedState, offered_state, settings, tensors
from running import exit_code_of
from verifying import verify_target

pytestmark = pytest.mark.usefixtures("elsewhere")

PAGE = (Path(__file__).parents[3] / "docs/reference/json.md").read_text("utf-8")
Run = Callable[..., str]
Said = Callable[..., dict[str, Any]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """What a command prints; with a code, what it says on both streams."""

    def typed(*words: object, code: int = 0) -> str:
        assert exit_code_of(monkeypatch, "capsule", *words) == code
        said = capsys.readouterr()
        return said.out + said.err if code else said.out

    return typed


@pytest.fixture
def said(run: Run) -> Said:
    """What a command says as JSON, once it holds the rule and the page has its names."""

    def typed(*words: object) -> dict[str, Any]:
        (document,) = parsed(run(*words, "--json"))
        assert complaints(document) == []
        assert [key for key in sorted(keys_of(document)) if f"`{key}`" not in PAGE] == []
        assert f"`{document['schema']}`" in PAGE
        return document

    return typed


@pytest.fixture
def trained(tmp_path: Path) -> tuple[OfferedState, Entry]:
    """A state, by its default name, with one update that nobody offers yet."""
    made = OfferedState(tmp_path / "state")
    receipt = made.train()
    return made, receipt


def witnessed(made: OfferedState, by: str = "ab") -> Path:
    """Have the newest head cosigned; the policy that says by whom."""
    keep_cosigned(made.state.log, made.cosigned(by).content)
    policy = made.path.parent / "trust.policy"
    policy.write_text(made.policy_text)
    return policy


def test_what_is_offered_is_an_entry_that_verifies(trained: tuple[OfferedState, Entry], run: Run) -> None:
    made, receipt = trained
    made.log.close()
    out = run("offer", "#1", "--terms", "MIT")
    assert "is offered now, by entry 2 of the log" in out
    assert "cryoflux node init" in out
    assert "cryoflux witness submit --policy FILE" in out
    offer = read_entries(made.path)[-1].statement
    assert isinstance(offer, OfferStatement)
    assert (offer.predicate.receipt, offer.predicate.terms) == (receipt.leaf_hash, "MIT")
    assert [one.digest.sha256 for one in offer.subject] == [
        one.digest.sha256 for one in receipt.statement.subject
    ]
    (step,) = (check for check in verify_target(made.path).checks if check.number == 17)
    assert "1 offered" in step.detail
    refused = run("offer", "#1", code=2)
    assert "is offered already, by entry 2" in refused
    assert "cryoflux capsule show" in refused


@pytest.mark.parametrize("how", ["index", "hash", "adapter", "task"])
def test_an_update_is_named_as_any_entry_or_by_its_adapter(
    trained: tuple[OfferedState, Entry], said: Said, how: str
) -> None:
    made, receipt = trained
    made.log.close()
    adapter = receipt.statement.subject[0].digest.sha256
    assert receipt.receipt is not None
    name = {
        "index": receipt.index,
        "hash": receipt.leaf_hash[:12],
        "adapter": adapter[:8],
        "task": receipt.receipt.task.id,
    }[how]
    assert said("offer", name)["capsule"] == adapter


def test_what_nobody_could_add_up_or_admit_is_not_offered(tmp_path: Path, run: Run) -> None:
    made = OfferedState(tmp_path / "state")
    made.train(merge="merge/v1")
    made.train(save(tensors(1)), settings(use_dora=True))
    made.train(
        save(
            {
                **tensors(2),
                "base_model.model.classifier.bias": tensors()["base_model.model.classifier.bias"]
                * float("inf"),
            }
        )
    )
    made.log.abort(made.log.announce())
    lost = made.train(save(tensors(3)))
    shutil.rmtree(made.state.capsule(lost.statement.subject[0].digest.sha256))
    made.log.close()
    count = len(read_entries(made.path))
    for name, code, words in (
        ("#1", 2, "does not name what its update was trained on"),
        ("#2", 2, "use_dora"),
        ("#3", 2, "what is no number"),
        ("#4", 2, "made no update"),
        ("#5", 1, "cannot be read"),
        ("0", 2, "made no update"),
        ("ffffffff", 2, "No single entry"),
    ):
        assert words in run("offer", name, code=code), name
    assert "cannot hold what --terms says" in run("offer", "#1", "--terms", "x" * 2001, code=2)
    said = run("recall", "ab12", "--reason", "x" * 1970, "--with-descendants", code=2)
    assert "at most 1969 of them fit" in said, "an entry about a descendant says more than the reason"
    assert len(read_entries(made.path)) == count


def test_an_open_attempt_is_closed_first(trained: tuple[OfferedState, Entry], run: Run) -> None:
    made, _ = trained
    made.log.announce()
    made.log.close()
    assert "has no receipt yet" in run("offer", "#1", code=2)


def test_what_is_no_adapter_cannot_be_offered(tmp_path: Path, run: Run) -> None:
    made = OfferedState(tmp_path / "state")
    subject = [Subject(name="update.json", digest=Sha256Digest(sha256="ab" * 32))]
    number = made.log.conclude(made.log.announce(), kept=True, subject=subject).index
    made.log.close()
    size = len(read_entries(made.path))
    refused = " ".join(run("offer", number, "--state", made.path, code=2).split())
    assert f"Entry {number} made update.json, which others cannot add to theirs." in refused
    assert len(read_entries(made.path)) == size


def test_why_what_was_not_judged_cannot_be_offered_is_said(tmp_path: Path, run: Run) -> None:
    made = OfferedState(tmp_path / "young")
    numbers: dict[str, int | str] = {
        "count": 70,
        "delta": 20_000_000,
        "squared": "1" + "0" * 18,
        "stake_milli": 0,
        "least_milli": 200,
    }
    adapter = made.train(kept=False).statement.subject
    made.log.conclude(
        made.log.announce(),
        kept=False,
        subject=adapter,
        outcome=Outcome.UNDECIDED,
        evaluation=None,
        reason=Reason(code="stake.too-little", numbers=numbers),
    )
    made.log.close()
    said = " ".join(run("offer", "#2", "--state", "young", code=2).split())
    assert "is no receipt of an update that the holdout has judged" in said
    assert "Its holdout has 64 examples. Rejected: Δ +0.0003 nats" in said
    assert "not shown to the holdout: too little could be staked on it" in said
    assert "cryoflux run --state young" in said
    assert "cryoflux receipts list --state young" in said


def test_a_rejected_update_may_be_offered_because_it_may_help_others(tmp_path: Path, run: Run) -> None:
    made = OfferedState(tmp_path / "state")
    made.train()
    made.train(save(tensors(1)), kept=False)
    made.log.close()
    assert "with 1 update over it" in run("offer", "#2")


def test_what_is_offered_is_shown_and_listed(tmp_path: Path, run: Run, said: Said) -> None:
    made, offer = offered_state(tmp_path / "state")
    capsule = offer.statement.subject[0].digest.sha256
    policy = witnessed(made)
    made.log.close()
    assert "not known" in run("show", capsule[:8])
    out = run("show", capsule[:8], "--policy", policy)
    assert "2025-11-29T07:06:40Z by a quorum of witnesses" in out
    assert "with no update over it" in out
    assert "no round of this log has looked at it" in out
    assert "none stated" in out
    shown = said("show", capsule, "--policy", policy)
    (listed,) = said("list", "--policy", policy)["capsules"]
    assert {name: shown[name] for name in listed} == listed
    assert (listed["own"], listed["here"], listed["committed_at"]) == (True, True, "2025-11-29T07:06:40Z")
    keep_cosigned(made.state.log, made.cosigned("ab", COMMITTED_S + 900).content)
    assert said("show", capsule, "--policy", policy)["committed_at"] == shown["committed_at"]
    assert capsule[:12] in run("list")
    assert "No single capsule" in run("show", "ffffffff", code=2)


def test_what_was_fetched_is_listed_and_is_nobodys_word_until_it_is_checked(
    tmp_path: Path, run: Run, said: Said
) -> None:
    other, offer = offered_state(tmp_path / "other")
    mine = OfferedState(tmp_path / "state")
    mine.train(save(tensors(7)))
    mine.log.close()
    capsule = offer.statement.subject[0].digest.sha256
    network = NetworkFolder.of(mine.path)
    folder = other.write(offer, network.capsule(capsule))
    (network.incoming / "junk").mkdir()
    shutil.copytree(folder, network.incoming / ("0" * 64))  # under another name than its own
    (listed,) = said("list")["capsules"]
    assert (listed["capsule"], listed["own"], listed["checked"]) == (capsule, False, False)
    assert "nothing is checked" in run("show", folder)
    policy = witnessed(other)
    assert said("show", folder, "--policy", policy)["checked"] is True
    assert "nothing is checked" in run("show", capsule[:8])
    network.known_peers.write_text(f"{policy.read_text()}verifier {other.log_key}\n")
    (listed,) = said("list")["capsules"]
    assert (listed["checked"], listed["committed_at"]) == (True, "2025-11-29T07:06:40Z")
    assert said("check", folder, "--policy", network.known_peers)["ok"] is True


def test_who_has_no_log_sees_what_was_fetched(tmp_path: Path, run: Run, said: Said) -> None:
    other, offer = offered_state(tmp_path / "other")
    policy = witnessed(other)
    capsule = offer.statement.subject[0].digest.sha256
    other.write(offer, NetworkFolder.of(tmp_path / "state").capsule(capsule))
    (listed,) = said("list", "--policy", policy)["capsules"]
    assert (listed["capsule"], listed["own"], listed["checked"]) == (capsule, False, True)
    assert "no round of this log" in run("show", capsule[:8])


def test_rounds_of_this_log_say_what_they_found(tmp_path: Path, run: Run, said: Said) -> None:
    made = OfferedState(tmp_path / "state")
    receipt = made.train()
    made.node.introduce()
    made.node.enter()
    made.offer(receipt)
    candidate = made.node.candidate().but(capsule=receipt.statement.subject[0].digest.sha256)
    made.node.record(made.node.announce([candidate]))
    made.log.close()
    out = run("show", candidate.capsule[:8])
    assert "adopted in entry 6 here, round Δ > 0.05 nats" in out
    (used,) = said("show", candidate.capsule)["used"]
    assert used == {"entry": 6, "verdict": "adopted", "certified_delta": 0.05}
    assert not said("show", candidate.capsule)["was_recalled"]
    made.log.reopen()
    made.node.recall(candidate.capsule)
    made.log.close()
    assert run("list").splitlines()[1].split()[-1] == "recalled"
    assert said("show", candidate.capsule)["was_recalled"]
    assert "recalled     by this log: its head does not hold it any more" in run("show", candidate.capsule)


def test_a_check_says_what_it_checked_and_what_it_did_not(tmp_path: Path, run: Run, said: Said) -> None:
    made, offer = offered_state(tmp_path / "state")
    policy, folder = witnessed(made), made.write(offer, tmp_path / "capsule")
    made.log.close()
    out = run("check", folder, "--policy", policy)
    assert out.count("✓") == 4
    assert "a quorum of its witnesses had seen the receipt at 2025-11-29T07:06:40Z" in out
    assert out.count("? not checked") == 3
    assert said("check", folder, "--policy", policy)["ok"] is True
    (tmp_path / "alone.json").write_bytes((folder / "capsule.json").read_bytes())
    out = run("check", tmp_path / "alone.json", "--policy", policy)
    assert (out.count("✓"), "? not checked: the bytes of the adapter" in out) == (3, True)
    nobody = tmp_path / "nobody.policy"
    nobody.write_text(f"log {made.log_key}\nquorum none\n")
    assert "no witness is needed by this policy" in run("check", folder, "--policy", nobody)


def test_what_does_not_hold_is_refuted_with_exit_1(tmp_path: Path, run: Run) -> None:
    made, offer = offered_state(tmp_path / "state", config=settings(use_rslora=True))
    policy, folder = witnessed(made), made.write(offer, tmp_path / "capsule")
    made.log.close()
    assert "use_rslora" in run("check", folder, "--policy", policy, code=1)
    (folder / "adapter_config.json").write_bytes(settings())
    assert "not what was signed" in run("check", folder, "--policy", policy, code=1)
    strict = tmp_path / "strict.policy"
    strict.write_text(made.policy_text.replace("group g 2", "group g all"))
    assert "is not witnessed" in run("check", folder, "--policy", strict, code=1)
    other = OfferedState(tmp_path / "other")
    other.train()
    stranger = tmp_path / "stranger.policy"
    stranger.write_text(other.policy_text)
    said = run("check", folder, "--policy", stranger, code=1)
    assert f"add a line to the policy: log {made.log_key}" in " ".join(said.split())
    (folder / "capsule.json").write_bytes(json.dumps({"v": 1}).encode())
    assert "malformed" in run("check", folder, "--policy", policy, code=1)
    assert "cannot be read" in run("check", tmp_path / "nowhere", "--policy", policy, code=2)
