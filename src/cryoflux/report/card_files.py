"""What a card says of the files beside it, in a repository that somebody downloads."""

from __future__ import annotations

__all__ = ["how_to_check", "what_lies_beside"]

from collections.abc import Iterator

from cryoflux.quantities import counted
from cryoflux.queries.made_of import MadeOf
from cryoflux.report.parts import ReportPart

_IN_A_DOWNLOAD = "In a download of this repository. Whose keys they are has to be known in another way."
_NAMES_FILES = (
    "A receipt names what it is about: `subject` has the SHA-256 of each file of its update, `result.files` "
    "that of the SHA256SUMS of the version that it led to (cryoflux receipts check-proof FILE --json …)."
)
_SIGNED = (
    "model.sig is a signature over all other files, as OpenSSF's model-signing makes one: whoever has the "
    "signer's public key checks it by the command with model_signing."
)


def what_lies_beside(made: MadeOf, *, signed: bool) -> ReportPart:
    """What is in the repository, and what is not."""
    return ReportPart("What lies beside this card", tuple(_beside(made, signed=signed)))


def _beside(made: MadeOf, *, signed: bool) -> Iterator[str]:
    if made.updates:
        what = "adapters" if made.updates[0].is_adapter else "updates"
        yield (
            f"{what}/ has {counted(len(made.updates), 'update')}, by the number of the attempt: the version "
            "is what the log began with and these, in their order."
        )
    if made.updates_missing:
        lost = ", ".join(f"#{number}" for number in made.updates_missing)
        yield f"The files of the updates of {lost} were not at hand."
    yield (
        f"cryoflux/ has a proof of each of the {counted(len(made.entries), 'entry', 'entries')} that the "
        "version rests on: announcements and receipts of its updates, those of their chains that paid for "
        "them, and keys. What else was tried in its log, and what that cost, these do not show."
    )
    if signed:
        yield _SIGNED


def how_to_check(made: MadeOf, *, signed: bool) -> ReportPart:
    """What a stranger types."""
    folders = ["cryoflux", *(f"cryoflux/{key.keyid[:16]}" for key in made.later_keys)]
    commands = [
        f'for proof in {folder}/*.tlog-proof; do cryoflux receipts check-proof "$proof" '
        f"--key {folder}/receipt.pub --log-key cryoflux/log.pub; done"
        for folder in folders
    ]
    if signed:
        commands.append("model_signing verify key . --signature model.sig --public_key signer.pub")
    return ReportPart("How to check it", (_IN_A_DOWNLOAD, _NAMES_FILES), commands=tuple(commands))
