"""Workers that say what is not so: their attempt fails, and the coordinator's log stays one that verifies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from safetensors.numpy import load_file, save_file

from cryoflux.decision.reason import Reason
from cryoflux.digests import file_digest
from cryoflux.fleet.documents import Delivery, WorkerState
from cryoflux.receipts.statement import Cause, Outcome
from cryoflux.runs import crewing
from cryoflux.state import ADAPTER, ADAPTER_CONFIG
from fleet_end import assert_settled, begun, receipts
from inside_fleet import Inside, InsideStation
from running import exit_code_of

SHORT = [
    *("--learning-rate", "0.01", "--reserve", "60J", "--recipes", "prefix-1", "--max-steps", "12"),
    *("--policy", "uniform/v1", "--worker-silence", "60", "--budget", "9kJ", "--workers", "1", "--json"),
]
Lie = Callable[[Delivery, Path], Delivery]


def updated(**changes: object) -> Lie:
    return lambda said, _: said.but(update=replace(said.update, **changes))


def praised(said: Delivery) -> Delivery:
    """With a screen by which it is worth a look at the holdout, so that it is applied."""
    screen = said.update.screening
    each = screen.base_loss // screen.count // 2
    changes = {
        "new_loss": screen.base_loss - screen.count * each,
        "delta_squared": screen.count * each**2,
        "new_correct": screen.count,
        "gained": screen.count - screen.base_correct,
        "lost": 0,
    }
    return said.but(update=replace(said.update, screening=structs.replace(screen, **changes)))


def weights(change: Callable[[dict], dict]) -> Lie:
    def lie(said: Delivery, folder: Path) -> Delivery:
        save_file(change(load_file(folder / ADAPTER)), folder / ADAPTER)
        return praised(said.but(files={**said.files, ADAPTER: file_digest(folder / ADAPTER)}))

    return lie


def rewritten(name: str, content: bytes) -> Lie:
    def lie(said: Delivery, folder: Path) -> Delivery:
        (folder / name).write_bytes(content)
        return said.but(files={**said.files, name: file_digest(folder / name)})

    return lie


def renamed(name: str) -> Lie:
    def lie(said: Delivery, folder: Path) -> Delivery:
        files = {**said.files, name: said.files[ADAPTER]}
        del files[ADAPTER]
        return said.but(files=files, update=replace(said.update, files=(name, ADAPTER_CONFIG)))

    return lie


def gone(said: Delivery, folder: Path) -> Delivery:
    (folder / ADAPTER).unlink()
    return said


def screened(**changes: int) -> Lie:
    def lie(said: Delivery, _: Path) -> Delivery:
        evidence = type(said.update.screening)(
            **{f: getattr(said.update.screening, f) for f in said.update.screening.__struct_fields__}
            | changes
        )
        return said.but(update=replace(said.update, screening=evidence))

    return lie


def without_update(cause: Cause, reason: Reason | None) -> Lie:
    return lambda said, _: said.but(update=None, files={}, cause=cause, reason=reason)


LIES: dict[str, Lie] = {
    "another lease": lambda said, _: said.but(id="another"),
    "no statement": lambda said, _: said.but(settlement="{}"),
    "other bytes than its digest": lambda said, _: said.but(files={**said.files, ADAPTER: "0" * 64}),
    "a path that leads out": renamed("../../../../base_model"),
    "an absolute path": renamed("/etc/hostname"),
    "a file that is gone": gone,
    "no files": updated(files=()),
    "more steps than its recipe has": updated(steps=100_000),
    "fewer steps than none": updated(steps=-1),
    "examples that there are not": updated(drawn=(10**6,)),
    "an example twice": updated(drawn=(1, 1)),
    "a screen that no losses come to": screened(new_loss=0, delta_squared=1),
    "a screen of nothing": screened(count=0),
    "not screened": updated(screening=None),
    "a working update beside the state": updated(working="../../origin"),
    "weights that are no numbers": weights(lambda w: {k: np.full_like(v, np.nan) for k, v in w.items()}),
    "weights without a bound": weights(lambda w: {k: np.full_like(v, 1e38) for k, v in w.items()}),
    "weights of another rank": weights(lambda w: {k: v[:4] if "lora_A" in k else v for k, v in w.items()}),
    "weights of another shape": weights(
        lambda w: {k: np.ascontiguousarray(v[..., :-1]) for k, v in w.items()}
    ),
    "weights by other names": weights(lambda w: {f"x{k}": v for k, v in w.items()}),
    "no weights": rewritten(ADAPTER, b"\x00" * 100),
    "settings that are none": rewritten(ADAPTER_CONFIG, b"[" * 10_000),
    "neither update nor reason": without_update(Cause.NONE, None),
    "a cause that a worker has not": without_update(Cause.CRASHED, Reason(code="crashed")),
    "a reason that nobody knows": without_update(Cause.EXHAUSTED, Reason(code="tired")),
}
HARMLESS = {
    "a screen that is too good": lambda said, _: praised(said),
    "phases that nobody knows": lambda said, _: said.but(phases=[said.phases[0].but(name="sleep")]),
    "phases that do not add up": lambda said, _: said.but(phases=said.phases[:1]),
}
"""what is said beside the update and its joules is left out"""


class Liar(InsideStation):
    """Says something else than its worker does, another thing at each attempt."""

    lies: Iterator[Lie]
    changed: tuple[str, Delivery] = "", None

    def state(self) -> WorkerState | None:
        found = super().state()
        if found is None or found.delivery is None:
            return found
        lease = found.delivery.id
        if self.changed[0] != lease:
            lie = next(self.lies, lambda said, _: said)
            self.changed = lease, lie(found.delivery, self.folder / "deliveries" / lease)
        return found.but(delivery=self.changed[1])


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Lie]], None]:
    def use(lies: dict[str, Lie]) -> None:
        station = type("Lying", (Liar,), {"lies": iter(lies.values())})
        monkeypatch.setattr(
            crewing, "_dispatcher", lambda context, settings: Inside(context.state, ["w1"], settings, station)
        )

    return use


def test_a_lie_of_a_worker_ends_its_attempt_and_nothing_else(
    lying, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: list[str], capsys
) -> None:
    state, lies = tmp_path / "state", {**LIES, **HARMLESS}
    lying(lies)
    words = ["run", *inputs, *SHORT, "--state", state, "--attempts", len(lies) + 1]
    assert exit_code_of(monkeypatch, *words) == 0, capsys.readouterr()
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["attempts"] == len(lies) + 1
    assert_settled(state)
    found = receipts(state)
    became = {
        name: (one.cause, str(one.reason.numbers)) for name, one in zip(LIES, found[: len(LIES)], strict=True)
    }
    assert {name: why for name, why in became.items() if why[0] not in {Cause.FAILED, Cause.LOST}} == {}
    assert [name for name, (cause, _) in became.items() if cause is Cause.LOST] == [
        *("another lease", "no statement")
    ]
    honest = found[len(LIES) :]
    assert all(one.outcome is not Outcome.ABORTED for one in honest)
    assert [bool(one.energy.phases) for one in honest] == [True, False, False, True]
    assert (state / "base_model").is_symlink()
    assert sum(begun(state).values()) == len(lies) + 1
