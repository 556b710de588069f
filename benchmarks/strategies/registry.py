"""The 56 strategies by family, what each tries, and which layer sees it."""

from __future__ import annotations

__all__ = ["FAMILIES", "STRATEGIES", "TWINS", "Entry", "Twin"]

from dataclasses import dataclass, field, replace

from strategies import adaptive, copying, value
from strategies.looks import Protocol, Strategy

_FORKS = "tests/attacks/test_forks.py::"
_PULLING = "tests/integration/test_pulling.py::"
_COMPOSE = "tests/unit/registry/test_compose.py::"
_ROUNDS = "tests/attacks/test_forged_rounds.py::"
_CAPSULES = "tests/attacks/test_hostile_capsules.py::"
_PEERS = "tests/attacks/test_bad_peers.py::"
_LEFT = f"{_PEERS}test_what_is_no_answer_is_an_unreachable_peer"
_FORGED = f"{_ROUNDS}test_what_does_not_follow_from_the_log_is_refuted"
_NARROW, _WIDE = 24, 160
"""flat axes: of those who propose what they like, and of those who probe one axis after the other"""

_OF_WEIGHTS = frozenset({"value", "copy", "adaptive", "backdoor"})
_LOGS_OF_WEIGHTS = frozenset({"withheld adapter", "withheld parent", "late reveal"})

FAMILIES = {
    "value": 10,
    "copy": 9,
    "adaptive": 6,
    "log": 8,
    "verifier": 9,
    "economy": 5,
    "backdoor": 4,
    "network": 5,
}


@dataclass(frozen=True)
class Entry:
    """One strategy."""

    name: str
    family: str
    tries: str
    defence: str
    looks: Strategy | None = None
    """what it proposes to one guest holdout; none where looks do not see it"""
    flat: int = _NARROW
    rounds: str = ""
    """its cheats in whole rounds (`strategies.rounds`)"""
    books: str = ""
    """its life in the books (`strategies.bookkeeping`)"""
    logs: bool = False
    """whether it has a life in real signed logs (`benchmarks/adversary_logs.py`)"""
    elsewhere: str = ""
    """what sees it where this layer does not: a test, another simulation, or that nothing does"""

    @property
    def in_models(self) -> bool:
        """Whether layer S3 plays it, over real models (``benchmarks/adversary_models.py``)."""
        return self.family in _OF_WEIGHTS or self.name in _LOGS_OF_WEIGHTS


@dataclass(frozen=True)
class Twin:
    """A strategy against a protocol that lacks one defence."""

    without: str
    strategy: Strategy
    protocol: Protocol
    flat: int = _NARROW
    same: Protocol = field(default_factory=Protocol)
    """the same with the defence"""


def _copy(name: str, tries: str, rounds: str = "") -> Entry:
    defence = "copy screen; it is worth what it adds"
    return Entry(name, "copy", tries, defence, copying.COPIERS[name], rounds=rounds)


_VALUE = [
    Entry("null", "value", "updates that change nothing on average, 200 times", "bar", value.null),
    Entry("noise", "value", "random numbers for weights", "search, bar", value.noise, rounds="noise"),
    Entry(
        *("shuffled labels", "value", "trains on labels that were shuffled", "search, bar"),
        looks=value.shuffled_labels,
        rounds="shuffled labels",
    ),
    Entry(
        *("sign flip", "value", "the opposite of an honest update", "search, bar"),
        looks=value.sign_flip,
        rounds="sign flip",
    ),
    Entry("× 10", "value", "an honest update, ten times as far", "search, bar", value.ten_times),
    Entry(
        *("public holdout overfit", "value", "fits a public holdout and nothing else"),
        defence="a guest holdout of the node's own",
        looks=value.overfit_to_public,
    ),
    Entry(
        *("NaN", "value", "values that are no numbers, so that every comparison is false"),
        defence="admission: what is no number is malformed",
        elsewhere=f"{_CAPSULES}test_what_is_no_update_is_malformed",
    ),
    Entry("empty tensor", "value", "an update of nothing", "Δ has to be above zero", value.empty_tensor),
    Entry(
        *("rank bomb", "value", "a rank that fills the memory of whoever adds it up"),
        defence="admission: ranks are bounded before anything is multiplied",
        elsewhere=f"{_CAPSULES}test_a_rank_that_both_files_say_is_bounded_too",
    ),
    Entry(
        *("test-trained", "value", "trains to the end on the examples of a public test"),
        defence="the examples of a guest holdout are secret until it retires",
        looks=value.trained_on_the_test,
    ),
]
_COPY = [
    _copy("bytes", "the same file under another name", "bytes"),
    _copy("gauge", "factors turned by a matrix, the product as it was", "gauge"),
    _copy("scale", "the same, shorter or longer", "scale"),
    _copy("noise", "the same and noise of its own norm", "noise of its norm"),
    _copy("null-space", "noise where hardly any text sees it"),
    _copy("permuted", "ranks in another order", "permuted"),
    _copy("trained on", "some steps of its own on top", "trained on"),
    _copy("two-way mix", "half of one and half of another", "two-way mix"),
    Entry(
        *("front-run intent", "copy", "announces what another announces, and offers the other's update"),
        defence="the receipt is the commitment, and no byte is served before it is witnessed",
        looks=copying.front_run,
        rounds="gauge",
    ),
]
_ADAPTIVE = [
    Entry(
        *("boosting from bits", "adaptive", "buys verdicts that are coin flips, and adds up what won"),
        defence="the bar counts the tree of outcomes",
        looks=adaptive.boosting_from_bits,
        flat=_WIDE,
    ),
    Entry(
        *("levels", "adaptive", "the same with the level of acceptances"),
        defence="each acceptance divides the error by the number of levels",
        looks=adaptive.levels,
        flat=_WIDE,
    ),
    Entry(
        *("joules", "adaptive", "reads from the joules of a look how it went"),
        defence="a look reads all examples",
        looks=adaptive.joules,
        flat=_WIDE,
    ),
    Entry(
        *("timing", "adaptive", "reads it from the seconds"),
        defence="a look reads all examples",
        looks=adaptive.timing,
        flat=_WIDE,
    ),
    Entry(
        *("pooled sybils", "adaptive", "many keys share what each was told"),
        defence="the error budget is the holdout's, not a key's",
        looks=adaptive.pooled_sybils,
        flat=_WIDE,
    ),
    Entry(
        *("openings of others", "adaptive", "trains on guest holdouts that others have opened"),
        defence="guest holdouts of two nodes do not share examples",
        looks=adaptive.openings_of_others,
        flat=_WIDE,
    ),
]
_LOG = [
    Entry(
        *("truncation", "log", "cuts off what went wrong", "a quorum of witnesses; a mirror remembers"),
        elsewhere=f"{_PULLING}test_a_head_that_goes_back_changes_nothing",
    ),
    Entry(
        *("fork", "log", "signs two histories", "both heads convict the key"),
        elsewhere=f"{_PULLING}test_two_histories_are_proven_to_anybody_and_nothing_here_changes",
    ),
    Entry(
        *("per-reader view", "log", "shows each reader another history", "two quorums share a witness"),
        elsewhere=f"{_PEERS}test_a_log_that_is_another_for_each_reader_convicts_itself_where_they_meet",
    ),
    Entry(
        *("back-dating", "log", "says that it was there before the original"),
        defence="times are those of witnesses, and are signed with the head",
        elsewhere=f"{_FORKS}test_a_cosignature_cannot_be_given_another_date",
    ),
    Entry(
        *("withheld adapter", "log", "offers what cannot be had, to spend the joules of others"),
        defence="what cannot be composed is passed over",
        rounds="withheld adapter",
    ),
    Entry(
        *("withheld parent", "log", "names a parent that cannot be had"),
        defence="what cannot be composed is passed over",
        rounds="withheld parent",
    ),
    Entry(
        *("late reveal", "log", "commits early, and shows when the others' work is in"),
        defence="what the head has stays; it is worth what it adds to that",
        rounds="late reveal",
    ),
    Entry(
        *("list cycle", "log", "lists of updates that hang below themselves"),
        defence="a list is named by its digest, and lists hang sixteen deep at most",
        elsewhere=f"{_COMPOSE}test_a_list_that_is_given_for_another_one_is_refused_and_so_is_a_circle",
    ),
]


def _lie(name: str, tries: str, defence: str) -> Entry:
    return Entry(name, "verifier", tries, defence, books=name)


_VOID = "an opening that does not reproduce voids all that a verifier said"
_VERIFIER = [
    _lie("always yes", "confirms everything", "quorum; its opening shows another level"),
    _lie("always no", "refutes everything", "quorum"),
    _lie(
        "verdict copying",
        "three say what the first one said",
        "sums of its own are sealed; agreement counts nothing",
    ),
    _lie("collusion of 10 %", "one of ten confirms for a friend", "quorum of four"),
    _lie("collusion of 20 %", "two of ten", "quorum of four"),
    _lie("collusion of 30 %", "three of ten", f"quorum of four; {_VOID}"),
    _lie(
        "root chosen late",
        "enters its guest holdout after it saw the capsule",
        "the root has to be older than the commitment",
    ),
    _lie("opening refused", "three of ten confirm, and never open", "quorum alone"),
    _lie("opening altered", "a quorum confirms, and opens sums that bear it out", f"the seal; {_VOID}"),
]
_ECONOMY = [
    Entry(
        *("joules ÷ 10", "economy", "tells a tenth of its joules"),
        defence="none in the books: joules are attested; below what the work takes at least they are refuted",
        books="joules ÷ 10",
        elsewhere="tests/attacks/test_invented_joules.py::test_work_for_nearly_nothing_is_refuted",
    ),
    Entry(*("joules × 10", "economy", "tells ten times its joules", "its own η falls"), books="joules × 10"),
    Entry(
        *("unlogged tries", "economy", "tries 64 times, announces the one that did best"),
        defence="verifiers measure on examples of their own",
        books="unlogged tries",
    ),
    Entry(
        *("split log", "economy", "two logs, and shows the one that did well"),
        defence="its share counts what verifiers found, not what it chose",
        books="split log",
    ),
    Entry(
        *("wash adoption", "economy", "a hundred keys of its own adopt its updates"),
        defence="only verifiers that the reader's policy names confirm",
        books="wash adoption",
    ),
]
_BACKDOOR = [
    Entry("label trigger", "backdoor", "an honest update that also answers a trigger", "guards, recall"),
    Entry("norm-hidden", "backdoor", "the same within the norms of honest updates", "guards, recall"),
    Entry("guard-evading", "backdoor", "the same, trained to pass the guard sets", "recall"),
    Entry("two harmless halves", "backdoor", "two updates that answer it only together", "recall"),
]
_NETWORK = [
    Entry(
        *("eclipse", "network", "lets a node see nothing but its own keys"),
        defence="a look is the node's own; an old head has no fresh quorum",
        elsewhere=f"{_FORKS}test_a_truncated_log_with_its_old_quorum_is_too_old",
    ),
    Entry("slow-loris", "network", "sends a byte now and then", "a deadline a request", elsewhere=_LEFT),
    Entry(
        "huge tile",
        "network",
        "sends without an end",
        "bytes are capped",
        elsewhere=f"{_PEERS}test_a_bundle_larger_than_any_is_left",
    ),
    Entry("redirects", "network", "sends the reader elsewhere", "no redirect is followed", elsewhere=_LEFT),
    Entry(
        *("partition", "network", "cuts the network in two"),
        defence="logs go on; both sides are pulled afterwards",
        elsewhere="benchmarks/network_events.py",
    ),
]
_IN_LOGS = frozenset(
    {
        *("bytes", "gauge", "front-run intent", "levels", "openings of others"),
        *(one.name for one in (*_LOG, *_VERIFIER, *_ECONOMY, *_NETWORK)),
    }
)
STRATEGIES = [
    replace(entry, logs=entry.name in _IN_LOGS)
    for entry in (*_VALUE, *_COPY, *_ADAPTIVE, *_LOG, *_VERIFIER, *_ECONOMY, *_BACKDOOR, *_NETWORK)
]

TWINS = [
    Twin(
        "Δ is published, 100 null updates (n = 1,024)",
        adaptive.boosting_from_delta,
        Protocol(count=1024, publishes_delta=True),
        100,
        Protocol(count=1024),
    ),
    Twin("the bar stays that of the first look: null", value.null, Protocol(budgeted=False)),
    Twin(
        "the bar stays that of the first look: boosting from bits",
        adaptive.boosting_from_bits,
        Protocol(budgeted=False),
        _WIDE,
    ),
    Twin(
        "each of 10 keys has an error budget of its own: pooled sybils",
        adaptive.pooled_sybils,
        Protocol(per_key=10),
        _WIDE,
    ),
    Twin(
        "a look stops half-way where Σδ ≤ 0, and its joules tell: joules",
        adaptive.joules,
        Protocol(reads_all=False),
        _WIDE,
    ),
    Twin(
        "half of the guest holdout is public: test-trained", value.trained_on_the_test, Protocol(leaked=True)
    ),
    Twin(
        "half of the guest holdout stands in another's that was opened: openings of others",
        adaptive.openings_of_others,
        Protocol(leaked=True),
        _WIDE,
    ),
]
