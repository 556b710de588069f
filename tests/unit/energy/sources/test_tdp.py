"""Thermal design power: as stated, from the CPU's name or family, or a guess; each with its interval."""

from __future__ import annotations

import pytest

from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource, tdp_here
from cryoflux.energy.sources.tdp import _FAMILIES, _MODELS, find_tdp, guessed_tdp, stated_tdp
from energy_fakes import FakeClock, FakeProc

MICRO = 1_000_000


def cpuinfo(name="AMD EPYC", vendor="AuthenticAMD", family=25, model=17, siblings=2, flags="fpu hypervisor"):
    return (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        f"model name\t: {name}\nsiblings\t: {siblings}\nflags\t\t: {flags}\n\n"
        "processor\t: 1\nmodel name\t: something else\n\n"
    )


def width(error):
    return error[1] / error[0]


def test_a_virtual_machine_answers_for_its_share_of_the_socket():
    whole = find_tdp(cpuinfo("AMD EPYC 9654 96-Core Processor", siblings=192, flags="fpu"), 192)
    share = find_tdp(cpuinfo("AMD EPYC 9654 96-Core Processor", siblings=2), 2)
    assert whole.watts == pytest.approx(360)
    assert share.watts == pytest.approx(360 / 192 * 2)
    assert share.error == whole.error == stated_tdp(1).error


def test_with_hyper_threading_off_the_whole_socket_is_still_the_whole_socket():
    assert find_tdp(cpuinfo("AMD EPYC 9654 96-Core Processor", siblings=96, flags="fpu"), 96).watts == 360


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "model Xeon Platinum 8259CL"),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "model Xeon E5-2686 v4"),
        ("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", "model Core i7-1165G7"),
        ("AMD Ryzen 9 5950X 16-Core Processor", "model Ryzen 9 5950X"),
        ("AMD Ryzen 9 5950XT 16-Core Processor", "family"),
        ("AMD EPYC", "family EPYC 9004"),
    ],
)
def test_a_name_is_known_whole_or_not_at_all(name, found):
    assert find_tdp(cpuinfo(name), 2).source.startswith(found)


def test_one_number_may_stand_for_two_families_which_the_name_tells_apart():
    server = find_tdp(cpuinfo("AMD EPYC 7262 8-Core Processor", family=23, model=49), 2)
    desktop = find_tdp(cpuinfo("AMD Ryzen Threadripper 3960X", family=23, model=49), 2)
    assert "EPYC 7002" in server.source
    assert "Threadripper" in desktop.source
    masked = find_tdp(
        cpuinfo("Intel Xeon Processor (Skylake, IBRS)", vendor="GenuineIntel", family=6, model=85), 2
    )
    assert "Xeon Scalable" in masked.source


@pytest.mark.parametrize(
    "text", ["", "\n\n", "model name", cpuinfo(family=99), cpuinfo(vendor="HygonGenuine")]
)
def test_what_is_not_known_is_a_guess_and_says_so(text):
    assert find_tdp(text, 4) == guessed_tdp(4)
    assert guessed_tdp(4).watts == 24
    assert guessed_tdp(4).source == "guess"


def test_intervals_are_as_wide_as_what_they_rest_on():
    stated, guess = stated_tdp(65).error, guessed_tdp(2).error
    for row in _FAMILIES:
        model = row.models[0]
        name = row.words[0] if row.words else "-"
        found = find_tdp(cpuinfo(name, vendor=row.vendor, family=row.family, model=model), 2)
        assert row.name in found.source
        assert found.watts == pytest.approx(2 * row.median_w)
        assert row.low_w <= row.median_w <= row.high_w
        assert found.error[0] <= stated[0]
        assert found.error[1] >= stated[1]
        assert width(stated) < width(found.error) < width(guess)


def test_the_rows_are_possible_processors():
    for name, (watts, threads) in _MODELS.items():
        assert 1 <= watts / threads <= 20, name


def test_the_model_takes_the_setting_before_the_table_and_the_table_before_the_guess(tmp_path):
    times = MachineTimes(str(FakeProc(tmp_path).root), frozenset({0, 1}))
    row = find_tdp(cpuinfo(), 2)
    stated = CpuModelSource(times, FakeClock(), tdp_w=65, tdp=row)
    found = CpuModelSource(times, FakeClock(), tdp=row)
    guessed = CpuModelSource(times, FakeClock())
    assert [source.tdp_w for source in (stated, found, guessed)] == [65, row.watts, 12]
    assert [source.tdp_source for source in (stated, guessed)] == ["setting", "guess"]
    assert found.tdp_source == row.source
    assert found.gain_error == row.error
    assert [source.guessed for source in (stated, found, guessed)] == [False, False, True]


def test_a_state_that_was_frozen_with_the_guess_goes_on_with_it(tmp_path):
    times = MachineTimes(str(FakeProc(tmp_path).root), frozenset({0, 1}))
    before = CpuModelSource(times, FakeClock())
    after = CpuModelSource(times, FakeClock(), tdp=tdp_here(cpuinfo(), 2, before.idle_uw))
    assert after.idle_uw == before.idle_uw
    assert after.gain_error == before.gain_error
    assert tdp_here(cpuinfo(), 2).watts != before.tdp_w
    stated_idle_uw = int(CONCAVE_V1.share(0) * 65 * MICRO)
    assert tdp_here(cpuinfo(), 2, stated_idle_uw) == find_tdp(cpuinfo(), 2)
