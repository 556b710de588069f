"""Whether the versions of a task differ in their weights alone.

An update changes weights. A candidate is evaluated with the settings and the tokenizer of its base, so one
that was kept with others is another model than its losses are of, and what it lost by that would be found
again as a gain of the next. The digest of a version is over its tensors, and says nothing of it.
"""

from __future__ import annotations

__all__ = ["BesideWeights"]

from collections.abc import Mapping

from msgspec import Struct, field

from cryoflux.digests import checksum_lines, sha256_hex
from cryoflux.verification.index import INDEX

_WEIGHTS = ".safetensors"
_PLAIN = (".json", ".txt", ".model")
"""endings of settings and vocabularies; a version that was made has all of them, and may lack the rest"""


class BesideWeights(Struct):
    """The files beside the weights of each task's first version that is here."""

    of: dict[str, tuple[str, str]] = field(default_factory=dict)
    """task → digests over its settings and vocabularies, and over the rest, as they are listed"""

    def differ(self, task: str, listed: Mapping[str, str]) -> bool:
        """Whether a version has other files beside its weights than the first one; the first one never has.

        Args:
            task: that it is a version of.
            listed: its files and their digests; a version without weight files is not looked at.
        """
        if not any(name.endswith(_WEIGHTS) for name in listed):
            return False
        beside = {n: d for n, d in listed.items() if n != INDEX and not n.endswith(_WEIGHTS)}
        plain = {name: digest for name, digest in beside.items() if name.endswith(_PLAIN)}
        rest = {name: digest for name, digest in beside.items() if name not in plain}
        found = (_digest(plain), _digest(rest))
        first = self.of.setdefault(task, found)
        return found[0] != first[0] or (bool(rest) and found[1] != first[1])


def _digest(listed: Mapping[str, str]) -> str:
    return sha256_hex(checksum_lines(dict(listed)))
