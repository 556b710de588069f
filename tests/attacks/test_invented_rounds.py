"""Rounds whose weights or losses are others than they say, in logs that are consistent throughout."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryoflux.log_check import asked_again
from cryoflux.receipts.network_parts import SealedSums
from cryoflux.registry.composition import Composition, folded
from cryoflux.registry.mixture import OfferedUpdate, StepKind
from cryoflux.registry.parent_lists import keep_lists
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from cryoflux.verification.loss_comparison import Found
from cryoflux.verification.result import Check, Status
from cryoflux.verification.rounds_again import OPENED_AGAIN, ROUNDS_AGAIN
from real_rounds import GUESTS, RealRounds
from running import cryoflux
from verifying import verify_target

pytestmark = pytest.mark.process


@pytest.fixture
def made(tmp_path: Path) -> Iterator[RealRounds]:
    state = RealRounds(tmp_path / "state")
    with closing(state.log):
        yield state


def again(made: RealRounds, most: int = 9) -> tuple[list[Check], list[Check]]:
    """What is said of versions and of looks; nothing else fails, nor does any of it without --recompute."""
    report = verify_target(made.point_head(), again=asked_again(most, 0, 1, 0))
    ours = {ROUNDS_AGAIN.name: list[Check](), OPENED_AGAIN.name: list[Check]()}
    for check in report.checks:
        if check.name in ours:
            ours[check.name].append(check)
        else:
            assert check.status is not Status.FAIL, check
    return ours[ROUNDS_AGAIN.name], ours[OPENED_AGAIN.name]


def refuted(checks: list[Check]) -> str:
    (found,) = [check for check in checks if check.status is Status.FAIL]
    assert found.detail.startswith("refuted: ")
    return found.detail


def alone(made: RealRounds, adapter: str) -> Composition:
    update = OfferedUpdate(adapter=adapter, genesis=made.genesis.digest)
    return Composition(genesis=made.genesis.digest, terms=(update.term,))


def test_what_rounds_say_is_made_again_of_its_files(made: RealRounds) -> None:
    """Kept versions are not asked: those that rounds composed are removed, and composed anew."""
    first, second = made.update(1), made.update(2)
    made.round(first, weight="1/2")
    made.round(second, weight="1/2")
    missed = made.round(made.update(3, helps=False))
    made.recall(first)
    made.open()
    for folder in (made.path / "models").iterdir():
        if folder.name not in {made.genesis.digest, made.head.digest}:
            shutil.rmtree(folder)
    versions, looks = again(made)
    assert [check.status for check in versions] == [Status.OK] * len(versions)
    assert (
        "composed again from its list of 1 update: the version that was left by the recall"
        in versions[0].detail
    )
    assert versions[-1].detail.endswith(
        "composed again from its list of 1 update: the version that was adopted"
    )
    assert [check.status for check in looks] == [Status.OK] * 3
    assert f"{2 * GUESTS} losses on {GUESTS} opened examples" in looks[-1].detail
    assert missed.name in looks[0].detail
    one, look = again(made, 1)
    assert (len(one), len(look)) == (1, 1)
    assert look[0].detail.endswith("of 3 opened looks, the newest 1 asked for")


def test_an_adopted_version_of_other_weights_than_its_list(made: RealRounds) -> None:
    """Its files are consistent, its losses true, and all of it is signed: only the sum is another one."""
    listed, other = made.update(1), made.update(2)
    made.round(listed, swapped=made.version(alone(made, other)))
    made.open()
    versions, looks = again(made)
    assert "its weights are not the sum of its list" in refuted(versions)
    assert "its weights are not the sum of its list" in refuted(looks)


def test_a_recall_that_leaves_what_it_says_it_took_out(made: RealRounds) -> None:
    first, second = made.update(1), made.update(2)
    made.round(first, weight="1/2")
    made.round(second, weight="1/2")
    made.recall(second, made.version(alone(made, second)))
    (recalled, *rounds), _ = again(made)
    assert "its weights are not the sum of its list" in refuted([recalled])
    assert [check.status for check in rounds] == [Status.OK] * 2


def test_an_update_that_came_in_with_a_folded_list_is_recalled_with_it_and_never_seemingly(
    made: RealRounds,
) -> None:
    """Its name is in no entry: the list that has it is, and goes as a whole."""
    poison, beside, last, offered = (made.update(seed) for seed in (1, 2, 3, 4))
    before = Composition(genesis=made.genesis.digest).adopting(poison).adopting(beside)
    parent = Composition(genesis=before.genesis, terms=folded(before.terms)).adopting(last)
    keep_lists(made.path, [before.terms, parent.terms])
    made.round(offered, weight="1/2", kind=StepKind.MIX, parent=parent.terms)
    state = made.point_head()
    made.log.close()
    asked = ("capsule", "recall", "--reason", "poisoned", "--state", state)
    refused = cryoflux(*asked, poison[:12])
    assert (refused.code, f"capsule recall {before.digest[:16]}" in refused.stderr) == (2, True)
    done = cryoflux(*asked, before.digest[:16])
    assert (done.code, "of 2 updates" in done.stdout) == (0, True), done.stderr
    assert "composed again from its list of 2 updates" in cryoflux("verify", state, "--recompute", "2").stdout


def test_sums_that_nobody_measured_and_that_are_opened_as_sealed(made: RealRounds) -> None:
    """A useless update is adopted by sums that its seal matches, and from which its level follows."""

    def better(said: SealedSums) -> SealedSums:
        gain = 400_000_000
        return said.but(
            new_loss_sum=said.base_loss_sum - gain * GUESTS, delta_squared_sum=str(GUESTS * gain**2)
        )

    made.round(made.update(1), weight="1/8", invents=better)
    made.open()
    versions, looks = again(made)
    assert [check.status for check in versions] == [Status.OK]
    assert "its losses add up to" in refuted(looks)


def test_sums_of_a_base_that_is_made_worse(made: RealRounds) -> None:
    made.round(
        made.update(1), invents=lambda said: said.but(base_loss_sum=said.base_loss_sum + GUESTS * 1_000_000)
    )
    made.open()
    assert "its base losses add up to" in refuted(again(made)[1])


@pytest.mark.parametrize("which", ["of another version", "in another order", "right where wrong"])
def test_a_root_of_other_losses_than_its_sums(made: RealRounds, which: str) -> None:
    def other(base: Found, new: Found) -> tuple[Found, Found]:
        if which == "of another version":
            return base, base
        if which == "in another order":
            return base, (new[0][::-1], new[1])
        return base, (new[0], [not right for right in new[1]])

    made.round(made.update(1), root_over=other)
    made.open()
    versions, looks = again(made)
    assert [check.status for check in versions] == [Status.OK]
    assert "the published root is of others" in refuted(looks)


def test_what_is_missing_is_asked_for_and_accuses_nobody(made: RealRounds) -> None:
    adapter = made.update(1)
    made.round(adapter)
    examples = made.open()
    place = made.path / "network/incoming" / adapter
    config, genesis = place / ADAPTER_CONFIG, made.state.model(made.genesis.digest)
    for path, said in (
        (examples, "examples of its guest holdout"),
        (place / ADAPTER, f"its update {adapter[:16]}… is not here; cryoflux node pull"),
        (genesis, "is not kept here"),
    ):
        away = path.with_name(f"away-{path.name}")
        path.rename(away)
        versions, looks = again(made) if path is not genesis else again_with_no_genesis(made)
        asked = [check for check in (*versions, *looks) if check.status is Status.UNKNOWN]
        assert any(said in check.detail for check in asked), asked
        assert not [check for check in (*versions, *looks) if check.status is Status.FAIL]
        away.rename(path)
    (place / ADAPTER).write_bytes((place / ADAPTER).read_bytes()[:-1] + b"\0")
    versions, _ = again(made)
    assert "is another file here than the one signed" in versions[0].detail
    assert config.is_file()


def again_with_no_genesis(made: RealRounds) -> tuple[list[Check], list[Check]]:
    """The same where other steps may say that it is missing."""
    report = verify_target(made.point_head(), again=asked_again(9, 0, 1, 0))
    versions = [check for check in report.checks if check.name == ROUNDS_AGAIN.name]
    return versions, [check for check in report.checks if check.name == OPENED_AGAIN.name]


def test_examples_that_were_opened_and_never_entered(made: RealRounds) -> None:
    """The opening signs another file: its digest is right, and its root is not the one that judged."""
    made.round(made.update(1))
    made.lines[7], made.lines[8] = made.lines[8], made.lines[7]
    made.open()
    assert "not those whose root was entered" in refuted(again(made)[1])
