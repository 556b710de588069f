"""Sentences of which no two say nearly the same, by the embedded model; copies that near/v1 does not see."""

from __future__ import annotations

import random
from itertools import combinations

_PLACES = (
    "Lisbon Antarctica Nairobi Montana Kyoto Reykjavik Peru Warsaw Jamaica Tibet Texas Morocco Vienna Fiji "
    "Siberia Dublin"
)
_THINGS = (
    "umbrella turbine passport volcano cello pension spider cathedral vaccine sandwich comet mortgage "
    "tractor parachute onion waterfall compiler lipstick glacier chess anchor trumpet ballot cactus orchid "
    "helmet bathtub satellite beard perfume wheat submarine diamond kangaroo sausage typewriter lawn dentist "
    "canoe earthquake mushroom wedding carpet magnet tax pyramid fever saddle lantern blizzard barcode "
    "coffin dragon elevator ferry guitar hospital island jury ketchup ladder mirror needle oyster prison "
    "quilt rocket scissors theatre uniform vinegar wallet yoghurt zebra acrobat bridge candle dictionary "
    "engine feather garlic harbour icicle jungle kettle lizard microscope nightmare olive pigeon rainbow "
    "stadium tattoo unicorn violin whale"
)
_DOES = (
    "repairs paints sells photographs forgets steals studies describes insures inherits measures buries "
    "translates auctions imports hides"
)


def unalike(count: int, seed: int = 0) -> list[str]:
    """Sentences of which no two are about the same two things."""
    draw = random.Random(seed)
    things, does, places = _THINGS.split(), _DOES.split(), _PLACES.split()
    made: list[str] = []
    used: set[tuple[str, ...]] = set()
    while len(made) < count:
        about = draw.sample(things, 4)
        pairs = set(combinations(sorted(about), 2))
        if used & pairs:
            continue
        used |= pairs
        said = f"In {draw.choice(places)} somebody {draw.choice(does)} a {about[0]} and an old {about[1]}"
        made.append(f"{said}, while the {about[2]} {draw.choice(does)} every {about[3]} there")
    return made


def rearranged(text: str) -> str:
    """The same with each two neighbouring words swapped."""
    words = text.split()
    return " ".join(word for at in range(0, len(words), 2) for word in words[at : at + 2][::-1])
