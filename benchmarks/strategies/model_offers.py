"""Layer S3, *models*: what cheats offer beside honest updates: no value, copies, and what cannot be had."""

from __future__ import annotations

__all__ = [
    "CHEATS",
    "COPIES",
    "FOUR",
    "HONEST_UPDATES",
    "Stall",
    "honest_offers",
    "leaked_offers",
    "same",
    "worthless_offer",
]

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from safetensors.numpy import load, save

from copy_roc import Update, copies
from cryoflux.network.folder import NetworkFolder
from cryoflux.registry.composition import Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from strategies.model_node import Offered
from strategies.model_updates import like_noise, nothing, times
from strategies.model_world import ModelWorld

_COMMITTED_S = 1_764_000_000
_LATER_S = 41
"""after the last honest commitment"""
_LONG, _FEW = 600, 128
"""steps of whoever trains to the end, and texts of whoever overfits"""
HONEST_UPDATES = 6
"""honest proposers whose updates are held against many guest holdouts"""
FOUR = 4
"""honest offers of a round"""
COPIES = {
    "gauge": "gauge",
    "scale": "scale × 0.5",
    "noise": "noise of 1.0 × its norm",
    "null-space": "hidden noise of 10.0 × its norm",
    "permuted": "ranks permuted",
    "trained on": "trained on for 20 steps",
    "two-way mix": "mix, ½ and ½ of another's",
    "front-run intent": "gauge",
}
"""strategy → its way of copying, as `copy_roc` calls it; whoever runs in front commits no earlier by that"""


@dataclass
class Stall:
    """What is trained once in a world, and offered in many lives."""

    world: ModelWorld
    _honest: dict[int, Update] = field(default_factory=dict)
    _made: dict[str, OfferedUpdate] = field(default_factory=dict)
    _several: dict[str, list[Update]] = field(default_factory=dict)

    def honest(self, number: int) -> Update:
        """The honest update of a proposer."""
        if number not in self._honest:
            self._honest[number] = self.world.learned(f"own {number}", seed=number)
        return self._honest[number]

    @cached_property
    def copied(self) -> tuple[dict[str, Update], dict[str, Update]]:
        """Way of copying → a copy of the first honest update, and one of the second."""
        fresh, others = list(self.world.parts["fresh"]), (self.honest(2), self.honest(5))
        first, second = (
            dict(copies(self.world.bench, self.honest(number), others, fresh, 77 + number))
            for number in (0, 1)
        )
        return first, second

    def several(self, name: str, make: Callable[[], list[Update]]) -> list[Update]:
        """Updates that belong together, made once."""
        if name not in self._several:
            self._several[name] = make()
        return self._several[name]

    def files(self, name: str, make: Callable[[], Update]) -> OfferedUpdate:
        """An update as its files, made once."""
        if name not in self._made:
            self._made[name] = self.world.written(make())
        return self._made[name]

    def offered(self, kind: str, number: int, make: Callable[[], Update], copy_of: str = "") -> Offered:
        """A cheat's offer, after the honest ones."""
        name = f"{kind} {number}"
        update = self.files(name, make)
        return Offered(update, kind, f"cheat.example/{number}", _COMMITTED_S + _LATER_S + number, copy_of)

    def bytes_of(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, object]]:
        """Tensors and settings of an honest update that a cheat has trained."""
        update = self.files(f"honest {number}", partial(self.honest, number))
        folder = NetworkFolder.of(self.world.node).capsule(update.adapter)
        return load((folder / ADAPTER).read_bytes()), json.loads((folder / ADAPTER_CONFIG).read_bytes())

    def raw(
        self,
        kind: str,
        number: int,
        tensors: dict[str, np.ndarray],
        config: dict[str, object],
        copy_of: str = "",
    ) -> Offered:
        """An offer of some bytes that are perhaps no update."""
        update = self.world.kept(save(tensors, {"by": kind}), json.dumps(config).encode())
        return Offered(update, kind, f"cheat.example/{number}", _COMMITTED_S + _LATER_S + number, copy_of)


def honest_offers(stall: Stall, count: int = FOUR) -> list[Offered]:
    """Offers of those who train on texts of their own."""
    found = []
    for number in range(count):
        update = stall.files(f"honest {number}", partial(stall.honest, number))
        found.append(Offered(update, "honest", f"honest.example/{number}", _COMMITTED_S + number))
    return found


def leaked_offers(stall: Stall) -> list[Offered]:
    """Of whoever was trained to the end on the public texts, and goes four times as far as that."""
    make = partial(stall.world.learned, "public", seed=40, steps=_LONG)
    (update,) = stall.several("leaked", lambda: [times(make(), 4.0)])
    return [stall.offered("leaked", 0, partial(same, update))]


def worthless_offer(stall: Stall, number: int, rng: np.random.Generator) -> Offered:
    """Random numbers that nobody has offered before: a reason for a round, and no more."""
    update = stall.world.written(like_noise(stall.honest(FOUR + 1), 0.3, rng, 1))
    return Offered(update, "null", f"cheat.example/{number}", _COMMITTED_S + 3600 * number)


Cheat = Callable[[Stall, np.random.Generator], list[Offered]]


def _worthless(kind: str) -> Cheat:
    def offers(stall: Stall, rng: np.random.Generator) -> list[Offered]:
        found = []
        for number in (0, 1):
            own = stall.honest(FOUR + 1 + number)
            make = partial(_WORTHLESS[kind], stall.world, own, number, rng)
            found.append(stall.offered(kind, number, make))
        return found

    return offers


def _copier(kind: str) -> Cheat:
    def offers(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
        originals = honest_offers(stall, 2)
        found = []
        for number, original in enumerate(originals):
            copied = stall.copied[number][COPIES[kind]]
            found.append(stall.offered(f"copy, {kind}", number, partial(same, copied), original.adapter))
        return found

    return offers


def same(update: Update) -> Update:
    """It."""
    return update


def _same_bytes(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    """The same numbers behind a header of another order, so that the file has another name."""
    found = []
    for number, original in enumerate(honest_offers(stall, 2)):
        tensors, config = stall.bytes_of(number)
        found.append(stall.raw("copy, bytes", number, tensors, config, original.adapter))
    return found


def _no_numbers(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    found = []
    for number, value in enumerate((np.nan, np.inf)):
        tensors, config = stall.bytes_of(5 + number)
        name = sorted(tensors)[number * (len(tensors) - 1)]
        tensors[name].flat[0] = value
        found.append(stall.raw("NaN", number, tensors, config))
    return found


def _empty(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    """One with a tensor without numbers, and one whose numbers move nothing."""
    tensors, config = stall.bytes_of(5)
    tensors[max(tensors)] = np.zeros((0,), dtype="f4")
    still = stall.offered("empty tensor", 1, lambda: nothing(stall.honest(6)))
    return [stall.raw("empty tensor", 0, tensors, config), still]


def _rank_bomb(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    """One with 16,384 ranks in its tensors, and one that only says so."""
    found = []
    for number, rank in enumerate((16_384, 2**31)):
        tensors, config = stall.bytes_of(5 + number)
        if number == 0:
            module = next(name for name in tensors if name.endswith("lora_A.weight"))
            tensors[module] = np.full((rank, tensors[module].shape[1]), 1e-3, dtype="f4")
            other = module.replace("lora_A", "lora_B")
            tensors[other] = np.full((len(tensors[other]), rank), 1e-3, dtype="f4")
        found.append(stall.raw("rank bomb", number, tensors, {**config, "r": rank}))
    return found


def _withheld(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    update = stall.files("honest 5", partial(stall.honest, 5))
    why = "its bytes were asked for in vain"
    return [Offered(update, "withheld adapter", "cheat.example/0", _COMMITTED_S + _LATER_S, absent=why)]


def _parentless(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    """A good update that says it was trained on what nobody has."""
    found = stall.files("honest 5", partial(stall.honest, 5))
    parent = Term(weight="1", adapter="ab" * 32, parent=list_digest(()))
    update = found.but(parent=(parent,))
    return [Offered(update, "withheld parent", "cheat.example/0", _COMMITTED_S + _LATER_S)]


def _late(stall: Stall, _rng: np.random.Generator) -> list[Offered]:
    """Work of its own that was committed before all others, and is shown when the first round is over."""
    update = stall.files("honest 5", partial(stall.honest, 5))
    return [
        Offered(update, "late reveal", "cheat.example/0", _COMMITTED_S - _LATER_S, absent="not shown yet")
    ]


_Made = Callable[[ModelWorld, Update, int, np.random.Generator], Update]
_WORTHLESS: dict[str, _Made] = {
    "null": lambda _world, own, _number, rng: like_noise(own, 0.1, rng),
    "noise": lambda _world, own, _number, rng: like_noise(own, 1.0, rng),
    "shuffled labels": lambda world, _own, number, _rng: world.learned(
        f"shuffled {number}", seed=20 + number
    ),
    "sign flip": lambda _world, own, _number, _rng: times(own, -1.0),
    "× 10": lambda _world, own, _number, _rng: times(own, 10.0),
    "public holdout overfit": lambda world, _own, number, _rng: world.learned(
        "public", seed=30 + number, steps=_LONG, most=_FEW
    ),
    "test-trained": lambda world, _own, number, _rng: world.learned("public", seed=40 + number, steps=_LONG),
}
"""strategy → an update of it, made of one that the cheat has trained honestly"""
CHEATS: dict[str, Cheat] = {
    **{f"value/{kind}": _worthless(kind) for kind in _WORTHLESS},
    "value/NaN": _no_numbers,
    "value/empty tensor": _empty,
    "value/rank bomb": _rank_bomb,
    "copy/bytes": _same_bytes,
    **{f"copy/{kind}": _copier(kind) for kind in COPIES},
    "log/withheld adapter": _withheld,
    "log/withheld parent": _parentless,
    "log/late reveal": _late,
}
"""family and name of a strategy → what it offers beside the honest ones"""
