"""Whether a file that is to be verified is one of receipts at all: what is none gets one word, not twenty."""

from __future__ import annotations

__all__ = ["garbage_checks"]

from cryoflux.files import read_beginning
from cryoflux.verification.form import FORM
from cryoflux.verification.material import Material
from cryoflux.verification.result import Check, conclude, failed

_OF_AN_ENVELOPE = b'"payloadType"'
"""in every signed envelope, however it is damaged elsewhere"""


_PEEK_BYTES = 65_536


def garbage_checks(material: Material) -> list[Check]:
    """The one line about a file that holds no receipts; nothing where it may hold some, and of a state."""
    if material.state is not None or any(_OF_AN_ENVELOPE in row.envelope for row in material.rows):
        return []
    beginning = _beginning(material)
    if not material.rows and _OF_AN_ENVELOPE in beginning:
        return []  # one line that was cut short, which step 1 says
    why = "no line of it is a signed envelope" if beginning else "it is empty"
    return conclude(FORM, [failed(str(material.target), f"is not a receipt file: {why}")], "")


def _beginning(material: Material) -> bytes:
    try:
        return read_beginning(material.target, _PEEK_BYTES)
    except OSError:
        return b""
