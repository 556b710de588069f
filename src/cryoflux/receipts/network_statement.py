"""What a node says in its log, beside what every log says: in-toto statements with predicates of their own.

- ``node/v1`` says who the node is, what it trains, and where its log can be had.
- ``guest-holdout/v1`` enters the root of examples that judge what others offer, before that was committed.
- ``offer/v1`` offers an update that the node trained; its receipt was the commitment.
- ``round-intent/v1`` and ``round/v1`` announce and record an attempt to compose what others offer: like an
  attempt at training, it is announced before it is tried, metered, and recorded whatever became of it.
- ``opening/v1`` opens a guest holdout that retires, so that anybody can make its verdicts again.
- ``recall/v1`` takes an update out of the head: the list is the one of a head that never adopted it.
"""

from __future__ import annotations

__all__ = [
    "GUEST_TYPE",
    "NODE_TYPE",
    "OFFER_TYPE",
    "OPENING_TYPE",
    "RECALL_TYPE",
    "ROUND_INTENT_TYPE",
    "ROUND_TYPE",
    "GuestHoldout",
    "GuestHoldoutStatement",
    "GuestOpening",
    "NetworkStatement",
    "Node",
    "NodeStatement",
    "OfferStatement",
    "OpeningStatement",
    "Recall",
    "RecallStatement",
    "RoundIntent",
    "RoundIntentStatement",
    "RoundResult",
    "RoundStatement",
    "UpdateOffer",
]

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cryoflux.decision.reason import Reason
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.contract_parts import OpenedContractLook
from cryoflux.receipts.network_parts import (
    MOST_CANDIDATES,
    GuardResult,
    GuestInUse,
    LogName,
    Member,
    OpenedRound,
    RoundCandidate,
    RoundOutcome,
    RoundRules,
    SealedLook,
    Search,
)
from cryoflux.receipts.parts import Base, Cause, Metric
from cryoflux.receipts.statement import InTotoStatement
from cryoflux.registry.mixture import ListStep, OfferedUpdate
from cryoflux.signing.fields import (
    END_OF_TEXT,
    Count,
    Document,
    OptionalSha256,
    Positive,
    Sha256,
    TaskName,
    Text,
    Timestamp,
    at_most,
)

NODE_TYPE = "https://cryoflux.dev/node/v1"
GUEST_TYPE = "https://cryoflux.dev/guest-holdout/v1"
OFFER_TYPE = "https://cryoflux.dev/offer/v1"
ROUND_INTENT_TYPE = "https://cryoflux.dev/round-intent/v1"
ROUND_TYPE = "https://cryoflux.dev/round/v1"
OPENING_TYPE = "https://cryoflux.dev/opening/v1"
RECALL_TYPE = "https://cryoflux.dev/recall/v1"
MOST_STEPS = 16
"""of a round"""
MOST_LOOKS = 128
"""of a guest holdout: its opening has to fit into an entry"""
RoundId = Annotated[str, Meta(pattern=r"^round_[0-9]{1,12}_[0-9]{1,12}" + END_OF_TEXT)]
"""by which account and meter know a round"""
NodeName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}" + END_OF_TEXT)]
Url = Annotated[str, Meta(pattern=r"^https?://[!-~]{1,180}" + END_OF_TEXT)]
Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}" + END_OF_TEXT)]


class Node(Document, frozen=True):
    """Who offers and adopts in this log, and what has to be the same for an update to fit."""

    sequence: Count
    prev: Sha256
    name: NodeName
    log_key: Text
    """the key that signs the heads of this log, as a C2SP verifier key"""
    task: TaskName
    """whose head is composed"""
    metric: Metric
    genesis: Base
    """the version that lists begin at: an update over another one cannot be added"""
    labels: Sha256
    """of the class names in their order"""
    profile: Text
    """the arithmetic in which losses are computed"""
    max_tokens: Count
    """of a text that are read; 0 where all of it is"""
    stated_at: Timestamp
    urls: Annotated[list[Url], at_most(4)] = msgspec.field(default_factory=list)
    """where log and capsules can be had"""
    supersedes: OptionalSha256 = ""
    """leaf hash of the entry that said this before; empty for the first"""


class GuestHoldout(Document, frozen=True):
    """Examples that judge what others offer, by the root of their salted tree; none of them is shown yet."""

    sequence: Count
    prev: Sha256
    task: TaskName
    root: Sha256
    count: Positive
    alpha_ppm: Annotated[int, Meta(ge=1, le=1_000_000)]
    """error over its life, parts per million"""
    max_looks: Annotated[int, Meta(ge=1, le=MOST_LOOKS)]
    """verdicts after which it retires"""
    source: Text
    """where its examples are from, in words"""
    open_by: Day
    """the day by which it is opened, whatever it was used for"""
    entered_at: Timestamp


class UpdateOffer(Document, frozen=True):
    """An update that others may adopt. Its receipt was the commitment, so this shows nothing earlier."""

    sequence: Count
    prev: Sha256
    task: TaskName
    update: OfferedUpdate
    """the adapter, and what it was trained on"""
    receipt: Sha256
    """leaf hash of the receipt of the attempt that made it"""
    receipt_at: Count
    """its position in the log"""
    config: Sha256
    """of the adapter's settings"""
    adapter_bytes: Positive
    offered_at: Timestamp
    terms: Text = ""
    """price and licence, in words that nothing here reads"""


class RoundIntent(Document, frozen=True):
    """What a round is about to consider, said before it is tried."""

    sequence: Count
    prev: Sha256
    id: RoundId
    task: TaskName
    base: Base
    """head of the task at this moment"""
    genesis: Sha256
    composed: Sha256
    """digest of the head's list of updates over it"""
    guest: GuestInUse
    candidates: Annotated[list[RoundCandidate], at_most(MOST_CANDIDATES, least=1)]
    """in the order of their commitments"""
    screened_with: Positive
    """training-side examples that the search has, never trained on"""
    seed: Count
    """of the choice among what was offered, drawn when it was made"""
    rules: RoundRules
    reserved_microjoules: Count
    meter: Literal["embedded", "daemon"]
    announced_at: Timestamp


class RoundResult(Document, frozen=True):
    """The record of one round."""

    sequence: Count
    prev: Sha256
    intent: Sha256
    """leaf hash of the entry that announced it"""
    id: RoundId
    task: TaskName
    outcome: RoundOutcome
    reason: Reason
    base: Base
    result: Base
    """the head afterwards; equals ``base`` unless accepted"""
    composed: Sha256
    """digest of the list of ``result``, which follows from the list before and the steps"""
    members: Annotated[list[Member], at_most(MOST_CANDIDATES)]
    """one for each candidate; none where the round was aborted"""
    steps: Annotated[list[ListStep], at_most(MOST_STEPS)]
    """what was composed, and shown to the guest holdout where there was a look"""
    search: Search | None
    """none where nothing could be tried"""
    look: SealedLook | None
    """none where the guest holdout was not looked at"""
    energy: EnergyFigure
    software: Annotated[dict[Text, Text], Meta(max_length=64)]
    started_at: Timestamp
    finished_at: Timestamp
    guards: Annotated[list[GuardResult], at_most(8)] = msgspec.field(default_factory=list)
    cause: Cause = Cause.NONE
    """of an aborted round"""


class WhyOpened(StrEnum):
    """Why a guest holdout retires."""

    LOOKS = "looks"
    """it has given as many verdicts as it may"""
    WORN = "worn"
    """its bar is four times that of a fresh one"""
    DATE = "date"
    """the day has come"""
    ASKED = "asked"
    """somebody chose to"""


class GuestOpening(Document, frozen=True):
    """A guest holdout that retires: with this anybody can make each of its verdicts again."""

    sequence: Count
    prev: Sha256
    task: TaskName
    root: Sha256
    key: Sha256
    """the 32 bytes that all its salts follow from, hexadecimal"""
    examples: Sha256
    """of the file of its examples, one a line, as they were hashed"""
    count: Positive
    why: WhyOpened
    rounds: Annotated[list[OpenedRound], at_most(MOST_LOOKS)]
    """its looks, in order"""
    opened_at: Timestamp
    contract_looks: Annotated[list[OpenedContractLook], at_most(MOST_LOOKS)] = msgspec.field(
        default_factory=list
    )
    """looks that it gave for contracts, in order"""


class Recall(Document, frozen=True):
    """An update is taken out of the head."""

    sequence: Count
    prev: Sha256
    task: TaskName
    capsule: Sha256
    """the update that goes"""
    base: Base
    result: Base
    """the head from here on"""
    composed: Sha256
    """digest of its list: the one of a head that never adopted the update"""
    reason: Text
    recalled_at: Timestamp
    evidence: OptionalSha256 = ""
    """of a file that shows why; empty where there is none"""
    origin: LogName = ""
    """of the proposer's log"""


class NodeStatement(InTotoStatement, frozen=True, kw_only=True, tag=NODE_TYPE):
    """A node; its subject is the genesis."""

    predicate: Node


class GuestHoldoutStatement(InTotoStatement, frozen=True, kw_only=True, tag=GUEST_TYPE):
    """A guest holdout; its subject is its root."""

    predicate: GuestHoldout


class OfferStatement(InTotoStatement, frozen=True, kw_only=True, tag=OFFER_TYPE):
    """An offer; its subjects are the adapter and its settings."""

    predicate: UpdateOffer


class RoundIntentStatement(InTotoStatement, frozen=True, kw_only=True, tag=ROUND_INTENT_TYPE):
    """An announced round; its subject is the head."""

    predicate: RoundIntent


class RoundStatement(InTotoStatement, frozen=True, kw_only=True, tag=ROUND_TYPE):
    """A round; its subject is the head afterwards."""

    predicate: RoundResult


class OpeningStatement(InTotoStatement, frozen=True, kw_only=True, tag=OPENING_TYPE):
    """An opened guest holdout; its subject is the file of its examples."""

    predicate: GuestOpening


class RecallStatement(InTotoStatement, frozen=True, kw_only=True, tag=RECALL_TYPE):
    """A recall; its subject is the head from here on."""

    predicate: Recall


NetworkStatement = (
    NodeStatement
    | GuestHoldoutStatement
    | OfferStatement
    | RoundIntentStatement
    | RoundStatement
    | OpeningStatement
    | RecallStatement
)
"""What a node says beside what every log says."""
