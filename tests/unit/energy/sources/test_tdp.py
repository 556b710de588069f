"""Thermal design power: as stated, from the CPU's name or family, or a guess; each with what is plausible."""

from __future__ import annotations

import csv
import tracemalloc

import pytest

from cryoflux.energy.processes import MachineTimes
from cryoflux.energy.sources.cpu_model import CONCAVE_V1, CpuModelSource, tdp_here
from cryoflux.energy.sources.cpu_power import FAMILIES, MODELS, brand_key, find_family, find_model
from cryoflux.energy.sources.tdp import find_tdp, guessed_tdp, possible_tdps, stated_tdp
from energy_fakes import FakeClock, FakeProc

MICRO = 1_000_000
INTEL = "GenuineIntel"


def cpuinfo(name="AMD EPYC", vendor="AuthenticAMD", family=25, model=17, siblings=2, flags="fpu hypervisor"):
    return (
        f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
        f"model name\t: {name}\nsiblings\t: {siblings}\nflags\t\t: {flags}\n\n"
        "processor\t: 1\nmodel name\t: something else\n\n"
    )


def arm(*cores):
    return "".join(
        f"processor\t: {number}\nBogoMIPS\t: 50.00\nCPU implementer\t: {maker}\nCPU part\t: {part}\n\n"
        for number, (maker, part) in enumerate(cores)
    )


def bare(name, siblings, cpus=None, **numbers):
    return find_tdp(cpuinfo(name, siblings=siblings, flags="fpu", **numbers), cpus or siblings)


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(line for line in stream if not line.startswith("#")))


def width(error):
    return error[1] / error[0]


@pytest.mark.parametrize(
    ("name", "siblings", "limit_w"),
    [
        ("13th Gen Intel(R) Core(TM) i9-13900K", 32, 253),
        ("12th Gen Intel(R) Core(TM) i9-12900KF", 24, 241),
        ("Intel(R) Core(TM) Ultra 9 285K", 24, 250),
        ("AMD Ryzen 9 7950X 16-Core Processor", 32, 230),
        ("AMD Ryzen 9 5950X 16-Core Processor", 32, 142),
        ("AMD Ryzen 7 9800X3D 8-Core Processor", 16, 162),
        ("AMD EPYC 9754 128-Core Processor", 256, 360),
        ("AMD EPYC 9754 128-Core Processor", 256, 400),
    ],
)
def test_what_a_processor_may_draw_at_full_load_is_plausible(name, siblings, limit_w):
    found = bare(name, siblings)
    assert found.source.startswith(f"model {brand_key(name)}")
    idle_w, full_w = (CONCAVE_V1.share(load) * found.watts for load in (0, 1))
    net_w = full_w - idle_w
    for truly_idle_w in (0, idle_w):
        assert found.error[0] * net_w <= limit_w - truly_idle_w <= found.error[1] * net_w


def test_a_virtual_machine_answers_for_its_share_of_the_socket():
    whole = bare("AMD EPYC 9654 96-Core Processor", 192)
    share = find_tdp(cpuinfo("AMD EPYC 9654 96-Core Processor", siblings=2), 2)
    assert whole.watts == pytest.approx(360)
    assert share.watts == pytest.approx(360 / 192 * 2)
    assert share.error == whole.error


def test_with_hyper_threading_off_the_whole_socket_is_still_the_whole_socket():
    assert bare("AMD EPYC 9654 96-Core Processor", 96).watts == 360


def test_fewer_than_half_of_the_threads_are_a_slice_whether_or_not_a_hypervisor_owns_up_to_it():
    assert bare("AMD EPYC 9754 128-Core Processor", 1, 32).watts == pytest.approx(360 / 256 * 32)
    assert bare("AMD EPYC 9654 96-Core Processor", 95).watts == pytest.approx(360 / 192 * 95)
    # Of this one the table has no threads: two cannot be all that share 205 W.
    sliced = bare("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", 2, vendor=INTEL, family=6, model=106)
    assert sliced.source.startswith("family Xeon Scalable 3")
    assert sliced.watts < 10


def test_two_sockets_have_twice_the_power_of_one():
    assert bare("INTEL(R) XEON(R) PLATINUM 8592+", 128, 256).watts == pytest.approx(700)
    assert bare("Intel(R) Xeon(R) Gold 6226R CPU @ 2.90GHz", 32, 64).watts == pytest.approx(300)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz", "model xeon platinum 8259cl"),
        ("Intel(R) Xeon(R) CPU E5-2686 v4 @ 2.30GHz", "model xeon e5-2686 v4"),
        ("11th Gen Intel(R) Core(TM) i7-1165G7 @ 2.80GHz", "model core i7-1165g7"),
        ("AMD Ryzen 9 5950X 16-Core Processor", "model ryzen 9 5950x"),
        ("AMD Ryzen 9 5950XY 16-Core Processor", "family"),
        ("AMD EPYC", "family EPYC 9004"),
        ("AMD EPYC-Genoa Processor", "family EPYC 9004"),
        ("EPYC,360", "family"),
        ("9654", "family"),
        ("#", "family"),
        ("name", "family"),
        ("# name", "family"),
    ],
)
def test_a_name_is_known_whole_or_not_at_all(name, found):
    assert find_tdp(cpuinfo(name), 2).source.startswith(found)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("AMD Ryzen 7 7840U w/ Radeon  780M Graphics", "ryzen 7 7840u"),
        ("AMD Ryzen 7 5700G with Radeon Graphics", "ryzen 7 5700g"),
        ("AMD Ryzen 7 1700 Eight-Core Processor", "ryzen 7 1700"),
        ("AMD Ryzen Threadripper PRO 5995WX 64-Cores", "ryzen threadripper pro 5995wx"),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "ryzen ai max+ 395"),
        ("Intel(R) N100", "n100"),
        ("Intel(R) Xeon(R) Silver 4114 CPU @ 2.20GHz", "xeon silver 4114"),
    ],
)
def test_names_as_linux_shows_them_are_in_the_table(name, key):
    assert find_model(name).key == key


@pytest.mark.parametrize(
    ("vendor", "family", "model", "name"),
    [
        (INTEL, 6, 207, "Emerald Rapids"),
        (INTEL, 6, 173, "Granite Rapids"),
        (INTEL, 6, 170, "Meteor Lake"),
        (INTEL, 6, 198, "Arrow Lake"),
        (INTEL, 6, 189, "Lunar Lake"),
        ("AuthenticAMD", 25, 160, "Bergamo"),
        ("AuthenticAMD", 26, 68, "Granite Ridge"),
        ("AuthenticAMD", 26, 36, "Strix Point"),
    ],
)
def test_a_masked_name_is_known_by_its_numbers(vendor, family, model, name):
    assert name in find_tdp(cpuinfo("-", vendor=vendor, family=family, model=model), 2).source


@pytest.mark.parametrize(
    ("cores", "name", "watts"),
    [
        ([("0x41", "0xd0c")] * 80, "Neoverse N1", 210),  # Ampere Altra Q80-30
        ([("0x41", "0xd40")] * 64, "Neoverse V1", 100),
        ([("0x41", "0xd4f")] * 144, "Neoverse V2", 500),  # Grace, two of them with their memory
        ([("0x6d", "0xd49")] * 8, "Neoverse N2", 12),
        ([("0xc0", "0xac3")] * 192, "AmpereOne", 350),
        ([("0x41", "0xd08")] * 4, "Cortex-A72", 7.5),
        ([("0x41", "0xd0b")] * 4, "Cortex-A76", 12),
        ([("0x61", "0x000")] * 8, "Apple", 22),  # M2, from within a virtual machine
        ([("0x61", "0x022")] * 4 + [("0x61", "0x023")] * 4, "Apple", 10),  # M1
    ],
)
def test_arm_cores_are_known_by_maker_and_part(cores, name, watts):
    found = find_tdp(arm(*cores), len(cores))
    assert name in found.source
    assert found.error[0] * found.watts <= watts <= found.error[1] * found.watts


def test_an_unknown_core_beside_known_ones_is_not_taken_for_one_of_them():
    assert find_tdp(arm(("0x41", "0xd0b"), ("0x41", "0xfff")), 2).source == "guess"


def test_one_number_may_stand_for_two_families_which_the_name_tells_apart():
    server = find_tdp(cpuinfo("AMD EPYC 7262 8-Core Server", family=23, model=49), 2)
    desktop = find_tdp(cpuinfo("AMD Ryzen Threadripper 3960Y", family=23, model=49), 2)
    assert "EPYC 7002" in server.source
    assert "Threadripper" in desktop.source
    masked = find_tdp(cpuinfo("Intel Xeon Processor (Skylake, IBRS)", vendor=INTEL, family=6, model=85), 2)
    assert "Xeon Scalable" in masked.source


@pytest.mark.parametrize(
    "text", ["", "\n\n", "model name", cpuinfo(family=99), cpuinfo(vendor="HygonGenuine"), "CPU implementer"]
)
def test_what_is_not_known_is_a_guess_and_says_so(text):
    assert find_tdp(text, 4) == guessed_tdp(4)
    assert guessed_tdp(4).watts == 24
    assert guessed_tdp(4).source == "guess"


def test_ranges_are_as_wide_as_what_they_rest_on():
    guess = guessed_tdp(2).error
    for row in rows(FAMILIES):
        part = row["models"].split()[0].replace("*", "0x000")
        if row["vendor"] == "arm":
            found = find_tdp(arm(*[(row["family"], part)] * 2), 2)
        else:
            word = row["words"].split(";")[0] or "-"
            found = find_tdp(cpuinfo(word, vendor=row["vendor"], family=row["family"], model=part), 2)
        assert row["name"] in found.source
        assert found.watts == pytest.approx(2 * float(row["median_w"]))
        assert found.error[0] <= 0.7
        assert found.error[1] >= 1.3
        assert width((0.7, 1.3)) < width(found.error) < width(guess)


def test_the_rows_are_possible_processors_and_found_by_their_own_names():
    models = rows(MODELS)
    assert len({row["name"] for row in models}) == len(models) > 2000
    for row in models:
        assert brand_key(row["name"]) == row["name"]
        assert 2 <= float(row["tdp_w"]) <= float(row["limit_w"]) <= 650
        if row["threads"]:
            assert 1 <= float(row["tdp_w"]) / int(row["threads"]) <= 25, row
    for row in models[::97]:
        assert find_model(row["name"]).tdp_w == float(row["tdp_w"])
    for row in rows(FAMILIES):
        assert float(row["low_w"]) <= float(row["median_w"]) <= float(row["high_w"])
        assert float(row["limit"]) >= 1
        assert row["source"] in {"boavizta", "models", "stated", "vague"}


def test_the_licence_of_the_listed_powers_lies_in_the_table():
    head = MODELS.read_text("utf-8").partition("name,tdp_w")[0]
    assert "codecarbon 3.3.2" in head
    assert "Permission is hereby granted, free of charge" in head


def test_nothing_of_the_tables_is_held_once_a_tdp_was_found():
    text = cpuinfo("AMD EPYC 9654 96-Core Processor", siblings=192, flags="fpu")
    find_tdp(text, 192)
    tracemalloc.start()
    kept = find_tdp(text, 192)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept.watts
    assert held < 10_000 < peak < 2_000_000


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


def test_a_stated_tdp_keeps_the_power_limit_of_the_processor_that_it_is_of():
    known = bare("13th Gen Intel(R) Core(TM) i9-13900K", 32)
    assert stated_tdp(125, known).error == known.error
    assert stated_tdp(65).error[1] * 0.9 >= 1.35


def test_a_state_goes_on_with_the_tdp_that_it_was_frozen_with_and_the_range_of_the_best_one(tmp_path):
    text = cpuinfo("AMD EPYC 9754 128-Core Processor", model=160, siblings=256, flags="fpu")
    model, family, guess = possible_tdps(text, 256)
    assert (model.watts, guess.watts) == (360, 1536)
    for before in (model, family, guess):
        frozen_uw = int(CONCAVE_V1.share(0) * before.watts * MICRO)
        after = tdp_here(text, 256, frozen_uw)
        assert (after.watts, after.source) == (before.watts, before.source)
        assert after.error[0] <= 1 <= after.error[1]
        assert after.error[0] * after.watts <= 360 <= after.error[1] * after.watts
    assert tdp_here(text, 256) == model
    stated_idle_uw = int(CONCAVE_V1.share(0) * 65 * MICRO)
    assert tdp_here(text, 256, stated_idle_uw) == model


def test_an_unknown_family_has_no_row():
    assert find_family("AuthenticAMD", "99", "1") is None
    assert find_family("", "", "") is None
