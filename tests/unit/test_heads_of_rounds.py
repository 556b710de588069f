"""What reads a log goes on by rounds and recalls: heads, chains, spending, versions, names that stay."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.claims.evaluation import add_up, told_by
from cryoflux.errors import UsageError
from cryoflux.log_state import LogState
from cryoflux.log_view import open_log
from cryoflux.queries.budget import budget_of
from cryoflux.queries.followed import Followed
from cryoflux.queries.joules import JoulesFold
from cryoflux.queries.progress import ProgressFold
from cryoflux.receipts.lines import Lines
from cryoflux.registry.made import list_of
from cryoflux.runs.catalogue import read_catalogue
from cryoflux.runs.pruning import protected_versions
from cryoflux.runs.recovery import read_log
from cryoflux.runs.version_names import find_version
from cryoflux.state import StateFolder
from cryoflux.task_state import chain_start
from node_log import TASK, NodeLog, node_log
from plain_log import PlainLog, StoredLog

FIRST = {"start": "first"}
CHARGED_UJ = 100_000_000
"""of each attempt and round of these logs"""


def node(log: PlainLog, *, sessions: bool = False) -> NodeLog:
    """An own update, a round that adopts, and one that does not."""
    found = NodeLog(log)
    found.train()
    found.introduce()
    found.enter()
    found.record(found.announce([found.candidate(), found.candidate()]))
    found.record(found.announce([found.candidate()]), gain=-1_000_000)
    if sessions:
        log.session()
    return found


def test_a_chain_from_the_first_version_keeps_what_a_round_adopted() -> None:
    log = PlainLog()
    made = NodeLog(log)
    made.train()
    made.introduce()
    made.enter()
    known = log.state.tasks[TASK]
    assert chain_start(FIRST, known.head, known) == known.start
    made.record(made.announce([made.candidate()]), gain=-1_000_000)
    assert chain_start(FIRST, known.head, known) == known.start, "nothing was adopted"
    made.record(made.announce([made.candidate()]))
    assert chain_start(FIRST, known.head, known) == known.head != known.start
    log.conclude(log.announce())
    assert chain_start(FIRST, known.head, known) == known.head


def test_a_head_that_a_recall_gave_back_is_over_the_genesis_that_it_always_was() -> None:
    """A recall mostly gives an earlier version back, byte for byte: how it came about stays what it was."""
    log = PlainLog()
    made = NodeLog(log)
    made.train()
    made.introduce()
    made.enter()
    known = log.state.tasks[TASK]
    before, composed = known.head, known.composition
    adopted = made.candidate()
    made.record(made.announce([adopted]))
    made.recall(adopted.capsule, result=before)
    assert (known.head, known.composition) == (before, composed)
    made.record(made.announce([made.candidate()]))
    assert known.composition.genesis == composed.genesis
    assert len(known.composition.terms) == len(composed.terms) + 1


def test_what_a_mixture_brings_back_is_in_the_list_now_and_when_it_is_read_again() -> None:
    """No round of ours mixes so, but a log may say that it did, and its weights have it."""
    log = PlainLog()
    made = NodeLog(log)
    made.train()
    made.introduce()
    made.enter()
    poison, carrier = made.candidate(), made.candidate()
    made.record(made.announce([poison]))
    made.recall(poison.capsule)
    made.record(made.announce([carrier]), carried=[poison.capsule])
    known = log.state.tasks[TASK]
    assert poison.capsule in {term.adapter for term in known.composition.terms}
    assert list_of(known.made, known.head.digest) == known.composition
    read = LogState()
    for entry in log.entries:
        read.take(entry)
    again = read.tasks[TASK]
    assert (again.head, again.composition) == (known.head, known.composition)
    made.recall(poison.capsule)
    assert {term.adapter for term in known.composition.terms} & {poison.capsule} == set()
    assert carrier.capsule in {term.adapter for term in known.composition.terms}


def test_a_chain_does_not_bring_back_what_a_recall_took_away() -> None:
    log = PlainLog()
    made = node(log)
    made.recall(next(iter(log.state.nodes[TASK].adopted)))
    known = log.state.tasks[TASK]
    assert chain_start(FIRST, known.head, known) == known.head


def test_versions_that_rounds_and_recalls_name_are_not_freed_as_unnamed(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        made = node_log(log)
        _, named = read_log(log.log)
        for entry in log.entries:
            if (moved := entry.round or entry.recall) is not None:
                assert {moved.base.digest, moved.result.digest} <= named
            if entry.round_intent is not None:
                assert entry.round_intent.base.digest in named
        assert made.log.state.tasks[TASK].head.digest in named


def test_own_updates_stand_under_a_round_and_a_recall() -> None:
    log = PlainLog()
    made = node(log)
    made.recall(next(iter(log.state.nodes[TASK].adopted)))
    last = log.conclude(log.announce())
    lines = Lines()
    for entry in log.entries:
        if (said := entry.receipt or entry.round or entry.recall) is not None:
            lines.take(said)
    assert lines.standing() == {1, 5, last.index}, "and the round that the line goes on by"
    assert lines.from_before() == ()


def test_what_rounds_cost_is_in_what_everything_cost(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        node(log, sessions=True)
        fold = JoulesFold()
        fold.take(log.entries)
    summary = open_log(tmp_path / "s").summary()
    assert summary.rounds is not None
    assert (summary.rounds.rounds, summary.rounds.accepted, summary.rounds.adopted) == (2, 1, 1)
    assert summary.energy is not None
    assert summary.energy.uj == CHARGED_UJ
    assert summary.checking is not None
    assert summary.checking.uj == 2 * CHARGED_UJ
    assert summary.all_in is not None
    assert summary.all_in.uj == 4 * CHARGED_UJ, "an attempt, two rounds and the session beside them"
    assert summary.all_in_eta_per_kj == pytest.approx(summary.tasks[0].delta / 0.4)
    told = fold.joules(tmp_path / "s")
    assert told.rounds == summary.checking
    assert told.told == summary.all_in


def test_a_round_that_is_open_leaves_open_what_everything_cost(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        made = node(log, sessions=True)
        made.announce([made.candidate()])
    summary = open_log(tmp_path / "s").summary()
    assert summary.rounds_open == 1
    assert summary.all_in is None


def test_a_claim_of_everything_counts_rounds_and_none_of_gains_crosses_a_recall() -> None:
    log = PlainLog()
    made = node(log)
    log.session()
    figures = add_up(said for entry in log.entries if (said := told_by(entry)) is not None)
    assert figures.estimate_uj == 3 * CHARGED_UJ, "an attempt and two rounds"
    assert figures.all_in is not None
    assert figures.all_in.uj == 4 * CHARGED_UJ
    assert figures.delta is not None
    assert figures.loss_last is None, "nobody read the holdout with what the round made"
    made.recall(next(iter(log.state.nodes[TASK].adopted)))
    figures = add_up(said for entry in log.entries if (said := told_by(entry)) is not None)
    assert figures.delta is None
    assert "recall" in figures.no_gain


def test_what_a_move_of_the_head_took_back_is_certified_no_more() -> None:
    log = PlainLog()
    made = node(log)
    own = log.entries[1].receipt
    assert own is not None
    log.move(TASK, own.result, log.entries[1])
    made.record(made.announce([made.candidate()]))
    figures = add_up(said for entry in log.entries if (said := told_by(entry)) is not None)
    assert (list(figures.certified), figures.withdrawn) == ([log.entries[-1].index], 1)
    since = add_up(said for entry in log.entries[6:] if (said := told_by(entry)) is not None)
    assert "went back behind the range" in since.no_sum


def test_a_claim_of_everything_is_none_while_a_round_is_open() -> None:
    log = PlainLog()
    made = node(log)
    log.session()
    made.announce([made.candidate()])
    figures = add_up(said for entry in log.entries if (said := told_by(entry)) is not None)
    assert figures.all_in is None


def test_the_catalogue_says_who_made_a_version(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        node_log(log)
        record = next(e.round for e in log.entries if e.round is not None)
        recall = next(e.recall for e in log.entries if e.recall is not None)
    of = read_catalogue(StateFolder(tmp_path / "s")).tasks[TASK]
    composed, recalled = of.versions[record.result.digest], of.versions[recall.result.digest]
    assert composed.made_from == "composed of offers by round #r1"
    assert find_version(read_catalogue(StateFolder(tmp_path / "s")), "#r1") == composed
    with pytest.raises(UsageError, match="names none") as refused:
        find_version(read_catalogue(StateFolder(tmp_path / "s")), "#r2")
    assert "This log has 2 rounds" in refused.value.why
    assert composed.certified == 0.05
    assert composed.worse, "it rests on what was recalled"
    assert recalled.made_from.startswith("recall of ")
    assert of.head == recalled.digest
    assert not recalled.worse
    assert composed.energy is not None
    assert composed.energy.uj == 2 * CHARGED_UJ
    assert [one.origin for one in of.line(of.head)] == ["version 0", "receipt", "round", "recall"]


def test_pruning_frees_what_a_round_made_and_never_the_genesis(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        made = node(log)
        adopted = log.state.tasks[TASK].head
        genesis = log.state.nodes[TASK].node
        for _ in range(2):
            made.train()
    folder = StateFolder(tmp_path / "s")
    catalogue = read_catalogue(folder)
    for digest in catalogue.tasks[TASK].versions:
        folder.model(digest).mkdir(parents=True)
    stays = protected_versions(read_catalogue(folder), keep=1)
    assert genesis is not None
    assert genesis.genesis.digest in stays
    assert adopted.digest not in stays
    assert catalogue.tasks[TASK].versions[adopted.digest].can_be_made


def test_rounds_are_a_part_of_the_budget_of_their_run(tmp_path: Path) -> None:
    with closing(StoredLog(tmp_path / "s")) as log:
        node(log)
        log.session(budget_microjoules=500_000_000)
    followed = Followed(tmp_path / "s")
    followed.refresh()
    view = budget_of(followed, None, 0.0)
    assert view is not None
    assert view.spent_uj == 4 * CHARGED_UJ
    assert {part.kind: part.uj for part in view.parts} == {
        "beside": CHARGED_UJ,
        "rounds": 2 * CHARGED_UJ,
        "attempt": CHARGED_UJ,
        "left": CHARGED_UJ,
    }


def test_the_next_attempt_says_what_the_head_of_a_round_scores() -> None:
    log, fold = PlainLog(), ProgressFold()
    made = node(log)
    made.train()
    for entry in log.entries:
        fold.take(entry, None)
    versions = [point.version for point in fold.curves[TASK]]
    adopted = next(e.round.result.digest for e in log.entries if e.round is not None)
    assert versions[2] == adopted
    assert len(versions) == 4
