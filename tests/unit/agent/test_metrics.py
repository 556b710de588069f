"""The text that Prometheus reads: valid whatever a device is called, and counters that never fall."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from cryoflux.agent.prometheus import METRICS, Metrics
from cryoflux.energy.account.ledger import Standing
from cryoflux.energy.interface import Sample, SourceSample
from cryoflux.energy.owner_times import OwnerName
from cryoflux.quantities import Energy, Tier

ODD = 'a "quoted" \\ name\nof two lines'


def energy(uj):
    return Energy(uj, uj - 5, uj + 5, Tier.COUNTER)


class Meter:
    def __init__(self, *own, named=()):
        self.own = list(own)
        self.named = None if named is None else list(named)

    def sample(self):
        source = SourceSample(ODD, "gpu", Tier.COUNTER, 12.5, 3.25, energy(7_000_000), energy(-2_000_000), ())
        return Sample(
            ts=0.0,
            cpu_w=0.0,
            gpu_w=12.5,
            idle_cpu_w=0.0,
            idle_gpu_w=3.25,
            net_w=9.25,
            bucket_uj=-1,
            gross=energy(7_000_000),
            net=energy(-2_000_000),
            own=self.own.pop(0),
            sources=(source,),
            baseline_digest="",
            baseline_state="settled",
            flags=("gap", 'odd "flag"'),
        )

    def owners(self):
        return self.named

    def standing(self):
        return Standing(-1, 5_000_000, 3)


def rows(text):
    return {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_device_of_any_name_and_a_negative_figure_are_read_back_as_they_were():
    found = rows(Metrics(Meter(energy(1))).render())
    assert set(found) == set(METRICS)
    assert found["cryoflux_energy_joules_total"] == ({"device": ODD, "tier": "counter"}, 7.0)
    assert found["cryoflux_net_energy_joules"][1] == -2.0
    assert found["cryoflux_bucket_joules"] == ({}, -1e-6)
    assert found["cryoflux_reserved_joules"] == ({}, 5.0)
    assert found["cryoflux_reservations_open"] == ({}, 3.0)
    assert found["cryoflux_meter_flags"] == ({"flag": 'odd "flag"'}, 1.0)


def test_owners_of_any_name_are_read_back_and_with_the_others_they_are_the_whole():
    named = [(OwnerName("process-group", "42", ODD), 3_000_001), (OwnerName("cgroup", "/a b", ""), -7)]
    (family,) = (
        family
        for family in text_string_to_metric_families(Metrics(Meter(energy(1), named=named)).render())
        if family.name == "cryoflux_owner_net_energy_joules"
    )
    found = [(tuple(sample.labels.values()), round(sample.value * 1e6)) for sample in family.samples]
    assert found[:2] == [(tuple(name), uj) for name, uj in named]
    assert found[2] == (("other", "", ""), -2_000_000 - 3_000_001 + 7)
    assert sum(uj for _, uj in found) == -2_000_000
    assert "cryoflux_owner_net_energy_joules{" not in Metrics(Meter(energy(1), named=None)).render()


def test_the_daemons_own_joules_never_fall_and_are_left_out_where_they_are_unknown():
    metrics = Metrics(Meter(energy(5_000_000), energy(4_000_000), energy(6_000_000), None))
    shown = [rows(metrics.render())["cryoflux_self_energy_joules_total"][1] for _ in range(3)]
    assert shown == [5.0, 5.0, 6.0]
    assert "cryoflux_self_energy_joules_total" not in rows(metrics.render())
