"""Random wraps, restarts, failed reads and gaps: the truth stays inside the bounds, whatever the order."""

from __future__ import annotations

from synthetic_world import play_schedules


def test_where_a_restart_shows_in_the_epoch_the_truth_is_inside_in_every_schedule(thorough):
    schedules = 20_000 if thorough else 4_000
    tally = play_schedules(range(schedules))
    assert (tally.schedules, tally.reads) == (schedules, 50 * schedules)
    assert tally.wrong == 0, tally.first


def test_restarts_that_nothing_but_the_value_could_tell_never_make_energy_negative_or_impossible():
    tally = play_schedules(range(1_000), silent=True)
    assert (tally.negative, tally.above, tally.not_integer) == (0, 0, 0), tally.first
    # Not all of them can be seen, and nobody should think so: that is what the epoch is for.
    assert 0 < tally.outside < tally.reads // 100
