"""RAPL zones: each joule once, whatever is nested, mirrored, named alike, unreadable or loaded anew."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from cryoflux.energy.sources.rapl import find_rapl
from energy_fakes import FakeClock, powercap_zone


def descriptors():
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def names(root, **chosen):
    sources, problems = find_rapl(str(root), FakeClock(), **chosen)
    return [source.name for source in sources], [problem.code for problem in problems]


def laptop(root):
    """The zones of a machine with everything, in the order in which a kernel names them."""
    powercap_zone(root, "intel-rapl:0", "psys", 9_000_000, limit_uw=50_000_000)
    powercap_zone(root, "intel-rapl:1", "package-0", 5_000_000)
    powercap_zone(root, "intel-rapl:1:0", "core")
    powercap_zone(root, "intel-rapl:1:1", "uncore")
    powercap_zone(root, "intel-rapl:1:2", "dram", limit_uw=None)
    powercap_zone(root, "intel-rapl-mmio:0", "package-0")


def make_unreadable(root, *folders):
    for folder in folders:
        (root / folder / "energy_uj").unlink()


def test_by_default_packages_and_memory_count_and_the_platform_does_not(tmp_path):
    laptop(tmp_path)
    assert names(tmp_path) == (["rapl:package-0", "rapl:package-0:dram"], [])


def test_asked_for_the_platform_counts_once_and_nothing_within_it(tmp_path):
    laptop(tmp_path)
    powercap_zone(tmp_path, "intel-rapl-mmio:1", "psys")
    assert names(tmp_path, zones="psys") == (["rapl:psys"], [])


def test_a_platform_zone_that_is_not_there_is_named_and_packages_count(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    assert names(tmp_path, zones="psys") == (["rapl:package-0"], ["no-psys"])


def test_where_only_the_platform_can_be_read_it_counts_and_nothing_is_missing(tmp_path):
    laptop(tmp_path)
    make_unreadable(tmp_path, "intel-rapl:1", "intel-rapl:1:2")
    sources, problems = find_rapl(str(tmp_path), FakeClock())
    assert [source.name for source in sources] == ["rapl:psys"]
    assert sources[0].read().energy_uj == 9_000_000
    assert [(problem.code, problem.max_power_uw) for problem in problems] == [("covered-zone", 0)]


def test_an_unreadable_package_widens_by_what_may_flow_there_and_not_by_its_mirror(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:1", "package-1", limit_uw=150_000_000)
    powercap_zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    make_unreadable(tmp_path, "intel-rapl:1")
    sources, problems = find_rapl(str(tmp_path), FakeClock())
    assert [source.name for source in sources] == ["rapl:package-0"]
    assert [(problem.name, problem.max_power_uw) for problem in problems] == [("rapl:package-1", 300_000_000)]


def test_memory_without_its_package_is_not_taken_for_the_cpu(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl:0:0", "dram")
    make_unreadable(tmp_path, "intel-rapl:0")
    sources, problems = find_rapl(str(tmp_path), FakeClock())
    assert sources == []
    assert [(problem.name, problem.max_power_uw) for problem in problems] == [("rapl:package-0", 0)]


def test_two_packages_of_one_name_both_count_and_a_mirror_does_not(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    powercap_zone(tmp_path, "intel-rapl:1", "package-0", 2_000_000)
    powercap_zone(tmp_path, "intel-rapl-mmio:0", "package-0", 3_000_000)
    sources, _ = find_rapl(str(tmp_path), FakeClock())
    assert [source.read().energy_uj for source in sources] == [1_000_000, 2_000_000]
    assert len({source.name for source in sources}) == 2


@pytest.mark.parametrize("off_uj", [0, 900])
def test_dies_that_show_the_counter_of_their_package_count_once(tmp_path, off_uj):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0-die-0", 70_000_000)
    powercap_zone(tmp_path, "intel-rapl:1", "package-0-die-1", 70_000_000 + off_uj)
    powercap_zone(tmp_path, "intel-rapl:2", "package-1-die-0", 70_000_000)
    assert names(tmp_path) == (["rapl:package-0-die-0", "rapl:package-1-die-0"], [])


def test_dies_that_count_by_themselves_all_count_also_before_any_energy_flowed(tmp_path):
    powercap_zone(tmp_path / "a", "intel-rapl:0", "package-0-die-0", 70_000_000)
    powercap_zone(tmp_path / "a", "intel-rapl:1", "package-0-die-1", 75_000_000)
    powercap_zone(tmp_path / "b", "intel-rapl:0", "package-0-die-0", 0)
    powercap_zone(tmp_path / "b", "intel-rapl:1", "package-0-die-1", 0)
    for root in ("a", "b"):
        assert names(tmp_path / root)[0] == ["rapl:package-0-die-0", "rapl:package-0-die-1"]


def test_memory_is_found_below_the_devices_folder_and_links_are_not_followed_in_circles(tmp_path):
    powercap_zone(tmp_path, "intel-rapl/intel-rapl:0", "package-0")
    powercap_zone(tmp_path, "intel-rapl/intel-rapl:0/intel-rapl:0:0", "dram")
    (tmp_path / "intel-rapl/intel-rapl:0/subsystem").symlink_to(tmp_path)
    (tmp_path / "intel-rapl/intel-rapl:0/device").symlink_to(tmp_path / "intel-rapl")
    assert names(tmp_path) == (["rapl:package-0", "rapl:package-0:dram"], [])


def test_a_folder_without_zones_says_so(tmp_path):
    assert names(tmp_path) == ([], ["no-powercap"])
    assert names(tmp_path / "nowhere") == ([], ["no-powercap"])


@pytest.mark.parametrize("text", ["", "-5\n", "many\n", "0x10\n", "1.5\n"])
def test_what_is_no_counter_value_is_a_failed_read(tmp_path, text):
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 7)
    (source,), _ = find_rapl(str(tmp_path), FakeClock())
    (zone / "energy_uj").write_text(text)
    assert source.read().energy_uj is None
    (zone / "energy_uj").write_text("8\n")
    assert source.read().energy_uj == 8


def test_a_counter_of_unknown_range_is_named(tmp_path):
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 7)
    (zone / "max_energy_range_uj").unlink()
    (source,), (problem,) = find_rapl(str(tmp_path), FakeClock())
    assert source.range_uj is None
    assert (problem.code, problem.max_power_uw) == ("no-counter-range", 0)


def test_a_driver_that_was_loaded_anew_is_another_epoch(tmp_path):
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 900)
    (source,), _ = find_rapl(str(tmp_path), FakeClock())
    before, again = source.read(), source.read()
    assert again.epoch == before.epoch
    (zone / "energy_uj").unlink()
    assert source.read().energy_uj is None
    (zone / "energy_uj").write_text("1000\n")
    after = source.read()
    assert after.energy_uj == 1000
    assert after.epoch != before.epoch


def test_a_file_put_in_the_place_of_the_zones_is_another_epoch(tmp_path):
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 900)
    (source,), _ = find_rapl(str(tmp_path), FakeClock())
    before = source.read()
    (tmp_path / "new").write_text("950\n")
    (tmp_path / "new").replace(zone / "energy_uj")
    after = source.read()
    assert after.energy_uj == 950
    assert after.epoch != before.epoch


def test_a_read_goes_on_without_free_descriptors(tmp_path):
    zone = powercap_zone(tmp_path, "intel-rapl:0", "package-0", 900)
    (source,), _ = find_rapl(str(tmp_path), FakeClock())
    source.read()
    (zone / "energy_uj").write_text("901\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.open(zone / "energy_uj", os.O_RDONLY)
        reading = source.read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert reading.energy_uj == 901


def test_what_is_closed_or_not_counted_holds_no_descriptor(tmp_path):
    laptop(tmp_path)
    before = descriptors()
    sources, _ = find_rapl(str(tmp_path), FakeClock())
    assert len(descriptors()) == len(before) + len(sources)
    for source in sources:
        source.close()
    assert descriptors() == before


def test_memory_beside_the_packages_is_named_and_counted(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(tmp_path, "intel-rapl:1", "dram", 40_000_000)
    powercap_zone(tmp_path, "intel-rapl:2", "dram", 90_000_000)
    sources, problems = find_rapl(str(tmp_path), FakeClock())
    assert [(source.name, source.kind) for source in sources] == [
        ("rapl:package-0", "cpu"),
        ("rapl:dram", "dram"),
        ("rapl:dram@intel-rapl:2", "dram"),
    ]
    assert sources[1].read().energy_uj == 40_000_000
    assert problems == []
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    _, (missed,) = find_rapl(str(tmp_path), FakeClock())
    assert (missed.name, missed.code, missed.max_power_uw) == ("rapl:dram", "unreadable-zone", 200_000_000)


def test_memory_that_is_shown_in_its_package_and_beside_it_counts_once(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    powercap_zone(tmp_path, "intel-rapl:0:0", "dram", 40_000_000)
    powercap_zone(tmp_path, "intel-rapl:1", "dram", 40_000_000)
    assert len(names(tmp_path)[0]) == 2


def test_memory_alone_at_the_top_is_not_taken_for_the_cpu(tmp_path):
    powercap_zone(tmp_path, "intel-rapl:0", "dram", 40_000_000)
    assert names(tmp_path)[0] == []
