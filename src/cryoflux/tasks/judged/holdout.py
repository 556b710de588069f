"""How the holdout of a judgement is written down, so that its digest names it for whoever judges next."""

from __future__ import annotations

__all__ = ["classified_line"]

import json

from cryoflux.data.examples import Example


def classified_line(example: Example) -> bytes:
    """A labelled text as a line of JSON with sorted keys: whatever form its file had."""
    said = {"label": example.label, "text": example.text}
    line = json.dumps(said, ensure_ascii=False, sort_keys=True)
    return f"{line}\n".encode("utf-8", "surrogatepass")
