"""A log of a node: two updates of its own, a guest holdout, an offer, rounds, a recall and an opening.

As in `plain_log`, nothing behind it exists, and what it says is what is due.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from cryoflux.decision.levels import certified_level
from cryoflux.decision.reason import Reason
from cryoflux.receipts.checkpoint import origin_of
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.guest_tree import guest_root
from cryoflux.receipts.network_parts import (
    RULES,
    Member,
    MemberVerdict,
    OpenedRound,
    RoundCandidate,
    RoundOutcome,
    SealedLook,
    SealedSums,
    Search,
)
from cryoflux.receipts.network_statement import (
    GuestHoldout,
    GuestHoldoutStatement,
    GuestOpening,
    NetworkStatement,
    Node,
    NodeStatement,
    OfferStatement,
    OpeningStatement,
    Recall,
    RecallStatement,
    RoundIntent,
    RoundIntentStatement,
    RoundResult,
    RoundStatement,
    UpdateOffer,
    WhyOpened,
)
from cryoflux.receipts.statement import CROSS_ENTROPY, Base, Hits, Section, Sha256Digest, Subject
from cryoflux.registry.composition import Composition, Term, list_digest
from cryoflux.registry.made import list_of
from cryoflux.registry.mixture import ListStep, OfferedUpdate, StepKind, after
from plain_log import PlainLog, StoredLog, model, training
from synthetic_parts import RESERVED_UJ, digest_of, figure

TASK = "lora_delta"
GUEST_KEY = bytes(range(32))
GUESTS = [b'{"label":"a","text":"one"}'] * 512
AT = "2026-11-25T01:00:00Z"
Predicate = Node | GuestHoldout | UpdateOffer | RoundIntent | RoundResult | GuestOpening | Recall
Forge = Callable[[Predicate], Predicate]


def as_it_is(said: Predicate) -> Predicate:
    return said


@dataclass
class NodeLog:
    """What a node says, one entry after the other; ``forge`` changes the entry of a kind."""

    log: PlainLog
    forged: type | None = None
    forge: Forge = as_it_is
    lines: list[bytes] = field(default_factory=lambda: GUESTS)
    """of its guest holdout"""
    open_by: str = "2027-01-01"
    sums: dict[str, SealedSums] = field(default_factory=dict)
    """announcement of a round → what is sealed of its look"""
    number: int = 0

    def say(
        self, kind: type[NetworkStatement], predicate: type[Predicate], subject: str, **said: object
    ) -> Entry:
        def build(sequence: int, prev: str) -> NetworkStatement:
            found = predicate(**said, sequence=sequence, prev=prev)
            found = self.forge(found) if type(found) is self.forged else found
            about = [Subject(name="subject", digest=Sha256Digest(sha256=subject))]
            if isinstance(found, UpdateOffer):
                about = [
                    Subject(
                        name="adapter_model.safetensors", digest=Sha256Digest(sha256=found.update.adapter)
                    ),
                    Subject(name="adapter_config.json", digest=Sha256Digest(sha256=found.config)),
                ]
            return kind(subject=about, predicate=found)

        return self.log.append(build)

    @property
    def composed(self) -> Composition:
        return self.log.state.tasks[TASK].composition

    @property
    def genesis(self) -> Base:
        """That the task begins with; of a log without an attempt, what its first one will begin with."""
        known = self.log.state.tasks.get(TASK)
        return known.start if known is not None else self.log.head(TASK)

    def train(self, gain: int = 3_200_000_000) -> Entry:
        """An update of its own, whose receipt names the list of what it made.

        Args:
            gain: by how much its losses fall in sum, nano-nats.
        """
        intent = self.log.announce()
        assert intent.intent is not None
        adapter, config = digest_of(f"adapter {intent.index}"), digest_of("config")
        made = self.composed.adopting(adapter)
        fields = {"merge": "compose/v1", "genesis": made.genesis, "list": made.digest}
        subject = [
            Subject(name="adapter_model.safetensors", digest=Sha256Digest(sha256=adapter)),
            Subject(name="adapter_config.json", digest=Sha256Digest(sha256=config)),
        ]
        section = Section(kind="plain/v1", fields=fields)
        judged = self.log.judged(intent.intent, gain, hits=Hits(base=30, new=30, gained=0, lost=0))
        return self.log.conclude(
            intent, training=training(section=section), subject=subject, evaluation=judged
        )

    def introduce(self) -> Entry:
        node, genesis = self.log.state.nodes.get(TASK), self.genesis
        return self.say(
            NodeStatement,
            Node,
            genesis.files,
            name="north",
            log_key=f"{origin(self.log)}+00000000+AAAA",
            task=TASK,
            metric=CROSS_ENTROPY,
            genesis=genesis,
            labels=digest_of("labels"),
            profile="f64-nanonat/v1",
            max_tokens=32,
            stated_at=AT,
            supersedes=node.node_leaf if node is not None else "",
        )

    def enter(self, key: bytes = GUEST_KEY, *, alpha_ppm: int = 10_000, max_looks: int = 40) -> Entry:
        root = guest_root(self.lines, key)
        return self.say(
            GuestHoldoutStatement,
            GuestHoldout,
            root,
            task=TASK,
            root=root,
            count=len(self.lines),
            alpha_ppm=alpha_ppm,
            max_looks=max_looks,
            source="texts of our own",
            open_by=self.open_by,
            entered_at=AT,
        )

    def offer(self, receipt: Entry, said: OfferedUpdate | None = None) -> Entry:
        update = receipt.statement.subject
        genesis = self.log.state.tasks[TASK].start.digest
        return self.say(
            OfferStatement,
            UpdateOffer,
            update[0].digest.sha256,
            task=TASK,
            update=said or OfferedUpdate(adapter=update[0].digest.sha256, genesis=genesis),
            receipt=receipt.leaf_hash,
            receipt_at=receipt.index,
            config=update[1].digest.sha256,
            adapter_bytes=1000,
            offered_at=AT,
        )

    def candidate(self) -> RoundCandidate:
        self.number += 1
        name = f"capsule {self.number}"
        return RoundCandidate(
            capsule=digest_of(name), origin="log.example/2", offer=digest_of(f"offer of {name}")
        )

    def announce(self, candidates: list[RoundCandidate]) -> Entry:
        known, node = self.log.state.tasks[TASK], self.log.state.nodes[TASK]
        assert node.guest is not None
        return self.say(
            RoundIntentStatement,
            RoundIntent,
            known.head.files,
            id=f"round_1764000000_{len(self.log.entries)}",
            task=TASK,
            base=known.head,
            genesis=known.composition.genesis,
            composed=known.composition.digest,
            guest=node.guest.in_use,
            candidates=candidates,
            screened_with=512,
            seed=7,
            rules=RULES,
            reserved_microjoules=RESERVED_UJ,
            meter="embedded",
            announced_at=AT,
        )

    def record(self, announced: Entry, gain: int = 80_000_000, carried: Sequence[str] = ()) -> Entry:
        """A round that adds its first candidate to a half, and refuses the others.

        Args:
            announced: the round.
            gain: Δ of each example of the guest holdout, nano-nats.
            carried: adapters that it was trained on, with which the head is mixed to a half.
        """
        intent = announced.round_intent
        assert intent is not None
        known = self.log.state.tasks[TASK]
        parent = tuple(Term(weight="1", adapter=one, parent=list_digest(())) for one in carried)
        update = OfferedUpdate(
            adapter=intent.candidates[0].capsule, genesis=known.composition.genesis, parent=parent
        )
        kind = StepKind.MIX if carried else StepKind.ADD
        steps = [ListStep(kind=kind, update=update, amount=str(Fraction(1, 2)))]
        count = intent.guest.count
        sums = SealedSums(
            base=known.head,
            candidate=model(f"round {announced.index}"),
            profile="f64-nanonat/v1",
            base_loss_sum=count * 10**9,
            new_loss_sum=count * (10**9 - gain),
            delta_squared_sum=str(count * gain**2),
        )
        return self.conclude(announced, steps, sums, digest_of("losses"))

    def conclude(self, announced: Entry, steps: list[ListStep], sums: SealedSums, losses_root: str) -> Entry:
        """What a round's look leaves: its first candidate is what was composed, the others are refused.

        Args:
            announced: the round.
            steps: from the head's list.
            sums: of its look.
            losses_root: over the losses of its look.
        """
        intent = announced.round_intent
        assert intent is not None
        self.sums[announced.leaf_hash] = sums
        known, candidate = self.log.state.tasks[TASK], sums.candidate
        first, *others = intent.candidates
        level = certified_level(sums.evidence(intent.guest.count), intent.guest.needed_milli)
        kept = level > 0
        composed = after(known.composition, steps) if kept else known.composition
        tried = MemberVerdict.ADOPTED if kept else MemberVerdict.NOT_CHOSEN
        members = [Member(capsule=first.capsule, verdict=tried)]
        members += [Member(capsule=one.capsule, verdict=MemberVerdict.SCREENED) for one in others]
        if kept:
            self.log.heads[TASK] = candidate
        return self.say(
            RoundStatement,
            RoundResult,
            candidate.files if kept else known.head.files,
            intent=announced.leaf_hash,
            id=intent.id,
            task=TASK,
            outcome=RoundOutcome.ACCEPTED if kept else RoundOutcome.REJECTED,
            reason=Reason(code="round.kept" if kept else "round.missed"),
            base=known.head,
            result=candidate if kept else known.head,
            composed=composed.digest,
            members=members,
            steps=steps,
            search=Search(
                tried=6,
                count=512,
                delta_nano_nat=3 << 25,
                spread_nano_nat=1 << 30,
            ),
            look=SealedLook(
                sealed=sums.seal(GUEST_KEY, announced.leaf_hash),
                losses_root=losses_root,
                profile="f64-nanonat/v1",
                level=level,
            ),
            energy=figure(),
            software={"cryoflux": "0.2.0"},
            started_at="2026-11-25T01:00:01Z",
            finished_at="2026-11-25T01:02:03Z",
        )

    def recall(self, capsule: str, result: Base | None = None, at: str = AT) -> Entry:
        known = self.log.state.tasks[TASK]
        due = list_of(known.made, known.head.digest, never=capsule)
        assert due is not None
        result = result or model(f"recalled {len(self.log.entries)}")
        base, self.log.heads[TASK] = known.head, result
        return self.say(
            RecallStatement,
            Recall,
            result.files,
            task=TASK,
            capsule=capsule,
            base=base,
            result=result,
            composed=due.digest,
            reason="it was poisoned",
            recalled_at=at,
        )

    def open(self, examples: str = digest_of("examples"), at: str = AT) -> Entry:
        root = guest_root(self.lines, GUEST_KEY)
        tally = self.log.state.nodes[TASK].guests[root]
        return self.say(
            OpeningStatement,
            GuestOpening,
            examples,
            task=TASK,
            root=root,
            key=GUEST_KEY.hex(),
            examples=examples,
            count=len(self.lines),
            why=WhyOpened.ASKED,
            rounds=[OpenedRound(intent=look.intent, sums=self.sums[look.intent]) for look in tally.looks],
            opened_at=at,
        )


def origin(log: PlainLog) -> str:
    return log.log.origin if isinstance(log, StoredLog) else origin_of(log.key.public_key())


def node_log(log: PlainLog, forged: type | None = None, forge: Forge = as_it_is) -> NodeLog:
    """All that a node can say, each kind once or more; the last entry of a kind may be forged."""
    node = NodeLog(log, forged, forge)
    receipt = node.train()
    node.introduce()
    node.enter()
    node.offer(receipt)
    adopted = node.candidate()
    node.record(node.announce([adopted, node.candidate()]))
    node.record(node.announce([node.candidate()]), gain=-1_000_000)
    node.recall(adopted.capsule)
    node.open()
    return node
