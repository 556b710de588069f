"""The numbered steps of a verification, and the one function that goes through them.

1. The source is readable; every envelope and statement is strict and canonical.
2. Every envelope carries the signature of the expected key; who that is, is known only if it was named.
3. Sequence numbers count from 0 without a gap; each entry names the hash of the one before.
4. Stored leaf hashes, tiles and the signed checkpoint are those of the entries; none is missing at the end.
   The checkpoint's key is the one that the first entry vouches for, or that was named.
5. Each receipt ends an open intent and keeps to what it announced; none is left without one.
6. Δ = base − new, and sums and counts are possible together, of evaluations and of screens.
7. Policy, error budget, screen and acceptance rule, applied again, give the recorded choice, bar, decision,
   outcome and reason; one that is not known here is named as a question.
8. Each base is the head of its task; each use of a holdout is counted, and none is left before its error
   budget is spent; a head moves only to a version that the log made; a list of updates is the one of the log.
9. Models, adapters, losses and data on the disk have the signed digests. Copies of texts between the sets
   are searched for, near duplicates counted, and sets that a rule drew are drawn again. On request, texts
   that a leak guard is said to have held are embedded again.
10. Energy figures lie in their intervals, the account was charged the same, and meters signed the same, each
    statement for one attempt of this log. How many joules there were is attested, never proven.
11. On request: what a candidate is composed of, added up again, is the candidate, and its losses are the
    recorded integers. The same of what rounds and recalls made; and losses of opened looks, evaluated again,
    have the sums that were sealed and the root that was published.
12. On request: a quorum of witnesses has cosigned, recently enough, a head that covers every receipt.
13. Where heads are remembered: the log continues the one that was seen when it was verified last.
14. On request: losses of examples that the verifier draws at random are the recorded integers.
15. On request: adapters trained again have the same bytes. Other bytes are a question, and a failure only on
    the same software and processor, as far away as the base.
16. Of a fork: its parent's log has the head that it goes on from, and had come to what the fork says.
17. Where the log is a node's: offers are what its receipts made, rounds and recalls follow from the log, and
    what was published of a guest holdout's looks is what is sealed, once it is opened.
18. Where the log is a party's of a contract: its terms are sound, a window is looked at once, and bits follow
    from what was sealed, once it is opened.

Steps 1 to 10, 17 and 18 are folds: one walk through the log, however long it is, tells each of them of every
entry (`walk`). None of them raises: what is malformed, missing or hostile becomes a finding that names it.
"""

from __future__ import annotations

__all__ = ["verify_material", "verify_target"]

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryoflux.errors import CryoFluxError, StorageError, VerificationError
from cryoflux.log_state import LogState
from cryoflux.receipts.checkpoint import origin_of, parse_note
from cryoflux.receipts.store import Row, StoredRows
from cryoflux.receipts.tiles import TILE_WIDTH
from cryoflux.signing.keys import key_id
from cryoflux.verification.again import AGAIN, Again, check_again
from cryoflux.verification.arithmetic import ARITHMETIC, Arithmetic
from cryoflux.verification.artefacts import Artefacts
from cryoflux.verification.authority import Signatures
from cryoflux.verification.binding import Binding
from cryoflux.verification.contracts import Contracts
from cryoflux.verification.decisions import DECISIONS, Decisions
from cryoflux.verification.forked import PARENT, check_parent
from cryoflux.verification.form import Form, Order
from cryoflux.verification.garbage import garbage_checks
from cryoflux.verification.growing_tree import GrowingTree
from cryoflux.verification.joules import ENERGY, Joules
from cryoflux.verification.known_heads import REMEMBERED, check_memory, origin_in, remember_verified_head
from cryoflux.verification.levels import Levels, levels_json
from cryoflux.verification.lineage import LINEAGE, Lineage
from cryoflux.verification.material import Material, read_material, signer_of
from cryoflux.verification.pairs import Pairs
from cryoflux.verification.recompute import RECOMPUTED
from cryoflux.verification.remembered import sizes_seen
from cryoflux.verification.result import Check, NumberedStep, Report, Status, conclude, failed
from cryoflux.verification.rounds import Rounds
from cryoflux.verification.sections import Sections
from cryoflux.verification.signature_pool import SignaturePool
from cryoflux.verification.verified import Trust, Verified, recall_verified, remember_verified
from cryoflux.verification.walk import Fold, concluded, walk
from cryoflux.verification.walked import Recent, Walked
from cryoflux.verification.witnessing import WITNESSED, Demand, check_witnessed, read_witnessed

_ARITHMETIC = {step.number for step in (ARITHMETIC, DECISIONS, LINEAGE, ENERGY)}
_MOST_KEPT = 16
"""receipts that are kept for steps on request, unless more are asked for"""


class _NotConfirmedError(Exception):
    """What was verified before does not do for what is asked now: all is gone through."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The steps that are asked for beside those that are always gone through."""

    target: Path
    again: Again | None
    demand: Demand | None
    heads: Path | None
    trust: Trust
    sections: Sections
    progress: Callable[[int, int], None] | None
    witnessed: bytes | None = field(default=None)
    parent: str | None = None
    now_s: float | None = None

    @property
    def most(self) -> int:
        """Receipts that are looked at again."""
        asked = self.again
        found = max(asked.losses, asked.spot_receipts, asked.adapters) if asked is not None else 0
        return max(_MOST_KEPT, found)


def verify_target(
    target: Path,
    *,
    key: Ed25519PublicKey | None = None,
    meters: Sequence[Ed25519PublicKey] = (),
    log_key: Ed25519PublicKey | None = None,
    again: Again | None = None,
    demand: Demand | None = None,
    heads: Path | None = None,
    sections: Sections | None = None,
    progress: Callable[[int, int], None] | None = None,
    trust: Trust = Trust.NOTHING,
    parent: str | None = None,
    now_s: float | None = None,
) -> Report:
    """Go through all steps.

    Args:
        target: a state directory, or a file of exported envelopes.
        key: the key that receipts have to be signed by; a state brings its own otherwise.
        meters: keys of the meters that every charge has to be signed by; none where any will do.
        log_key: the key that the head has to be signed by; a state brings its own otherwise.
        again: how much is to be computed again.
        demand: whom of the witnesses to believe.
        heads: folder of the heads that were seen before; a good one is remembered there.
        sections: what checks the sections that only a task knows, by their kind.
        progress: is told how many entries of how many are done.
        trust: what of it to believe that was verified here before, by what ``heads`` says.
        parent: state, folder or URL of the log that it goes on from, where it is a fork.
        now_s: Unix seconds that entries may not be ahead of; none to look at this machine's clock.

    Raises:
        UsageError: there is no such target.
    """
    witnessed = read_witnessed(target)
    asked = (target, again, demand, heads, trust, sections or {}, progress, witnessed, parent, now_s)
    wanted = _Wanted(*asked)
    if (known := _recalled(wanted, key)) is not None:
        with (
            suppress(_NotConfirmedError),
            closing(read_material(target, key, meters, log_key, mark=known.account)) as material,
        ):
            return _verify(material, wanted, known)
    with closing(read_material(target, key, meters, log_key)) as material:
        return _verify(material, wanted, None)


def verify_material(
    material: Material,
    *,
    again: Again | None = None,
    demand: Demand | None = None,
    witnessed: bytes | None = None,
    sections: Sections | None = None,
) -> Report:
    """Go through all steps for a log that was read already, such as a mirror; nothing of it is remembered.

    Args:
        material: the log; whoever read it closes it.
        again: how much is to be computed again.
        demand: whom of the witnesses to believe.
        witnessed: a head that they cosigned.
        sections: what checks the sections that only a task knows, by their kind.
    """
    asked = (material.target, again, demand, None, Trust.NOTHING, sections or {}, None, witnessed)
    return _verify(material, _Wanted(*asked), None)


def _recalled(wanted: _Wanted, pinned: Ed25519PublicKey | None) -> Verified | None:
    key = signer_of(wanted.target, pinned)
    if wanted.trust is Trust.NOTHING or wanted.heads is None or key is None:
        return None
    return recall_verified(wanted.heads, key_id(key))


def _notes(material: Material, witnessed: bytes | None) -> list[bytes]:
    return [note for note in (material.checkpoint, witnessed) if note is not None]


def _sizes(material: Material, wanted: _Wanted) -> set[int]:
    """Sizes of the log at which somebody will ask for its root."""
    origin, sizes = origin_in(material), set()
    if wanted.heads is not None and origin is not None:
        sizes = sizes_seen(wanted.heads, origin)
    for note in _notes(material, wanted.witnessed):
        with suppress(VerificationError):  # the step that it is for says so
            sizes.add(parse_note(note).checkpoint.size)
    return sizes


def _asked(material: Material, wanted: _Wanted) -> tuple[str, ...]:
    """What a verdict depends on beside the log and its key."""
    meters = sorted(key_id(key) for key in material.pinned_meters)
    return f"meters: {' '.join(meters)}", *sorted(wanted.sections)


def _verify(material: Material, wanted: _Wanted, known: Verified | None) -> Report:
    if garbage := garbage_checks(material):
        return _verdict_on(material, wanted, garbage)
    total, before = len(material.rows), known.size if known is not None else 0
    tree, recent = GrowingTree(material, _sizes(material, wanted)), Recent(wanted.most)
    lineage = Lineage(material, knows=tree.knows)
    with SignaturePool.for_entries(total - before) as pool:
        folds: list[Fold] = [
            Form(material),
            Signatures(material, pool),
            Order(),
            tree,
            Pairs(wanted.sections, wanted.now_s),
            Arithmetic(),
            Decisions(),
            lineage,
            Artefacts(material, wanted.sections),
            Joules(material, wanted.sections, pool),
            Rounds(material),
            Contracts(material),
            recent,
        ]
        rows, memory = iter(material.rows), LogState()
        if known is not None:
            rows, memory = _taken_up(known, material, wanted, folds, tree, recent), known.log
        walk(rows, folds, memory=memory, total=total, progress=wanted.progress)
        # Where nothing is new, what is kept already says the same.
        worth_keeping = wanted.heads is not None and memory.size > before
        now = _now(material, wanted, folds, tree, recent, memory) if worth_keeping else None
        checks = [check for fold in folds for check in concluded(fold, memory)]
    if known is not None:
        if any(check.status is Status.FAIL for check in checks):
            raise _NotConfirmedError
        checks[0] = _with_memory(checks[0], before, wanted.trust)
    binding, fork = tree.log_key.binding, lineage.tally.fork
    walked = Walked(material, memory, tree.roots, recent, binding)
    checks += _guarded(PARENT, walked, lambda: check_parent(fork, wanted.parent))
    report = _report(walked, wanted, checks, before)
    if now is not None and report.ok and wanted.heads is not None and binding is not Binding.NONE:
        with suppress(StorageError, OverflowError):  # it only saves time; step 13 says it of the head
            remember_verified(wanted.heads, now)
    return report


def _taken_up(
    known: Verified,
    material: Material,
    wanted: _Wanted,
    folds: Sequence[Fold],
    tree: GrowingTree,
    recent: Recent,
) -> Iterator[Row]:
    """Let the steps go on from what is known; the rows that they have not seen.

    Raises:
        _NotConfirmedError: it does not do for what is asked, or is not of this log.
    """
    rows, size = material.rows, known.size
    enough = known.asked == _asked(material, wanted) and known.most >= wanted.most
    # The key was read once more with the rest: the one who owns the state may have changed it in between.
    enough = enough and material.key is not None and known.key == key_id(material.key)
    if not enough or not isinstance(rows, StoredRows) or len(rows) < size:
        raise _NotConfirmedError
    try:
        known.take_up(folds)
        if wanted.trust is Trust.JUDGED:
            tree.regrow(rows.hashed(size))
        else:
            tree.go_on(rows[size - size % TILE_WIDTH : size])
        recent.look_up(rows, tree.knows)
    except (CryoFluxError, LookupError, ValueError, msgspec.DecodeError) as error:
        raise _NotConfirmedError from error
    if (tree.size, tree.root) != (size, known.root) or not tree.reached:
        raise _NotConfirmedError
    return rows.since(size)


def _now(
    material: Material,
    wanted: _Wanted,
    folds: Sequence[Fold],
    tree: GrowingTree,
    recent: Recent,
    memory: LogState,
) -> Verified | None:
    """What is known after a walk, should nothing be found to be wrong."""
    if material.key is None or not isinstance(material.rows, StoredRows) or tree.size != memory.size:
        return None
    recent.keep()
    account = material.account.mark(origin_of(material.key)) if material.account is not None else None
    asked = _asked(material, wanted)
    try:
        return Verified.of(material.key, asked, wanted.most, tree.root, memory, account, folds)
    except OverflowError:  # many large numbers add up to one that cannot be kept
        return None


def _with_memory(first: Check, before: int, trust: Trust) -> Check:
    again = "and are the same bytes" if trust is Trust.JUDGED else "and were not read again"
    said = f"{first.detail}; the first {before} were verified here before, {again}"
    return replace(first, detail=said)


def _report(walked: Walked, wanted: _Wanted, checks: list[Check], before: int) -> Report:
    material = walked.material
    bad = {check.number for check in checks if check.status is Status.FAIL}
    levels = Levels(bytes_hold=not bad - _ARITHMETIC, arithmetic_holds=not bad & _ARITHMETIC)
    checks += _on_request(wanted, walked, levels)
    if wanted.heads is not None:
        folder = wanted.heads
        checks += _guarded(REMEMBERED, walked, lambda: check_memory(walked, folder))
        if walked.size and not any(check.status is Status.FAIL for check in checks):
            checks += remember_verified_head(material, walked.binding, folder)
    return Report(
        target=str(wanted.target),
        checks=tuple(checks),
        entries=walked.size,
        remembered=before,
        receipts=walked.recent.tally.receipts,
        evaluated=walked.recent.tally.evaluations,
        recomputed=sum((c.name, c.status) == (RECOMPUTED.name, Status.OK) for c in checks),
        signer=key_id(material.key) if material.key is not None else "",
        pinned=material.pinned,
        levels=tuple(levels_json(levels)),
    )


def _verdict_on(material: Material, wanted: _Wanted, checks: list[Check]) -> Report:
    """The report on what holds nothing that the steps could look at."""
    return Report(
        target=str(wanted.target),
        checks=tuple(checks),
        entries=0,
        receipts=0,
        evaluated=0,
        recomputed=0,
        signer=key_id(material.key) if material.key is not None else "",
        pinned=material.pinned,
    )


def _guarded(step: NumberedStep, walked: Walked, run: Callable[[], list[Check]]) -> list[Check]:
    # The last line of defence: input that a step did not foresee is a failed check, not a traceback.
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        detail = f"the step could not finish: {type(error).__name__}: {error}"
        return conclude(step, [failed(str(walked.material.target), detail)], "")


def _on_request(wanted: _Wanted, walked: Walked, levels: Levels) -> list[Check]:
    checks: list[Check] = []
    notes = _notes(walked.material, wanted.witnessed)
    if wanted.again is not None:
        policy = wanted.demand.policy if wanted.demand is not None else None
        for step in AGAIN:
            asked_for = (step, wanted.again, notes, policy, levels)
            checks += _guarded(step, walked, partial(check_again, asked_for, walked))
    if wanted.demand is not None:
        checks += _guarded(WITNESSED, walked, partial(check_witnessed, walked, notes, wanted.demand))
    return checks
