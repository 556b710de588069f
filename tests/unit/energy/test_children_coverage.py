"""How often the interval of a process's net energy holds the truth while its children come and go.

`drawn_family` says what is drawn; ``benchmarks/children_coverage.py`` does the same with more trials.
"""

from __future__ import annotations

import random

import pytest

from drawn_family import Family, trials

TRIALS = 256
EXPLAINED_BY_TICKS_S = 0.1


@pytest.mark.parametrize(
    ("orphaned", "adopts"), [(0, False), (1 / 3, True)], ids=["waited for", "a third orphaned and adopted"]
)
def test_the_interval_of_a_process_with_children_holds_the_truth(tmp_path, orphaned, adopts):
    family = Family(tmp_path, random.Random("children"), orphaned=orphaned, adopts=adopts)
    done = list(trials(family, TRIALS))
    assert 0.93 <= sum(trial.inside for trial in done) / TRIALS <= 0.97
    assert all(trial.missed_s < EXPLAINED_BY_TICKS_S for trial in done)
    assert abs(sum(trial.error for trial in done) / TRIALS) < 0.02
