"""A GPU's energy is what it drew: counted or integrated, checked, through losses, and by its own users."""

from __future__ import annotations

import random

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.device_files import INITIAL_PID_NAMESPACE
from cryoflux.energy.sources.integral import CLOSE_ERROR
from cryoflux.energy.sources.nvml import find_gpus
from cryoflux.quantities import Tier
from energy_fakes import FakeClock
from fake_nvml import Board, RichNvml, closed_gate
from waiting import until


class Host:
    """Two GPUs by default, a clock, and a process folder."""

    def __init__(self, tmp_path=None, *boards, **settings):
        self.clock = FakeClock()
        self.boards = [Board(f"GPU-{name}", self.clock, **settings) for name in boards or ("a", "b")]
        self.nvml = RichNvml(self.boards)
        self.proc = tmp_path
        self.gpus, self.problems = find_gpus(self.clock, self.nvml, proc_root=str(tmp_path or "/proc"))

    def process(self, pid, opened=("/dev/null", "/dev/nvidiactl")):
        folder = self.proc / str(pid) / "fd"
        folder.mkdir(parents=True)
        for number, target in enumerate(opened):
            (folder / str(number)).symlink_to(target)

    def read(self, seconds=0.0):
        self.clock.forward(seconds)
        return [gpu.read() for gpu in self.gpus]


def test_counter_and_power_agree_on_a_board_that_tells_the_truth():
    host = Host()
    first = host.read()[0]
    for second in range(60):
        host.boards[0].draw(300.0 if second % 7 < 3 else 80.0)
        last = host.read(1.0)[0]
    truth_uj = host.boards[0].energy_j() * 1e6
    assert last.energy_uj - first.energy_uj == pytest.approx(truth_uj, abs=300e6 * 0.1)
    assert last.check_uj - first.check_uj == pytest.approx(truth_uj, rel=0.05)


def test_a_counter_that_shows_half_of_what_flows_is_seen_in_the_check():
    host = Host(None, "a", gain=0.57)
    first, last = host.read()[0], [host.read(1.0)[0] for _ in range(30)][-1]
    assert (last.check_uj - first.check_uj) / (last.energy_uj - first.energy_uj) == pytest.approx(
        1.75, abs=0.02
    )


def test_a_check_with_a_hole_is_not_carried_across_it():
    host = Host()
    host.read()
    host.boards[0].sensor = False
    blind = host.read(1.0)[0]
    host.boards[0].sensor = True
    begun, went_on = host.read(1.0)[0], host.read(1.0)[0]
    assert blind.energy_uj is not None
    assert blind.check_uj is None
    assert went_on.check_uj - begun.check_uj == 60_000_000
    assert host.read(10.0)[0].check_uj is None
    assert host.read(1.0)[0].check_uj == went_on.check_uj + 60_000_000


def test_where_power_is_all_there_is_the_instantaneous_one_is_integrated():
    host = Host(None, "a", counts=False)
    (gpu,) = host.gpus
    start = host.read()[0]
    for _ in range(30):
        host.read(0.1)
    host.boards[0].draw(200.0)
    jump, later = host.read(0.1)[0], host.read(0.1)[0]
    assert gpu.tier is Tier.POWER_INTEGRATED
    assert gpu.poll_s == 0.1
    assert later.energy_uj - jump.energy_uj == 20_000_000
    assert later.check_uj is None
    assert start.epoch == later.epoch


def test_a_board_without_the_newer_fields_is_read_by_the_older_call():
    host = Host(None, "a", counts=False, fields=False, averages=False)
    first, second = host.read()[0], host.read(1.0)[0]
    assert second.energy_uj - first.energy_uj == 60_000_000


def test_power_read_once_a_second_says_that_it_may_be_far_off_and_ten_times_a_second_less_so():
    host = Host(None, "a", counts=False)
    for _ in range(20):
        host.read(1.0)
    at_rest = host.gpus[0].gain_error
    for _ in range(400):
        host.read(0.1)
    low, high = host.gpus[0].gain_error
    assert at_rest[1] > 2
    assert (low, high) == pytest.approx(CLOSE_ERROR, abs=0.01)


def test_a_gap_in_the_power_samples_is_a_new_epoch():
    host = Host(None, "a", counts=False)
    before = host.read()[0]
    assert host.read(1.9)[0].epoch == before.epoch
    assert host.read(2.1)[0].epoch != before.epoch


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_counter_gives_the_truth_within_a_step_at_both_ends_at_any_rate_of_reading(seed):
    rng, host = random.Random(seed), Host(None, "a")
    first, began_j = host.read()[0], host.boards[0].energy_j()
    for _ in range(rng.randrange(1, 60)):
        host.boards[0].draw(rng.uniform(20, 300))
        last = host.read(rng.choice((0.05, 0.3, 1.0, 7.0)))[0]
    truth_uj = (host.boards[0].energy_j() - began_j) * 1e6
    step_uj = 300e6 * host.gpus[0].update_s
    assert abs(last.energy_uj - first.energy_uj - truth_uj) <= step_uj + 2 * host.gpus[0].resolution_uj
    assert host.gpus[0].max_power_uw >= 300_000_000


def test_the_bound_is_that_of_the_board_and_not_of_a_limit_that_may_be_lifted():
    host = Host(None, "a")
    host.nvml.nvmlDeviceGetEnforcedPowerLimit = lambda handle: 100_000
    assert find_gpus(host.clock, host.nvml)[0][0].max_power_uw == 600_000_000


def test_a_lost_gpu_comes_back_under_another_number_in_another_epoch_and_the_others_go_on():
    host = Host()
    first, other = host.read()
    host.boards[0].lost = True
    assert host.read(1.0)[0].energy_uj is None
    for _ in range(3):
        gone, still = host.read(1.0)
        assert gone.energy_uj is None
        assert still.energy_uj is not None
    host.nvml.boards.reverse()
    host.boards[0].lost = False
    back = next(pair for _ in range(20) if (pair := host.read(1.0))[0].energy_uj is not None)
    assert back[0].epoch != first.epoch
    assert back[1].epoch == other.epoch
    assert back[0].energy_uj == pytest.approx(host.boards[0].energy_j() * 1e6, abs=7e6)
    assert back[1].energy_uj == pytest.approx(host.boards[1].energy_j() * 1e6, abs=7e6)


def test_a_driver_that_was_away_is_a_new_epoch_for_every_gpu():
    host = Host()
    before = host.read()
    host.nvml.driver = False
    assert [reading.energy_uj for reading in host.read(1.0)] == [None, None]
    host.read(1.0)
    host.nvml.driver = True
    for _ in range(20):
        after = host.read(1.0)
        if all(reading.energy_uj is not None for reading in after):
            break
    assert all(now.epoch != then.epoch for now, then in zip(after, before, strict=True))


def test_a_gpu_that_nobody_read_while_the_driver_was_away_begins_a_new_epoch_too():
    host = Host()
    watched, unwatched = host.gpus
    before = unwatched.read()
    host.nvml.driver = False
    for _ in range(2):
        assert watched.read().energy_uj is None
    host.nvml.driver = True
    assert watched.read().energy_uj is not None
    after = unwatched.read()
    assert after.energy_uj is not None
    assert after.epoch != before.epoch


def test_a_driver_that_hangs_does_not_hold_up_the_meter(monkeypatch):
    monkeypatch.setattr("cryoflux.energy.sources.nvml_driver._BLINK_S", 0.01)
    host = Host()
    before = host.read()
    host.nvml.gate = closed_gate()
    host.boards[0].lost = True
    host.read(1.0)
    hanging = [host.read(1.0) for _ in range(3)]
    assert all(reading.energy_uj is None for pair in hanging for reading in pair)
    assert host.nvml.inits == 2
    host.boards[0].lost = False
    host.nvml.gate.set()

    def attached():
        pair = host.read(1.0)
        return pair if pair[0].energy_uj is not None else None

    after = until(attached, "the driver")
    assert after[0].epoch != before[0].epoch
    assert after[1].epoch == before[1].epoch


def test_a_gpu_that_stays_away_is_looked_for_ever_more_rarely():
    host = Host()
    host.boards[0].lost = True
    readings = [host.read(1.0) for _ in range(600)]
    assert host.nvml.inits <= 20
    assert sum(other.energy_uj is not None for _, other in readings) >= 590
    assert {other.epoch for _, other in readings} == {readings[0][1].epoch}


def test_a_gpu_in_mig_mode_is_named_and_metered_as_a_whole_and_its_users_are_not_told(tmp_path):
    host = Host(tmp_path, "a", mig=True)
    host.process(7)
    host.boards[0].listed = [7]
    assert [problem.code for problem in host.problems] == ["mig-unsupported"]
    assert host.read()[0].energy_uj is not None
    assert host.gpus[0].users() is None


def test_a_gpu_in_mig_mode_that_reports_nothing_is_named_once():
    clock = FakeClock()
    board = Board("GPU-a", clock, mig=True, counts=False)
    board.sensor = False
    gpus, problems = find_gpus(clock, RichNvml([board]))
    assert gpus == []
    assert [(problem.code, problem.max_power_uw) for problem in problems] == [
        ("gpu-without-power", 600_000_000)
    ]
    assert "MIG" in problems[0].reason


def test_the_power_of_a_grace_hopper_board_is_that_of_the_module_that_its_counter_covers():
    host = Host(None, "a", module=True)
    host.read()
    assert set(host.boards[0].scopes) == {1}
    plain = Host(None, "a")
    assert set(plain.boards[0].scopes) == {0}


def test_the_driver_is_let_go_with_the_last_gpu():
    host = Host()
    host.gpus[0].close()
    assert host.nvml.shutdowns == 0
    host.gpus[1].close()
    assert host.nvml.shutdowns == 1
    nothing = RichNvml([])
    assert find_gpus(FakeClock(), nothing) == ([], [])
    assert nothing.shutdowns == 1


def test_time_on_the_gpu_is_added_up_by_process_and_a_listed_one_without_any_has_none(tmp_path):
    host = Host(tmp_path, "a")
    for pid in (7, 8, 9):
        host.process(pid)
    board = host.boards[0]
    board.listed, board.graphics, board.samples = [7, 8], [9], [(5_000_000, 7, 90)]
    assert host.gpus[0].users() == {7: 0, 8: 0, 9: 0}
    board.samples += [(6_000_000, 7, 50), (6_000_000, 8, 25)]
    host.clock.forward(1.0)
    assert host.gpus[0].users() == {7: 500_000, 8: 250_000, 9: 0}
    host.clock.forward(1.0)
    assert host.gpus[0].users() == {7: 500_000, 8: 250_000, 9: 0}
    board.listed = [8]
    assert host.gpus[0].users() == {8: 250_000, 9: 0}


def test_a_board_that_takes_no_samples_still_tells_who_is_there(tmp_path):
    host = Host(tmp_path, "a")
    host.process(7)
    host.boards[0].listed = [7]
    assert host.gpus[0].users() == {7: 0}


@pytest.mark.parametrize("listed", [[], [7, 12345]])
def test_an_empty_list_or_a_number_of_nobody_here_is_unknown_and_not_nobody(tmp_path, listed):
    host = Host(tmp_path, "a")
    host.process(7)
    host.boards[0].listed, host.boards[0].busy_share = listed, 40
    assert host.gpus[0].users() is None


def test_an_empty_list_is_nobody_where_the_gpu_rests_and_unknown_where_that_is_not_told(tmp_path):
    host = Host(tmp_path, "a")
    assert host.gpus[0].users() == {}
    host.boards[0].busy_share = None
    assert host.gpus[0].users() is None


def test_in_the_pid_namespace_of_the_machine_a_process_whose_files_may_not_be_read_is_believed(tmp_path):
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "ns" / "pid").symlink_to(INITIAL_PID_NAMESPACE)
    host = Host(tmp_path, "a")
    (tmp_path / "8").mkdir()
    host.boards[0].listed = [8]
    assert host.gpus[0].users() == {8: 0}
    host.boards[0].listed = [8, 12345]
    assert host.gpus[0].users() is None


def test_a_process_whose_files_may_not_be_read_is_believed_beside_one_that_has_the_gpu_open(tmp_path):
    host = Host(tmp_path, "a")
    (tmp_path / "8").mkdir()
    host.boards[0].listed = [8]
    assert host.gpus[0].users() is None
    host.process(7)
    host.boards[0].listed = [7, 8]
    assert host.gpus[0].users() == {7: 0, 8: 0}


def test_a_process_of_another_namespace_is_not_taken_for_one_with_its_number(tmp_path):
    host = Host(tmp_path, "a")
    host.process(7, opened=("/dev/null",))
    host.boards[0].listed = [7]
    assert host.gpus[0].users() is None


def test_a_lost_gpu_has_no_users_to_tell(tmp_path):
    host = Host(tmp_path, "a")
    host.process(7)
    host.boards[0].listed = [7]
    host.boards[0].lost = True
    assert host.gpus[0].users() is None
    host.read()
    assert host.gpus[0].users() is None


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 3_000_000),
            st.lists(
                st.tuples(st.integers(0, 10_000_000), st.sampled_from((7, 8)), st.integers(0, 200)),
                max_size=6,
            ),
        ),
        max_size=12,
    )
)
def test_no_sample_makes_a_process_busier_than_the_time_that_passed(tmp_path_factory, calls):
    host = Host(tmp_path_factory.mktemp("proc"), "a")
    board, passed_us, before = host.boards[0], 0, {7: 0, 8: 0}
    for pid in (7, 8):
        host.process(pid)
    board.listed, board.samples = [7, 8], []
    host.gpus[0].users()
    for step_us, samples in calls:
        board.samples = [*board.samples, *samples]
        host.clock.forward(step_us / 1e6)
        passed_us += step_us
        now = host.gpus[0].users()
        assert all(before[pid] <= now[pid] <= passed_us for pid in (7, 8))
        before = now


def test_the_calls_constants_and_fields_are_those_of_the_real_bindings():
    calls = [name for name in dir(RichNvml) if name.startswith("nvml")]
    assert len(calls) >= 16
    assert [name for name in calls if not hasattr(pynvml, name)] == []
    assert (pynvml.NVML_FI_DEV_POWER_AVERAGE, pynvml.NVML_FI_DEV_POWER_INSTANT) == (185, 186)
    assert (pynvml.NVML_POWER_SCOPE_GPU, pynvml.NVML_POWER_SCOPE_MODULE) == (0, 1)
    assert (pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_SUCCESS, pynvml.NVML_ERROR_NOT_FOUND) == (1, 0, 6)
    assert pynvml.NVMLError(6).value == 6
    sample = dict(pynvml.c_nvmlProcessUtilizationSample_t._fields_)
    assert {"pid", "timeStamp", "smUtil"} <= sample.keys()
    value = pynvml.c_nvmlFieldValue_t()
    value.value.uiVal = 123_456
    assert (value.nvmlReturn, value.value.uiVal) == (0, 123_456)
