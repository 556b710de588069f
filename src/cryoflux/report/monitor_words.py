"""What holding a head against versions before it has shown, in words and as a document."""

from __future__ import annotations

__all__ = ["monitored_document", "monitored_line", "watched_lines"]

import math
from typing import Any

from cryoflux.quantities import MICRO
from cryoflux.runs.monitoring import Checked

_MILLI = 1000


def watched_lines(folder: str | None, monitor: str) -> tuple[str, ...]:
    """What a run watches from its beginning on, one line each; nothing of what it does not.

    Args:
        folder: where labelled files arrive; none where nothing is waited for.
        monitor: the file that heads are held against; empty for none.
    """
    said = []
    if folder is not None:
        said.append(f"watches  {folder}: a file is said once it is read; Ctrl-C ends the run in order")
    if monitor:
        said.append(f"monitor  {monitor}: each head is held against versions before it, and said once")
    return tuple(said)


def monitored_document(checked: Checked) -> dict[str, Any]:
    """For programs; a probability is how often a head that does no worse would look so bad."""
    found, examples, worse = checked.found, checked.examples, checked.worse
    strongest = found.back_to or found.strongest
    return {
        "task_name": checked.task,
        "head": checked.head,
        "monitor": examples.sha256,
        "examples": examples.count,
        "examples_known": examples.known,
        "examples_of_strange_classes": examples.strange,
        "compared": len(found.compared),
        "evidence": strongest.evidence_milli / _MILLI if strongest else None,
        "needed": found.needed_milli / _MILLI,
        "probability_of_ever_erring": checked.alpha_ppm / MICRO,
        "back_to": found.back_to.version if found.back_to else None,
        "unit": checked.unit,
        "worse_by": worse.delta_mean if worse else None,
        "examples_quarantined": checked.quarantined,
    }


def monitored_line(checked: Checked) -> str:
    """For people: one line."""
    found, examples, worse = checked.found, checked.examples, checked.worse
    left_out = examples.known + examples.strange
    beside = f" ({left_out} rows of the file left out)" if left_out else ""
    where = f"on {examples.count} examples{beside}"
    many = f"{len(found.compared)} version{'' if len(found.compared) == 1 else 's'} before it"
    if found.back_to is None or worse is None:
        strongest = found.strongest
        share = strongest.evidence_milli / found.needed_milli if strongest and found.needed_milli else 0.0
        return (
            f"monitor  head {checked.head[:16]}… stays: not found worse than {many} {where}; "
            f"{max(0, math.floor(100 * share))} % of the evidence that it would be left for"
        )
    alpha = f"{checked.alpha_ppm / 10_000:g} %"
    quarantined = (
        f"; {checked.quarantined} training examples that joined meanwhile are quarantined"
        if checked.quarantined
        else ""
    )
    return (
        f"monitor  ✗ head {checked.head[:16]}… does worse than {found.back_to.version[:16]}… by "
        f"{worse.delta_mean:.4f} {checked.unit} {where}: gone back; heads that do no worse are ever left "
        f"with a probability of at most {alpha}{quarantined}"
    )
