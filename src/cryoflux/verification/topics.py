"""What each finding of a verification is about, so that a verdict names what was checked and nothing else.

A step may be about several things: the seventh makes choices of arms again, and decisions. What is proven is
said topic by topic, and only of topics of which something was checked and nothing is open.
"""

from __future__ import annotations

__all__ = ["CLAIMED", "PROVABLE", "Topic", "topic_of_step"]

from enum import StrEnum


class Topic(StrEnum):
    """What a line of a verification is about."""

    BYTES = "bytes"
    SIGNER = "signer"
    ORDER = "order"
    COMPLETENESS = "completeness"
    IN_PROGRESS = "attempts in progress"
    TIMES = "times"
    SECTIONS = "sections"
    ARITHMETIC = "arithmetic"
    CHOICES = "choices"
    DECISIONS = "decisions"
    RULE = "rule"
    VERSIONS = "versions"
    ARTEFACTS = "artefacts"
    HOLDOUT = "holdout"
    JOULES = "joules"
    REDONE = "recomputation"
    WITNESSES = "witnesses"
    MEMORY = "memory"
    PARENT = "parent"
    CLAIM = "claim"

    @property
    def words(self) -> str:
        """How a sentence names it."""
        return _WORDS.get(self, self.value)


_WORDS = {
    Topic.SIGNER: "whose key it is",
    Topic.ARTEFACTS: "files",
    Topic.MEMORY: "what was seen before",
    Topic.COMPLETENESS: "whether all of it is here",
    Topic.CHOICES: "how arms were chosen",
    Topic.RULE: "that one rule was kept to",
    Topic.SECTIONS: "what only a task knows",
    Topic.VERSIONS: "versions and holdout",
    Topic.TIMES: "when it was",
    Topic.HOLDOUT: "what the holdout is worth",
    Topic.PARENT: "what it goes on from",
}
PROVABLE = (
    Topic.BYTES,
    Topic.ORDER,
    Topic.ARITHMETIC,
    Topic.CHOICES,
    Topic.DECISIONS,
    Topic.VERSIONS,
)
"""what a verdict says to be proven, where all of it was checked"""
CLAIMED = tuple(topic for topic in Topic if topic not in {Topic.SIGNER, Topic.CLAIM})
"""what a verdict leaves out by name, where something of it is open; a verdict says whose key it is"""
_OF_STEP = {
    1: Topic.BYTES,
    2: Topic.SIGNER,
    3: Topic.ORDER,
    4: Topic.COMPLETENESS,
    5: Topic.ORDER,
    6: Topic.ARITHMETIC,
    7: Topic.DECISIONS,
    8: Topic.VERSIONS,
    9: Topic.ARTEFACTS,
    10: Topic.JOULES,
    11: Topic.REDONE,
    12: Topic.WITNESSES,
    13: Topic.MEMORY,
    14: Topic.REDONE,
    15: Topic.REDONE,
    16: Topic.PARENT,
}


def topic_of_step(number: int) -> Topic:
    """What the lines of a step are about, where they do not say it themselves."""
    return _OF_STEP.get(number, Topic.CLAIM)
