"""What a meter signs beside what its counters moved: honest statements inside, invented ones outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoflux.energy.account.settlement import OldSettlementStatement, read_settlement
from cryoflux.energy.interface import SESSION, Earlier
from cryoflux.verification.counters import beyond_counters, moved_uj
from cryoflux.verification.result import Status
from energy_bench import Bench
from metering import sign
from synthetic_parts import figure
from synthetic_world import FAULTS, TurnedMachine

LOG = "cryoflux.dev/log/0123456789abcdef"
J = 1_000_000
MODELLED = {"tdp_w": "65", "powercap_root": "/nowhere"}

SECOND = st.tuples(
    st.one_of(st.integers(0, 400), st.floats(0, 30)),  # W: 20 of them flow at rest, or so it was learned
    st.integers(0, 10),  # tenths of a second of CPU time of this process
    st.integers(0, 10),  # and of others
    st.booleans(),  # an attempt begins, or ends
)


def said_of(statement: OldSettlementStatement, *, session: bool = False) -> list[tuple[Status, str]]:
    return [(f.status, f.detail) for f in beyond_counters("entry 1", statement, session=session)]


def signed(tmp_path: Path, *, moved_uj: int | None = None, **changes: object) -> OldSettlementStatement:
    return read_settlement(sign(tmp_path, "a0001_0", figure(**changes), moved_uj=moved_uj))


def charges_nothing(statement: OldSettlementStatement) -> bool:
    return statement.charged.hi_microjoules < statement.cpu_microseconds // 100


def check(statements: list[tuple[str, bool]]) -> None:
    for text, session in statements:
        statement = read_settlement(text)
        found = said_of(statement, session=session)
        assert Status.FAIL not in dict(found)
        # A rest that lies under the frozen baseline can hide all that somebody did; that is worth asking.
        assert not found or charges_nothing(statement), found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([{}, MODELLED]), st.lists(SECOND, min_size=1, max_size=40), st.booleans())
def test_what_an_honest_meter_signs_is_never_beyond_its_counters(
    tmp_path_factory: pytest.TempPathFactory, flags: dict[str, str], seconds: list, starts_late: bool
) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"), **flags)
    agent = bench.open()
    agent.grant(10**12, request_id="g", note="")
    earlier = Earlier(3 * J, 5 * 10**9) if starts_late else None
    session = agent.take(10**9, request_id=f"{SESSION}1_0", log=LOG, earlier=earlier)
    attempt, statements = None, []
    for number, (watts, own, others, toggles) in enumerate(seconds):
        if toggles and attempt is None:
            attempt = agent.take(10**9, request_id=f"a_{number}", log=LOG, intent="0" * 64)
        elif toggles:
            statements.append((agent.settle(attempt.id).statement, False))
            attempt = None
        bench.second(watts, own_s=own / 10, busy_s=(own + others) / 10)
        agent.spent(session.id)
    if attempt is not None:
        statements.append((agent.settle(attempt.id).statement, False))
    statements.append((agent.settle(session.id).statement, True))
    agent.close()
    check(statements)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.key)
def test_no_fault_of_a_counter_makes_an_honest_meter_a_liar(tmp_path: Path, fault: object) -> None:
    check([(TurnedMachine(tmp_path, fault).run().settlement.statement, False)])


@pytest.fixture(autouse=True)
def static_counters():
    """These counters move while the clock of their machine is made to wait."""


def test_what_was_charged_is_no_more_than_was_moved(tmp_path: Path) -> None:
    assert said_of(signed(tmp_path, moved_uj=110 * J)) == []
    assert said_of(signed(tmp_path, moved_uj=90 * J)) == [
        (Status.UNKNOWN, "says 100.0 J, but its own counters moved 90.0 J in that time")
    ]
    ((status, detail),) = said_of(signed(tmp_path, moved_uj=80 * J))
    assert status is Status.FAIL
    assert detail == "says 90.0 J or more, but its own counters moved 80.0 J in that time"


def test_a_point_far_above_them_fails_though_the_interval_begins_at_nothing(tmp_path: Path) -> None:
    much = {"microjoules": 5000 * J, "lo_microjoules": 0, "hi_microjoules": 6000 * J}
    assert [status for status, _ in said_of(signed(tmp_path, moved_uj=5 * J, **much))] == [Status.FAIL]


def test_a_charge_of_nearly_nothing_beside_counters_and_cpu_time_is_a_question(tmp_path: Path) -> None:
    for uj, asked in ((1, True), (100_000, True), (10 * J, False)):
        said = {"microjoules": uj, "lo_microjoules": 0, "hi_microjoules": uj, "cpu_microseconds": 72_000_000}
        found = said_of(signed(tmp_path, moved_uj=1000 * J, **said))
        assert [status for status, _ in found] == [Status.UNKNOWN] * asked
    idle = signed(tmp_path, moved_uj=1000 * J, microjoules=1, lo_microjoules=0, hi_microjoules=1,
                  cpu_microseconds=100_000)  # fmt: skip
    assert said_of(idle) == []


@pytest.mark.parametrize(
    "flag", ["wrap", "several-wraps", "metered-across-restart", "failed-read", "unheard-of"]
)
def test_counters_that_turned_or_were_read_badly_bound_nothing(tmp_path: Path, flag: str) -> None:
    assert moved_uj(signed(tmp_path, moved_uj=J, flags=[flag])) is None
    assert said_of(signed(tmp_path, moved_uj=J, flags=[flag])) == []
    assert said_of(signed(tmp_path, moved_uj=J, flags=["gpu-shared"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"last_microjoules": 4},
        {"last_microjoules": None},
        {"first_microjoules": None},
        {"last_epoch": "boot/1"},
        {"source": "another"},
    ],
)
def test_a_counter_that_cannot_be_subtracted_bounds_nothing(tmp_path: Path, changes: dict) -> None:
    statement = signed(tmp_path, moved_uj=J)
    turned = statement.but(counters=[statement.counters[0].but(**changes)])
    assert moved_uj(turned) is None
    assert said_of(turned) == []
    assert moved_uj(statement.but(counters=[])) is None


def test_all_counters_together_count(tmp_path: Path) -> None:
    both = signed(tmp_path, moved_uj=60 * J, sources=["rapl:package-0", "nvml:GPU-1"])
    assert moved_uj(both) == 120 * J
    assert said_of(both) == []
    assert moved_uj(both.but(counters=both.counters[:1])) is None


def test_without_counters_the_net_of_the_machine_is_asked_about(tmp_path: Path) -> None:
    statement = signed(tmp_path, flags=["wrap"])
    net = statement.machine_net.but(microjoules=5 * J, lo_microjoules=0, hi_microjoules=10 * J)
    ((status, detail),) = said_of(statement.but(machine_net=net))
    assert status is Status.UNKNOWN
    assert "its machine drew 10.0 J at most above rest" in detail
