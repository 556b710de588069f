"""What the flags of energy figures say, for a person."""

from __future__ import annotations

__all__ = ["flag_words"]

_WORDS = {
    "above-power-limit": "more flowed than the device can draw; the interval holds what is possible",
    "baseline-drift": "the machine at rest draws something else now than when its baseline was learned",
    "baseline-relearned": "the baseline was lost and learned again; figures before it rest on another one",
    "baseline-too-high": "the machine drew less than its idle baseline says",
    "baseline-unsettled": "the baseline was learned while the machine was at work, so it may be too high",
    "busy-time-unseen": "a processor's busy time could not be read for a while",
    "counter-against-power": "a counter and its integrated power disagree by over a tenth; both are held",
    "counter-reset": "a counter began anew; what flowed around that moment is bounded, not known",
    "cpu-time-unplaced": "CPU time whose processor is not known is shared out by the machine's mean",
    "cpus-renumbered": "processors came or went while it was metered",
    "epoch-changed": "the machine slept or was restarted; what flowed meanwhile is bounded, not known",
    "face-value": "withdrawn at face value; nobody measured what was used",
    "failed-read": "a source could not be read for a while; until the next reading the time is unknown",
    "gpu-found-late": "a GPU was found after metering had begun",
    "gpu-shared": "several processes computed on a GPU; each is charged its time on it",
    "gpu-users-hidden": "the driver does not say who computed on a GPU",
    "gpu-without-power": "a GPU tells neither energy nor power; what it drew is not in the figure",
    "impossible-jump": "a counter moved by more than can flow; the interval holds what is possible",
    "lent": "lent to another meter, which charged it; nobody here metered it",
    "metered-across-restart": "the meter was started anew meanwhile; what flowed in between is bounded",
    "meter-stumbled": "the meter missed its second; blocks are longer than usual",
    "never-reserved": "the attempt ended before joules were taken for it",
    "no-source": "nothing here could be read",
    "not-written": "the account could not be written for a while",
    "own-time-only": "children of the process could not be seen, so they are not charged",
    "process-gone": "a process ended unseen; what it drew since the last look is bounded",
    "settled-elsewhere": "another meter has its joules; up to all that were reserved were spent",
    "several-wraps": "nobody read a counter for so long that it may have wrapped more than once",
    "so-far": "the last that the meter of a lost worker signed; what came after it is not known",
    "start-unmetered": "the process began before it was metered",
    "unattributed": "what could not be told apart is charged in full",
    "worker-lost": "its worker went away and no meter told; all that it reserved was spent, or more",
}


def flag_words(flag: str) -> str:
    """What a flag says; the flag itself where it is not known here."""
    return _WORDS.get(flag, flag.replace("-", " "))
