"""Server-sent events, as whoever listens has them."""

from __future__ import annotations

__all__ = ["Event", "events_of"]

import json
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]


def events_of(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream's lines: what each says, with its number and its kind."""
    event: Event = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in {"id", "event", "data"}:
            event[name] = value
        elif not line and "data" in event:
            yield {"id": event["id"], "kind": event["event"], **json.loads(event["data"])}
            event = {}
