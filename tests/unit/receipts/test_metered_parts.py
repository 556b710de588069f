"""A figure of several meters is the exact sum of its parts, in one spelling, whatever order they came in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.attempt.metered_parts import lost_part, never_begun, own_part, signed_part
from cryoflux.errors import VerificationError
from cryoflux.quantities import SO_FAR, Energy, Tier
from cryoflux.receipts.charged import (
    MOST_PARTS,
    PARTS_BYTES,
    EnergyFigure,
    MeteredPart,
    bytes_of_parts,
)
from cryoflux.receipts.decoding import parse_statement
from cryoflux.receipts.flat_parts import flat_parts
from cryoflux.receipts.session import SessionStatement
from cryoflux.report.attempt_words import parts_text
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.envelope import parse_envelope, sign_document
from cryoflux.verification.metered import of_session
from cryoflux.verification.possible import impossible
from metering import meter_key, sign
from synthetic_parts import digest_of, figure
from synthetic_state import open_state

FLAGS = ("baseline-drift", "gpu-shared", "start-unmetered", SO_FAR)
SOURCES = ("cpu-model", "nvml:0", "rapl:package-0")
UJ = st.integers(0, 10**14)


@st.composite
def part(draw: st.DrawFn, worker: str) -> MeteredPart:
    low, middle, high = sorted(draw(st.lists(UJ, min_size=3, max_size=3)))
    return MeteredPart(
        worker=worker,
        boot=draw(st.sampled_from(["", "b1", "b2"])),
        microjoules=middle,
        lo_microjoules=low,
        hi_microjoules=high,
        reserved_microjoules=draw(UJ),
        tier=draw(st.sampled_from(list(Tier))),
        sources=draw(st.lists(st.sampled_from(SOURCES), max_size=3)),
        baseline=digest_of(draw(st.sampled_from("ab"))),
        curve=draw(st.sampled_from(["", "concave/v1"])),
        flags=sorted(draw(st.sets(st.sampled_from(FLAGS)))),
        cpu_microseconds=draw(UJ),
        settlement=draw(st.sampled_from(["", "signed"])),
    )


@st.composite
def fleets(draw: st.DrawFn, least: int = 1) -> list[MeteredPart]:
    names = draw(st.sets(st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,8}\Z"), min_size=least, max_size=6))
    parts = [draw(part(name)) for name in ("", *names)]
    return draw(st.permutations(parts))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionStatement:
    made = open_state(tmp_path_factory.mktemp("of") / "state")
    made.attempt(0.05)
    said = made.session()
    made.finish()
    assert isinstance(said.statement, SessionStatement)
    return said.statement


def with_energy(session: SessionStatement, energy: EnergyFigure) -> SessionStatement:
    return session.but(predicate=session.predicate.but(energy=energy))


@given(fleets())
def test_every_amount_is_the_exact_sum_and_all_else_what_parts_say(parts: list[MeteredPart]) -> None:
    said = EnergyFigure.of_parts(parts)
    total = Energy.total(one.energy for one in parts)
    assert total is not None
    assert said.energy == total
    assert said.reserved_microjoules == sum(one.reserved_microjoules for one in parts)
    assert said.cpu_microseconds == sum(one.cpu_microseconds for one in parts)
    assert set(said.sources) == {name for one in parts for name in one.sources}
    assert (said.baseline, said.curve) == (said.own.baseline, said.own.curve)
    assert said.own.worker == ""
    assert said.settlement == ""
    assert sorted(said.by_meter, key=lambda one: one.worker) == sorted(parts, key=lambda one: one.worker)
    assert said == EnergyFigure.of_parts(parts[::-1])


@given(fleets())
def test_it_is_read_back_from_the_bytes_that_are_signed(
    session: SessionStatement, parts: list[MeteredPart]
) -> None:
    said = with_energy(session, EnergyFigure.of_parts(parts))
    assert parse_statement(canonical_bytes(said)) == (said, 1)


@given(fleets(), st.data())
def test_one_microjoule_more_or_less_anywhere_is_no_sum_any_more(
    session: SessionStatement, parts: list[MeteredPart], data: st.DataObject
) -> None:
    def complaints(energy: EnergyFigure) -> list[str]:
        entry = SimpleNamespace(name="entry 1")
        return list(impossible(of_session(entry, session.predicate.but(energy=energy))))

    said = EnergyFigure.of_parts(parts)
    assert complaints(said) == []
    amounts = ("microjoules", "lo_microjoules", "hi_microjoules", "reserved_microjoules", "cpu_microseconds")
    name, step = data.draw(st.sampled_from(amounts)), data.draw(st.sampled_from([-1, 1]))
    assert any(
        "than its parts come to" in found
        for found in complaints(said.but(**{name: getattr(said, name) + step}))
    )
    at = data.draw(st.integers(0, len(parts) - 1))
    changed = said.parts[at].but(**{name: getattr(said.parts[at], name) + step})
    torn = said.but(parts=[*said.parts[:at], changed, *said.parts[at + 1 :]])
    assert any("than its parts come to" in found for found in complaints(torn))


def test_one_part_alone_is_the_figure_that_it_was(tmp_path: Path) -> None:
    said = figure(settlement=sign(tmp_path, "a0001_0", figure()), sources=["b", "a"])
    own = own_part(said)
    assert own.boot == "boot"
    assert EnergyFigure.of_parts([own]) == said
    assert said.by_meter == (own.but(boot=""),)


@pytest.mark.parametrize("workers", [[], ["w1"], ["w1", "w2"], ["", "w1", "w1"], ["", ""]])
def test_without_a_coordinator_or_with_one_worker_twice_there_is_no_figure(workers: list[str]) -> None:
    parts = [lost_part(worker, 5, boot="", baseline=digest_of("b")) for worker in workers]
    with pytest.raises(ValueError, match="one of the coordinator's"):
        EnergyFigure.of_parts(parts)


REFUSED = {
    "one part alone": [""],
    "more than there can be": ["", *(f"w{number:02}" for number in range(MOST_PARTS))],
    "a name with a slash": ["", "w/1"],
    "a name in capitals": ["", "W1"],
    "a name with a line feed": ["", "w1\n"],
    "a name that is too long": ["", "w" * 65],
}


@pytest.mark.parametrize("kind", REFUSED)
def test_parts_that_have_another_form_are_refused(kind: str, session: SessionStatement) -> None:
    parts = [lost_part(worker, 5, boot="", baseline=digest_of("b")) for worker in REFUSED[kind]]
    with pytest.raises(VerificationError):
        parse_statement(rfc8785.dumps(with_energy(session, figure(parts=parts)).plain()))


def test_no_parts_are_left_out_of_the_bytes(session: SessionStatement) -> None:
    assert b'"parts"' not in canonical_bytes(session)


# ---- What a worker's meter signed -------------------------------------------------------------------------


def test_a_part_is_what_its_meter_signed_and_nothing_else(tmp_path: Path) -> None:
    said = figure(flags=["gpu-shared"])
    part = signed_part("w1", sign(tmp_path, "a0001_0", said))
    assert (part.worker, part.boot, part.flags, part.energy) == ("w1", "boot", ["gpu-shared"], said.energy)
    assert part.reserved_microjoules == said.reserved_microjoules
    with pytest.raises(VerificationError):
        signed_part("w1", part.settlement.replace('"sig":"', '"sig":"A', 1))


def test_after_a_last_word_all_that_was_lent_may_have_been_spent(tmp_path: Path) -> None:
    low = {"microjoules": 10, "lo_microjoules": 9, "hi_microjoules": 11, "reserved_microjoules": 50}
    part = signed_part("w1", sign(tmp_path, "a0001_0", figure(**low, flags=[SO_FAR])))
    assert (part.microjoules, part.hi_microjoules) == (10, 50)
    more = {**low, "hi_microjoules": 70}
    assert signed_part("w1", sign(tmp_path, "a", figure(**more, flags=[SO_FAR]))).hi_microjoules == 70


def test_of_a_worker_without_a_word_the_upper_end_is_what_was_lent() -> None:
    lost = lost_part("w1", 50, boot="b", baseline=digest_of("b"))
    assert (lost.microjoules, lost.hi_microjoules, lost.flags) == (0, 50, ["worker-lost"])
    assert lost.tier is Tier.MODELLED
    never = never_begun("w1", 50, baseline=digest_of("b"))
    assert (never.hi_microjoules, never.reserved_microjoules, never.flags) == (0, 50, ["never-reserved"])


def test_whatever_no_meter_told_to_its_end_is_known_as_well_as_modelled(tmp_path: Path) -> None:
    counted = {"tier": Tier.COUNTER, "flags": []}
    own = signed_part("", sign(tmp_path, "a", figure(**counted)))
    word = signed_part("w1", sign(tmp_path, "a", figure(**{**counted, "flags": [SO_FAR]})))
    final = signed_part("w1", sign(tmp_path, "a", figure(**counted)))
    assert EnergyFigure.of_parts([own, final]).known_tier is Tier.COUNTER
    assert EnergyFigure.of_parts([own, word]).known_tier is Tier.MODELLED


# ---- Room -------------------------------------------------------------------------------------------------


def test_a_dozen_workers_fit_into_an_entry(tmp_path: Path, session: SessionStatement) -> None:
    """With the name of a log and boot ids of the length that they have, three flags."""
    log, boot = "cryoflux.dev/0123456789abcdef", "01ce066b-b930-448d-8726-fa0416d53c6d"
    run = "session/0123456789abcdef_1796042449_12345"
    large = dict.fromkeys(("microjoules", "lo_microjoules", "hi_microjoules", "cpu_microseconds"), 10**12)
    said = figure(**large, flags=["baseline-drift", "baseline-unsettled", "start-unmetered"])
    names = ["", *(f"w{number}" for number in range(12))]
    parts = [signed_part(name, sign(tmp_path / name, run, said, log=log)).but(boot=boot) for name in names]
    assert bytes_of_parts(parts) < PARTS_BYTES
    key = Ed25519PrivateKey.generate()
    content = sign_document(with_energy(session, EnergyFigure.of_parts(parts)), key)
    assert len(parse_envelope(content).payload) < 34_000


# ---- What is shown ----------------------------------------------------------------------------------------


def test_each_part_is_shown_with_its_meter(tmp_path: Path) -> None:
    own = signed_part("", sign(tmp_path / "own", "a0001_0", figure()))
    lost = lost_part("w1", 50_000_000, boot="", baseline=digest_of("b"))
    shown = flat_parts(EnergyFigure.of_parts([own, lost]))
    assert shown is not None
    assert [(one["worker"], one["joules"], one["joules_hi"]) for one in shown] == [
        (None, 100.0, 110.0),
        ("w1", 0.0, 50.0),
    ]
    text = parts_text(shown)
    keyid = parse_envelope(own.settlement.encode(), "application/vnd.cryoflux.settlement+json").keyid
    assert f"coordinator 100.0 J [90.0, 110], modelled, by key {keyid[:12]}…, boot boot…" in text
    assert "w1 0.0 J [0.0, 50.0], modelled, signed by no meter, boot unknown, worker-lost" in text
    assert flat_parts(figure()) is None
    assert meter_key(tmp_path / "own").public_key() is not None
    forged = EnergyFigure.of_parts([own.but(settlement="{}"), lost])
    assert (flat_parts(forged) or [{}])[0]["meter_key_id"] is None
