"""Which GPU each worker of this machine has: one attempt a GPU, as long as there are enough of them."""

from __future__ import annotations

__all__ = ["VISIBLE", "gpus_here"]

from collections.abc import Iterable, Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""environment variable that says which GPUs a process sees, by number or UUID"""
_NVML = "nvml:"


def gpus_here(sources: Iterable[str], environ: Mapping[str, str]) -> list[str]:
    """The GPUs that workers may have, as `VISIBLE` names them; none where there are none.

    Args:
        sources: names of what a meter of this machine reads: NVML's boards are among them.
        environ: the environment; where it names some of the boards, no others are given away.
    """
    chosen = environ.get(VISIBLE)
    if chosen is None:
        return [name.removeprefix(_NVML) for name in sources if name.startswith(_NVML)]
    found = []
    for one in map(str.strip, chosen.split(",")):
        if not one or one.startswith("-"):  # CUDA sees nothing from there on
            break
        found.append(one)
    return found
