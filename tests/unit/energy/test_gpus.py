"""Whose a GPU's joules are where its users are hidden, and GPUs that tell nothing, or come late."""

from __future__ import annotations

import threading

import pytest

from cryoflux.energy.device_files import INITIAL_PID_NAMESPACE
from energy_bench import PID, Bench
from fake_nvml import Board, RichNvml, closed_gate
from waiting import until

IDLE_W, NET_W = 30.0, 250.0
STRANGER = 4711


class GpuBench(Bench):
    """A machine with one RAPL package and boards; this process has no GPU open for work unless said so."""

    def __init__(self, tmp_path, *, driver=True, boards=1, **settings):
        super().__init__(tmp_path)
        self.boards = [
            Board(f"GPU-{n}", self.clock, power_w=IDLE_W, limit_w=300, step_s=0, **settings)
            for n in range(boards)
        ]
        self.nvml = RichNvml(self.boards, driver=driver)
        self.opens(PID, "/dev/nvidiactl", "/dev/nvidia0")

    def opens(self, pid, *targets):
        folder = self.proc.root / str(pid) / "fd"
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            (folder / str(len(list(folder.iterdir())))).symlink_to(target)

    def in_machine_namespace(self):
        (self.proc.root / "self" / "ns").mkdir(parents=True)
        (self.proc.root / "self" / "ns" / "pid").symlink_to(INITIAL_PID_NAMESPACE)

    def open(self, **options):
        agent = super().open(nvml=self.nvml, **options)
        agent.grant(10**12, request_id="g", note="")
        return agent

    def charged(self, seconds=6, power_w=IDLE_W + NET_W):
        """What this process is charged while the boards draw so much; the package rests."""
        agent = self.open()
        taken = agent.take(10**9, request_id="a")
        for board in self.boards:
            board.draw(power_w)
        for _ in range(seconds):
            self.second(20.0)
            agent.spent(taken.id)
        settled = agent.settle(taken.id)
        agent.close()
        return settled.energy


@pytest.mark.parametrize("listed", [[], [STRANGER], [1, STRANGER]])
def test_where_the_users_are_hidden_a_strangers_work_is_not_charged_to_who_opened_no_gpu(tmp_path, listed):
    bench = GpuBench(tmp_path)
    bench.boards[0].listed, bench.boards[0].busy_share = listed, 97
    energy = bench.charged()
    assert energy.uj == 0
    assert energy.lo_uj <= 0
    assert energy.hi_uj >= 6 * NET_W * 1e6
    assert "gpu-users-hidden" in energy.flags


def test_where_the_users_are_hidden_who_computes_is_charged_all_and_it_may_be_nothing(tmp_path):
    bench = GpuBench(tmp_path)
    bench.opens(PID, "/dev/nvidia-uvm")
    bench.boards[0].listed, bench.boards[0].busy_share = [STRANGER], 97
    energy = bench.charged()
    assert energy.uj == 6 * NET_W * 1e6
    assert energy.lo_uj <= 0
    assert energy.hi_uj > energy.uj
    assert "gpu-users-hidden" in energy.flags


def test_what_a_child_has_open_counts_and_what_may_not_be_read_is_charged_as_if_it_computed(tmp_path):
    for name, targets in (("child", ("/dev/nvidia-uvm",)), ("unreadable", None)):
        bench = GpuBench(tmp_path / name)
        bench.boards[0].busy_share = 97
        bench.proc.process(99, 0.1, start=101, parent=PID)
        if targets:
            bench.opens(99, *targets)
        assert bench.charged().uj == 6 * NET_W * 1e6, name


def test_who_computes_while_the_list_is_empty_is_not_taken_for_nobody(tmp_path):
    bench = GpuBench(tmp_path)
    bench.opens(PID, "/dev/nvidia-uvm")
    energy = bench.charged()  # it says that it is not busy: between two kernels, for all that is known
    assert energy.uj == 6 * NET_W * 1e6
    assert "gpu-users-hidden" in energy.flags


def test_on_a_machine_that_tells_its_users_nothing_is_hidden_and_nothing_flagged(tmp_path):
    for name, listed, expected_j in (("own", [PID], 6 * NET_W), ("other", [STRANGER], 0), ("rest", [], 0)):
        bench = GpuBench(tmp_path / name)
        bench.in_machine_namespace()
        bench.proc.process(STRANGER, 0.1)  # another user's: its files may not be read
        bench.boards[0].listed = listed
        if listed:  # one that is not on the list may have asked for GPUs and use another one, or none
            bench.opens(PID, "/dev/nvidia-uvm")
        energy = bench.charged()
        assert energy.uj == expected_j * 1e6, name
        assert energy.flags == (), name


@pytest.mark.parametrize("mig", [False, True])
def test_a_board_that_tells_nothing_is_flagged_in_every_figure_and_its_limit_widens_it(tmp_path, mig):
    bench = GpuBench(tmp_path, counts=False, mig=mig)
    bench.boards[0].sensor = False
    agent = bench.open()
    taken = agent.take(10**9, request_id="a")
    for _ in range(5):
        bench.second(50.0, own_s=1.0)
        agent.spent(taken.id)
    settlement, sample = agent.settle(taken.id), agent.sample()
    agent.close()
    for figure in (settlement.energy, settlement.machine_net, sample.net, sample.gross, sample.own):
        assert "gpu-without-power" in figure.flags
        assert figure.hi_uj - figure.uj >= 5 * 300 * 1e6
    assert settlement.energy.uj == 150_000_000
    assert settlement.energy.lo_uj > 100_000_000


def test_a_board_that_does_not_answer_widens_every_figure_and_is_metered_once_it_does(
    tmp_path,
):
    bench = GpuBench(tmp_path)
    bench.boards[0].lost = True
    agent = bench.open()
    seconds(bench, agent, 2)
    sample = agent.sample()
    bench.boards[0].lost = False
    seconds(bench, agent, 60)
    found_late(agent, 1)
    agent.close()
    assert "gpu-refused" in sample.net.flags
    assert sample.net.hi_uj - sample.net.uj >= 2 * 300 * 1e6


def test_a_mig_board_that_is_metered_is_charged_to_nobody_for_sure(tmp_path):
    bench = GpuBench(tmp_path, mig=True)
    energy = bench.charged()
    assert (energy.uj, "gpu-users-hidden" in energy.flags) == (0, True)
    assert energy.hi_uj >= 6 * NET_W * 1e6


def test_while_a_gpu_is_lost_its_users_are_those_of_before(tmp_path):
    bench = GpuBench(tmp_path)
    bench.in_machine_namespace()
    bench.boards[0].listed = [PID]
    agent = bench.open()
    taken = agent.take(10**9, request_id="a")
    for second in range(20):
        bench.boards[0].lost = 5 <= second < 8
        bench.second(20.0)
        agent.spent(taken.id)
    energy = agent.settle(taken.id).energy
    agent.close()
    assert "failed-read" in energy.flags
    assert "gpu-users-hidden" not in energy.flags


def found_late(agent, count):
    """The GPUs among the sources of a sample, once there are so many."""

    def look():
        names = [source.name for source in agent.sample().sources if source.kind == "gpu"]
        return names if len(names) == count else None

    return until(look, "the GPU")


def seconds(bench, agent, count):
    for _ in range(count):
        bench.second(20.0)
        agent.sample()
        for thread in threading.enumerate():
            if thread.name == "cryoflux-lookout":
                thread.join()  # it turns the clock too


def test_a_driver_that_comes_after_the_start_is_metered_from_then_on_and_the_gap_is_said(tmp_path):
    bench = GpuBench(tmp_path, driver=False)
    bench.in_machine_namespace()
    bench.boards[0].listed = [PID]
    agent = bench.open()
    taken = agent.take(10**9, request_id="a")
    seconds(bench, agent, 20)
    before = agent.spent(taken.id)
    bench.nvml.driver = True
    seconds(bench, agent, 60)
    assert found_late(agent, 1) == ["nvml:GPU-0"]
    at_j = bench.boards[0].energy_j()
    bench.boards[0].draw(IDLE_W + NET_W)
    seconds(bench, agent, 10)
    drawn_j = bench.boards[0].energy_j() - at_j
    settlement, sample = agent.settle(taken.id), agent.sample()
    again = agent.take(10**9, request_id="b")
    seconds(bench, agent, 5)
    later = agent.settle(again.id).energy
    agent.close()
    assert "gpu-found-late" not in before.flags
    assert drawn_j == pytest.approx(10 * (IDLE_W + NET_W), abs=1)
    assert settlement.energy.uj == pytest.approx(10 * NET_W * 1e6, rel=0.01)
    truth_uj = bench.boards[0].energy_j() * 1e6
    for figure in (settlement.energy, settlement.machine_net, sample.gross):
        assert "gpu-found-late" in figure.flags
        assert figure.hi_uj - figure.uj >= 40 * 300 * 1e6
    assert sample.gross.lo_uj <= truth_uj + bench.energy_uj <= sample.gross.hi_uj
    assert settlement.sources == ("rapl:package-0", "nvml:GPU-0")
    # What was glanced at may have been at work; the gap is over.
    assert later.flags == ("baseline-unsettled",)
    assert later.lo_uj <= 5 * NET_W * 1e6 <= later.hi_uj < 5 * 400 * 1e6


def test_a_board_that_is_added_is_found_beside_the_others_and_their_figures_go_on(tmp_path):
    bench = GpuBench(tmp_path, boards=2)
    late = bench.nvml.boards.pop()
    agent = bench.open()
    inits = bench.nvml.inits
    seconds(bench, agent, 30)
    bench.nvml.boards.insert(0, late)
    seconds(bench, agent, 60)
    assert found_late(agent, 2) == ["nvml:GPU-0", "nvml:GPU-1"]
    seconds(bench, agent, 5)
    first = agent.sample().sources[1]
    agent.close()
    assert bench.nvml.inits == inits
    assert (first.net.uj, first.flags) == (0, ())
    assert bench.nvml.shutdowns == 1


def test_one_that_was_known_before_is_metered_against_its_frozen_baseline(tmp_path):
    bench = GpuBench(tmp_path)
    bench.open().close()
    bench.nvml.driver = False
    agent = bench.open()
    digest = agent.sample().baseline_digest
    bench.nvml.driver = True
    bench.boards[0].draw(IDLE_W + NET_W)
    seconds(bench, agent, 61)
    found_late(agent, 1)
    seconds(bench, agent, 2)
    sample = agent.sample()
    agent.close()
    assert sample.baseline_digest == digest
    assert "baseline-unsettled" not in sample.flags
    assert sample.sources[1].idle_w == pytest.approx(IDLE_W, rel=0.01)


def test_a_look_that_hangs_holds_up_nobody_and_what_is_found_after_the_end_is_let_go(tmp_path):
    bench = GpuBench(tmp_path, driver=False)
    agent = bench.open()
    seconds(bench, agent, 1)
    bench.nvml.driver = True
    bench.nvml.gate = gate = closed_gate()
    for _ in range(200):
        bench.second(20.0)
        agent.sample()
    assert bench.nvml.inits == 2
    agent.close()
    gate.set()
    until(lambda: bench.nvml.shutdowns == 1, "the driver to be let go")


def test_a_gpu_in_use_that_is_lost_is_not_taken_for_a_new_one_that_refuses(tmp_path):
    bench = GpuBench(tmp_path, boards=2)
    agent = bench.open()
    bench.boards[1].lost = True
    seconds(bench, agent, 70)
    flags = agent.sample().flags
    agent.close()
    assert "failed-read" in flags
    assert "gpu-refused" not in flags
