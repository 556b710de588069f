"""Whether the screening examples say of a candidate what its receipt says: its temperature, and its screen.

One number scales the scores of a chain's candidate. It is fitted on the screening examples, which nothing is
trained on, and folded into the classifier; so on these examples no other factor than 1 makes the candidate
better. Fitted on anything else, on the holdout above all, it would not be so.

Training fits it in its own arithmetic, here it is fitted in that of the receipt. What counts is what the
factor costs: the mean loss on the screening examples at 1, less the one at the best factor. `INNOCENT` is far
more than rounding to a thousandth and bfloat16 were measured to cost; up to `FAR` it is a question, beyond it
a failure. A candidate that was scaled by a bound would have been scaled further: that side is innocent.

What the screen showed decides whether the holdout is looked at, and what is staked. Base and candidate are
screened again; a z, or a mean Δ, that is further off than `_Z_OFF` and `_MEAN_OFF` allow is a question.
Training screens in its own arithmetic: 12 honest receipts of three states, trained in bfloat16, were off by
less than a sixth of that (`cryoflux verify STATE --recompute all`).
"""

from __future__ import annotations

__all__ = ["FAR_NANO", "INNOCENT_NANO", "Fit", "Fitter", "temperature_findings"]

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryoflux.decision.evidence import Evidence
from cryoflux.digests import digests_of_lines, find_listed
from cryoflux.files import copy_regular
from cryoflux.quantities import NANO
from cryoflux.receipts.sums import evidence_of
from cryoflux.state import StateFolder
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.result import Finding, failed, unknown
from cryoflux.verification.walk import Paired

INNOCENT_NANO = 100_000
"""mean loss, nano-nats"""
FAR_NANO = 10_000_000
_Z_OFF, _MEAN_OFF = (0.5, 0.1), (0.005, 0.1)
"""what arithmetic may do to z and mean Δ (nats) of a screen: as such, and as a share"""
_UNIT = 1000
_LEAST, _MOST = 200, 2000
"""bounds of a temperature, thousandths"""


@dataclass(frozen=True, slots=True)
class Fit:
    """The best factor on the screening examples."""

    best_milli: int
    """thousandths"""
    lost_nano: int
    """mean loss at 1 less that at the best factor, nano-nats"""
    screened: Evidence | None = None
    """the candidate against its base on the same examples; none where that was not evaluated"""


class Fitter(Protocol):
    """What can fit a factor."""

    def fit(
        self,
        base: Path,
        model: Path,
        train: Path,
        *,
        pool_seed: int,
        first: int,
        screen_size: int,
        profile: str,
    ) -> Fit:
        """Fit the best factor on the screening examples, and screen the candidate again.

        Args:
            base: what it is judged against.
            model: the candidate.
            train: file of the training examples.
            pool_seed: that these were shuffled with.
            first: how many of them there were at first: what is set aside is of these.
            screen_size: how many are set aside, at most.
            profile: in which arithmetic.
        """


def temperature_findings(
    state: Path, paired: Paired, fitter: Fitter, base: Path, model: Path, folder: Path
) -> Iterator[Finding]:
    """What is wrong or open about temperature and screen of a candidate; nothing where it says none.

    Args:
        state: where the training examples lie.
        paired: the receipt.
        fitter: computes.
        base: what the candidate was judged against.
        model: the candidate, made again.
        folder: for a copy of the training examples.
    """
    intent, training = paired.intent, paired.receipt.training
    evaluation = paired.receipt.evaluation
    if intent is None or training is None or evaluation is None or training.screen is None:
        return
    said, size = training.section.fields.get("temperatureMilli"), intent.recipe.get("screen_size")
    if not isinstance(said, int) or not isinstance(size, int) or not intent.recipe.get("temperature"):
        return
    train = folder / "kept" / "train.jsonl"
    try:
        data = intent.data
        root = StateFolder(state).data(data.digest).parent
        copy_regular(find_listed(root, data.digest, train.name, data.train) / train.name, train)
        if digests_of_lines(train, [data.train_count]).get(data.train_count) != data.train:
            raise OpenQuestion("the training examples here are others than recorded")
        fit = fitter.fit(
            base,
            model,
            train,
            pool_seed=paired.pool_seed,
            first=paired.pool.counts[0] if paired.pool.counts else data.train_count,
            screen_size=size,
            profile=evaluation.profile,
        )
    except (OpenQuestion, OSError) as reason:
        yield unknown(paired.name, f"its temperature cannot be fitted again here: {reason}")
        return
    yield from _judged(paired, said, fit)
    if fit.screened is not None:
        yield from _screened(paired, evidence_of(training.screen), fit.screened)


def _screened(paired: Paired, said: Evidence, found: Evidence) -> Iterator[Finding]:
    off, mean_off = abs(said.z - found.z), abs(said.delta_mean - found.delta_mean)
    close = off <= _Z_OFF[0] + _Z_OFF[1] * abs(found.z)
    close &= mean_off <= _MEAN_OFF[0] + _MEAN_OFF[1] * abs(found.delta_mean)
    if said.count == found.count and (close or said.z == found.z):
        return
    detail = (
        f"its screen says Δ {said.delta_mean:+.4f} nats and z {said.z:.2f} on {said.count} examples; "
        f"evaluated again it is {found.delta_mean:+.4f} and {found.z:.2f} on {found.count}. "
        "A stake follows from it"
    )
    yield unknown(paired.name, detail)


def _judged(paired: Paired, said: int, fit: Fit) -> Iterator[Finding]:
    bound = (said <= _LEAST and fit.best_milli < _UNIT) or (said >= _MOST and fit.best_milli > _UNIT)
    if fit.lost_nano <= INNOCENT_NANO or bound:
        return
    detail = (
        f"its scores are scaled by {said}/1000, and the screening examples ask for {fit.best_milli}/1000 of "
        f"that: it costs {fit.lost_nano / NANO:.4f} nats there, so it was fitted on something else"
    )
    yield (
        failed(paired.name, f"refuted: {detail}")
        if fit.lost_nano > FAR_NANO
        else unknown(paired.name, f"{detail}, or in another arithmetic")
    )
