"""How long a newcomer waits until it is drawn, where named nodes flood the lottery with keys of their own.

    python benchmarks/newcomers.py                  # half a CPU-minute
    python benchmarks/newcomers.py --lives 1000

A reader names some nodes. One of them names the newcomer, and so many of the others name as many keys as
they can: 64 of each have a ticket. The draw is the real one (`network.choosing.drawn_strangers`, eight
places, once an hour, another seed each time). Beside it stands what the same lottery would be without the
bound on tickets, with 10,000 keys: its chance, which needs no simulation.
"""

from __future__ import annotations

import argparse
import statistics

from cryoflux.network.choosing import drawn_strangers

PLACES, OF_A_PEER = 8, 64
_MOST_H = 10_000


def waited_h(tickets: list[str], newcomer: str, seeds: range) -> int:
    """Hours until a newcomer is drawn.

    Args:
        tickets: names of all logs that have one.
        newcomer: one of them.
        seeds: of the draws, one an hour.
    """
    for hour, seed in enumerate(seeds, 1):
        if newcomer in drawn_strangers(tickets, PLACES, seed):
            return hour
    return len(seeds)


def main() -> None:
    """Simulate and print a table as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lives", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    lives, first = arguments.lives, arguments.seed * 10**12
    print("| nodes that flood it | tickets | hours until drawn, median | 95 % |\n|---:|---:|---:|---:|")
    for floods in (0, 1, 3, 10):
        tickets = ["newcomer", *(f"key {n}" for n in range(floods * OF_A_PEER))]
        begins = (first + life * _MOST_H for life in range(lives))
        waited = sorted(waited_h(tickets, "newcomer", range(at, at + _MOST_H)) for at in begins)
        late = waited[min(lives - 1, round(0.95 * lives))]
        print(f"| {floods} | {len(tickets)} | {statistics.median(waited):g} | {late} |")
    chance = PLACES / 10_001
    print(f"\nWithout the bound, 10,000 keys: {1 / chance:,.0f} hours on average.")


if __name__ == "__main__":
    main()
