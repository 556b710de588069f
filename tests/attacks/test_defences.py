"""Lies by an owner who has every key, and rewrites everything that follows from the lie.

Each is found by one step of the verification and by no other, so without that step it would pass. Where the
defence inside the step is one function, it is taken out too, and then the lie does pass.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from test_borrowed_adapter import recomputed
from test_forged_joules import signed
from test_rewritten_history import store

from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.settlement import sign_settlement
from cryoflux.energy.interface import Reservation
from cryoflux.quantities import Energy, Tier
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.revocation import Authority
from cryoflux.receipts.statement import Outcome
from cryoflux.signing.envelope import sign_document
from cryoflux.signing.keys import KEYS_FOLDER, METER_KEY, load_key, load_public_key
from cryoflux.verification import arithmetic as claims
from cryoflux.verification import (
    artefacts,
    datasets,
    decisions,
    joules,
    lineage,
    possible,
    settlements,
    signature_pool,
)
from cryoflux.verification.result import Status
from metering import meter_key
from shared_joules import TRAINED_UJ, Fleet
from synthetic_parts import (
    BAR,
    RESERVED_UJ,
    decision,
    digest_of,
    evaluation,
    figure,
    make_evidence,
    make_model,
    pair,
    tiny_safetensors,
    training,
)
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

Removal = Callable[[pytest.MonkeyPatch], None]


@dataclass
class Attack:
    """What is shown to a verifier, and how the verifier looks at it."""

    target: Path
    options: dict[str, Any] = field(default_factory=dict)
    again: bool = False
    """whether the newest receipt is computed again"""

    def found_by(self) -> set[int]:
        """Numbers of the steps that fail."""
        if self.again:
            return {check.number for check in recomputed(self.target)[0]}
        report = verify_target(self.target, **self.options)
        return {check.number for check in report.checks if check.status is Status.FAIL}


def nothing(*_: object, **__: object) -> Iterator[Any]:
    return iter(())


def without(owner: object, name: str, instead: object = nothing) -> Removal:
    return lambda patch: patch.setattr(owner, name, instead)


def without_signatures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(signature_pool, "_check_here", lambda chunk: bytes([1] * len(chunk)))
    patch.setattr(Authority, "stranger", lambda *_: "")


def without_places(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settlements, "_differences", nothing)
    patch.setattr(settlements, "_shown_twice", nothing)


def begun(folder: Path, **options: Any) -> SyntheticState:
    return open_state(folder / "state", **options)


def re_signing(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    state = made.finish()
    lines = [made.entries[0].envelope, sign_document(made.entries[1].statement, Ed25519PrivateKey.generate())]
    file = folder / "export.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return Attack(file, {"key": load_public_key(state / "keys" / "receipt.pub")})


def row_edit(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    state, last = made.finish(), made.entries[1].statement
    later = last.predicate.but(finished_at="2026-11-23T01:02:04Z")
    key = load_key(state / "keys", "receipt", create=False)
    store(state, 1, sign_document(last.but(predicate=later), key))
    return Attack(state)


def dropped_receipt(folder: Path) -> Attack:
    made = begun(folder)
    made.announce()  # an unlucky one, of which nothing is said any more
    made.attempt(0.05)
    return Attack(made.finish())


def dropped_beside_others(folder: Path) -> Attack:
    made = begun(folder)
    made.announce(slots=12)  # by one of a dozen workers, who seem to be at it for ever
    intent = made.announce(slots=12)
    made.conclude_attempt(intent, 0.05)
    made.session()
    return Attack(made.finish())


def adapter_swap(folder: Path) -> Attack:
    made = begun(folder)
    said = made.attempt(0.05).statement.subject[0].digest.sha256
    state = made.finish()
    (state / "capsules" / said / "adapter_model.safetensors").write_bytes(tiny_safetensors([9.0, 9.0]))
    return Attack(state)


def base_swap(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    made.head = make_model(made.path, [7.0, 7.0, 7.0])  # a better one, out of nowhere
    made.attempt(0.0005)
    state = made.finish()
    (state / "base_model").unlink()
    (state / "base_model").symlink_to(f"models/{made.head.digest}")
    return Attack(state)


def rejected_made_accepted(folder: Path) -> Attack:
    made = begun(folder)
    intent = made.announce()
    candidate = make_model(made.path, [1.0, -0.01, 1.0])
    per_example, evidence = make_evidence(made.path, 0.0, -0.01)
    made.conclude_attempt(
        intent,
        -0.01,
        outcome=Outcome.ACCEPTED,
        result=candidate,
        evaluation=evaluation(candidate, per_example, evidence),
        decision=decision(accepted=True, rule=intent.statement.predicate.rule),
    )
    return Attack(made.finish())


def delta_of_no_losses(folder: Path) -> Attack:
    made = begun(folder)
    per_example, _ = make_evidence(made.path, 0.0, 0.0)
    _, better = pair(0.0, 0.05, range(64))
    candidate = make_model(made.path, [1.0, 0.05, 1.0])
    made.attempt(0.05, evaluation=evaluation(candidate, per_example, better))
    return Attack(made.finish())


def delta_that_does_not_add_up(folder: Path) -> Attack:
    made = begun(folder)
    per_example, evidence = make_evidence(made.path, 0.0, 0.05)
    candidate = make_model(made.path, [1.0, 0.05, 1.0])
    said = evaluation(candidate, per_example, evidence, delta_sum=evidence.delta * 2)
    made.attempt(0.05, evaluation=said)
    return Attack(made.finish())


def losses_that_no_model_has(folder: Path) -> Attack:
    made = begun(folder)
    made.gain = 0.02  # the first model has the losses of gain 0
    made.attempt(0.05)
    return Attack(made.finish(), again=True)


def borrowed_adapter(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    made.attempt(-0.03)  # rejected, so that its adapter is merged once and not twice
    made.attempt(0.02, subject=made.entries[3].statement.subject)
    return Attack(made.finish(), again=True)


def holdout_leak(folder: Path) -> Attack:
    texts = [f"example {i}" for i in range(192)]
    texts[64] = "EXAMPLE  0"  # the same text after normalisation
    made = begun(folder, texts=texts)
    made.attempt(0.05)
    return Attack(made.finish())


def fresh_holdout_too_early(folder: Path) -> Attack:
    made = begun(folder, spares=1)
    made.attempt(0.0005)
    made.rotate()
    made.attempt(0.05)
    return Attack(made.finish())


def uncounted_look(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.0005)
    made.uses = 0
    made.series = "b"
    made.attempt(0.05)
    return Attack(made.finish())


def easier_bar(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.0005)
    made.conclude_attempt(made.announce(bar=BAR.but(needed_milli=1000)), 0.05)
    return Attack(made.finish())


def joules_again(folder: Path) -> Attack:
    made = begun(folder)
    statement = signed(made.path, "a0001_0", reservation="r-1")
    made.attempt(0.05, energy=figure(settlement=statement))
    made.attempt(0.02, energy=figure(settlement=statement))
    return Attack(made.finish())


def cheaper_than_metered(folder: Path) -> Attack:
    made = begun(folder)
    made.settle("a0001_0", 100_000_000)
    said = figure(microjoules=95_000_000, settlement=signed(made.path, "a0001_0"))
    made.attempt(0.05, energy=said)
    return Attack(made.finish())


def worker_signed_for(folder: Path) -> Attack:
    fleet = Fleet.of(folder)
    intent = fleet.made.announce()
    own, _ = fleet.parts(intent)
    key = meter_key(fleet.made.path)
    told = fleet.part("w1", TRAINED_UJ, intent.intent.task.id, intent.leaf_hash, key=key)
    fleet.conclude(intent, [own, told])
    return Attack(fleet.made.finish())


def less_than_its_parts(folder: Path) -> Attack:
    fleet = Fleet.of(folder)
    intent = fleet.made.announce()
    parts = fleet.parts(intent)
    said = EnergyFigure.of_parts(parts)
    fleet.conclude(intent, parts, said.but(microjoules=said.lo_microjoules))
    return Attack(fleet.made.finish())


def joules_for_nothing(folder: Path) -> Attack:
    made = begun(folder)
    trained = training(trained_parameters=10**12)
    cheap = figure(microjoules=1_000_000, lo_microjoules=1_000_000, hi_microjoules=1_000_000)
    made.attempt(0.05, training=trained, energy=cheap)
    return Attack(made.finish())


def joules_beyond_the_socket(folder: Path) -> Attack:
    made = begun(folder)
    uj = 100_000 * 1_000_000  # 100 kJ in 20 s
    energy = Energy(uj, uj, uj, Tier.MODELLED)
    charge = Charge(energy, energy, ("cpu",), digest_of("baseline"), "concave/v1", 12_000_000, 20_000_000_000)
    key = load_key(made.path / KEYS_FOLDER, METER_KEY, create=True)
    statement = sign_settlement(Reservation("r-1", "a0001_0", RESERVED_UJ), charge, "boot", key)
    said = figure(microjoules=uj, lo_microjoules=uj, hi_microjoules=uj, settlement=statement)
    made.attempt(0.05, energy=said)
    return Attack(made.finish())


def account_set_back(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    made.account._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    early = shutil.copy(made.path / "account.db", folder / "early.db")
    made.attempt(0.02)
    state = made.finish()
    shutil.copy(early, state / "account.db")
    return Attack(state)


def smuggled_file(folder: Path) -> Attack:
    made = begun(folder)
    made.attempt(0.05)
    state = made.finish()
    (state / "data" / made.data.digest / "extra.jsonl").write_text("{}")
    return Attack(state)


LIES: dict[str, tuple[Callable[[Path], Attack], int, Removal | None]] = {
    "re-signing by another key": (re_signing, 2, without_signatures),
    "a row edited and signed again": (row_edit, 4, None),
    "an unlucky try left out": (dropped_receipt, 5, None),
    "an unlucky try of one worker left out": (dropped_beside_others, 5, None),
    "Δ that does not add up": (delta_that_does_not_add_up, 6, without(claims, "_evaluation")),
    "a rejected update kept": (rejected_made_accepted, 7, without(decisions, "_wrong_decision")),
    "an easier bar": (easier_bar, 7, without(decisions, "_wrong_bar")),
    "a base model out of nowhere": (base_swap, 8, without(lineage, "_base")),
    "a look that is not counted": (uncounted_look, 8, without(lineage, "_use")),
    "a fresh holdout too early": (fresh_holdout_too_early, 8, without(lineage, "_data")),
    "another adapter on the disk": (adapter_swap, 9, without(artefacts.Artefacts, "_capsule")),
    "Δ without the losses": (delta_of_no_losses, 9, without(artefacts.Artefacts, "_losses")),
    "training on the holdout": (holdout_leak, 9, without(datasets, "_examples")),
    "a file smuggled into the data": (smuggled_file, 9, without(datasets.DataSets, "read", lambda *_: [])),
    "the same joules twice": (joules_again, 10, without_places),
    "fewer joules than metered": (cheaper_than_metered, 10, None),
    "a worker's joules by its coordinator's meter": (
        worker_signed_for,
        10,
        without(settlements, "_of_one_meter"),
    ),
    "less in all than in its parts": (less_than_its_parts, 10, without(possible, "_torn_apart")),
    "joules below what the work takes": (joules_for_nothing, 10, without(joules, "implausible")),
    "joules beyond what a socket gives": (joules_beyond_the_socket, 10, without(joules, "implausible")),
    "an account set back": (account_set_back, 10, without(joules.Joules, "_charged")),
    "losses that no model has": (losses_that_no_model_has, 11, None),
    "the adapter of another attempt": (borrowed_adapter, 11, None),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_by_its_step_and_by_no_other(lie: str, tmp_path: Path) -> None:
    attack, step, _ = LIES[lie]
    assert attack(tmp_path).found_by() == {step}


@pytest.mark.parametrize("lie", [lie for lie, (_, _, removal) in LIES.items() if removal])
def test_a_lie_passes_once_its_defence_is_taken_out(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack, _, removal = LIES[lie]
    found = attack(tmp_path)
    assert found.found_by()
    assert removal is not None
    removal(monkeypatch)
    assert found.found_by() == set()
