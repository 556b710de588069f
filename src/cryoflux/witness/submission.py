"""The body of ``add-checkpoint``, as C2SP tlog-witness writes it.

``old <size>``, the lines of a consistency proof from that size, an empty line, and the checkpoint.
"""

from __future__ import annotations

__all__ = ["MAX_BODY_BYTES", "MAX_PROOF_LINES", "SIZE_TYPE", "Submission", "parse_submission"]

import base64
import re
from dataclasses import dataclass

from cryoflux.errors import VerificationError
from cryoflux.receipts.checkpoint import MAX_NOTE_BYTES, Note, parse_note
from cryoflux.signing.envelope import decode_base64

MAX_PROOF_LINES = 63
MAX_BODY_BYTES = MAX_NOTE_BYTES + 4096
SIZE_TYPE = "text/x.tlog.size"
"""content type of the size that a witness answers a conflict with"""
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Submission:
    """A checkpoint, and the proof that it continues an older one."""

    old_size: int
    proof: tuple[bytes, ...]
    note: Note

    @property
    def body(self) -> bytes:
        """The bytes of the request."""
        lines = [f"old {self.old_size}", *(base64.b64encode(item).decode() for item in self.proof)]
        return "\n".join([*lines, "", ""]).encode() + self.note.content


def parse_submission(body: bytes) -> Submission:
    """Read a request.

    Raises:
        VerificationError: it is malformed.
    """
    head, separator, note = body.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    found = _OLD.fullmatch(first)
    if len(body) > MAX_BODY_BYTES or not separator or found is None or len(lines) > MAX_PROOF_LINES:
        raise VerificationError("A submission is `old <size>`, a proof, an empty line and a checkpoint.")
    proof = tuple(decode_base64(line, "A line of the proof") for line in lines)
    if any(len(item) != 32 for item in proof):
        raise VerificationError("A line of the proof is not a hash.")
    return Submission(int(found[1]), proof, parse_note(note))
