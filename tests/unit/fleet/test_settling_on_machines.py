"""The worker of a dead run may have been on any machine: whoever has its account says what it cost."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cryoflux.config import Settings
from cryoflux.errors import AgentError
from cryoflux.fleet.failing import FleetError
from cryoflux.fleet.on_ray import RayDispatcher

NOT_HERE, SILENT = FleetError("holds no account"), AgentError("The JouleAgent does not answer.")
Answer = str | Exception


def dispatcher(answers: list[Answer], known: int | None = None) -> RayDispatcher:
    """Machines that answer so; ``known`` is the one that the worker of this run is on."""

    def got(asked: int, timeout: float) -> str:
        answer = answers[asked]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def options(scheduling_strategy: dict[str, int], **_: object) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *_: scheduling_strategy["NodeID"])

    made = object.__new__(RayDispatcher)
    made._ray = SimpleNamespace(
        is_initialized=lambda: True, remote=lambda _: SimpleNamespace(options=options), get=got
    )
    made._settings, made._silence_s, made._fleet, made._stations = Settings(), 1, "log", {}
    made._nodes = {} if known is None else {"w1": {"NodeID": known}}
    made._metered = lambda: [{"NodeID": number} for number in range(len(answers))]
    made._at = lambda node: node
    return made


@pytest.mark.parametrize("others", [["", NOT_HERE], [SILENT], [NOT_HERE, ""]], ids=repr)
def test_whoever_has_it_says_so_whatever_others_say(others: list[Answer]) -> None:
    assert dispatcher([*others, "signed"]).settle("w1", "a1") == "signed"


@pytest.mark.parametrize("answers", [[NOT_HERE, ""], [""]], ids=repr)
def test_it_was_begun_nowhere_if_nobody_has_it_and_somebody_knows_the_worker(answers: list[Answer]) -> None:
    assert dispatcher(answers).settle("w1", "a1") == ""


def test_where_its_joule_agent_is_silent_that_is_said() -> None:
    with pytest.raises(AgentError, match="does not answer"):
        dispatcher([NOT_HERE, SILENT, ""]).settle("w1", "a1")


@pytest.mark.parametrize("answers", [[], [NOT_HERE, NOT_HERE]], ids=repr)
def test_where_nobody_knows_the_worker_nothing_is_known(answers: list[Answer]) -> None:
    with pytest.raises(FleetError, match="cannot be settled"):
        dispatcher(answers).settle("w1", "a1")


def test_of_a_worker_of_this_run_its_own_machine_alone_is_asked() -> None:
    assert dispatcher(["another one's", ""], known=1).settle("w1", "a1") == ""
