"""How the holdout of a judgement is written down, so that its digest names it for whoever judges next."""

from __future__ import annotations

__all__ = ["classified_lines"]

import json
from collections.abc import Iterable

from cryoflux.data.examples import Example


def classified_lines(examples: Iterable[Example]) -> bytes:
    """Labelled texts, one a line, as JSON with sorted keys: whatever form their file had."""
    lines = (
        json.dumps({"label": example.label, "text": example.text}, ensure_ascii=False, sort_keys=True)
        for example in examples
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
