"""A whole state that the first version left verifies for ever."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from archives import unpack
from cryoflux.receipts.entry import Kind
from cryoflux.receipts.flat import flat_view
from cryoflux.receipts.reading import read_authority, read_entries
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.signing.canonical import canonical_bytes
from cryoflux.signing.envelope import verify
from cryoflux.signing.keys import load_public_key

ARCHIVE = Path(__file__).parents[2] / "vectors" / "state-v1.tar.xz"


@pytest.fixture(scope="session")
def old_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    unpack(ARCHIVE, folder)
    return folder / "state-v1"


def test_its_entries_are_read_in_todays_form_and_keep_their_bytes(old_state: Path) -> None:
    entries = read_entries(old_state)
    assert Counter(entry.kind for entry in entries) == {Kind.INTENT: 13, Kind.RECEIPT: 13, Kind.KEY: 2}
    assert {entry.version for entry in entries} == {1}
    receipts = [entry.receipt for entry in entries if entry.receipt is not None]
    assert Counter(receipt.outcome for receipt in receipts) == {
        Outcome.REJECTED: 6,
        Outcome.UNDECIDED: 3,
        Outcome.ABORTED: 3,
        Outcome.ACCEPTED: 1,
    }
    aborted = [receipt.cause for receipt in receipts if receipt.outcome is Outcome.ABORTED]
    assert aborted == [Cause.INTERRUPTED, Cause.CRASHED, Cause.EXHAUSTED]
    assert all(canonical_bytes(entry.statement) != entry.signed.payload for entry in entries if not entry.key)


def test_its_signatures_hold_by_the_keys_that_were_valid(old_state: Path) -> None:
    authority, size = read_authority(old_state)
    assert size == 28
    assert [(reign.start, reign.end) for reign in authority.reigns] == [(0, 18), (18, None)]
    first = load_public_key(old_state / "keys" / "receipt.pub")
    entries = read_entries(old_state)
    assert all(verify(entry.signed, first) for entry in entries[:17])
    assert not verify(entries[18].signed, first)


def test_its_sentences_are_shown_as_they_were_signed(old_state: Path) -> None:
    views = [flat_view(entry) for entry in read_entries(old_state) if entry.receipt is not None]
    assert views[0]["reason"].startswith("Kept: Δ = +0.7239 ± 0.1727 nats, accuracy +45.0 points; Δ reaches")
    assert [view["cause"] for view in views if view["outcome"] == "aborted"] == [
        "interrupted",
        "crashed",
        "exhausted",
    ]


def test_it_verifies(old_state: Path) -> None:
    from cryoflux.verification.steps import verify_target

    report = verify_target(old_state)
    assert report.ok, [check for check in report.checks if not check.ok]
    assert (report.entries, report.receipts) == (28, 13)
