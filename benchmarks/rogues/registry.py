"""The strategies by name."""

from __future__ import annotations

from collections.abc import Callable

from rogues.acting import Found
from rogues.faults import killed, parted
from rogues.lies import (
    forked,
    hides_what_it_judged_on,
    opens_altered_sums,
    opens_other_examples,
    opens_what_it_sealed,
)
from rogues.live import Live
from rogues.thefts import stolen
from rogues.truth import Truth
from rogues.updates import backdoor, flipped, raced, withheld

Strategy = Callable[[Live, Truth], Found]
STRATEGIES: dict[str, tuple[str, Strategy]] = {
    "raced-copy": ("trained", raced),
    "flipped": ("flipped", flipped),
    "forked-log": ("trained", forked),
    "stolen-key": ("trained", stolen),
    "withheld": ("trained", withheld),
    "backdoor": ("trained", backdoor),
    "altered-sums": ("lied", opens_altered_sums),
    "other-examples": ("lied", opens_other_examples),
    "sealed-lie": ("lied", opens_what_it_sealed),
    "hidden-update": ("lied", hides_what_it_judged_on),
    "killed": ("trained", killed),
    "partition": ("trained", parted),
}
"""name → the stage that it begins with, and what is done"""
