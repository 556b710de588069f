"""An attempt has one number, whatever became of it and in whichever run."""

from __future__ import annotations

from cryoflux.decision.reason import Reason
from cryoflux.receipts.numbering import number_entries
from cryoflux.receipts.statement import Cause
from plain_log import PlainLog, model


def test_a_receipt_has_the_number_of_its_intent() -> None:
    log = PlainLog()
    first = log.announce()
    log.conclude(first)
    log.move("lora_delta", model("first lora_delta"), first)
    log.abort(log.announce(), Cause.CRASHED, Reason(code="crashed"))
    log.announce()
    assert number_entries(log.entries) == [1, 1, None, 2, 2, 3]


def test_a_receipt_without_its_intent_has_none() -> None:
    log = PlainLog()
    log.conclude(log.announce())
    log.conclude(log.announce())
    assert number_entries(log.entries[1:]) == [None, 1, 1]
