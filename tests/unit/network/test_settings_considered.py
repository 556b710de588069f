"""A verifier has to have used the settings of the offers that it says it considered, and of no others."""

from types import SimpleNamespace
from typing import Any

from cryoflux.errors import VerificationError
from cryoflux.network.auditing import _considered

A, B, C, D, E = "abcde"


def log(origin: str, offers: dict[str, str], made: dict[str, str]) -> Any:
    facts = SimpleNamespace(
        offers=[
            SimpleNamespace(update=SimpleNamespace(adapter=adapter), config=config)
            for adapter, config in offers.items()
        ],
        made={adapter: (config, 1) for adapter, config in made.items()},
    )
    return SimpleNamespace(origin=origin, facts=facts)


class Damaged:
    """What is here of a log that cannot be read."""

    origin = "maker"

    @property
    def facts(self) -> None:
        raise VerificationError("It is damaged.")


def test_settings_bind_a_verifier_where_the_log_signs_them_that_it_names() -> None:
    origins = [{A: "maker", B: "stranger", C: "maker"}, {C: "other", D: "maker"}]
    judge: Any = SimpleNamespace(facts=SimpleNamespace(rounds=[SimpleNamespace(origins=o) for o in origins]))
    maker = log("maker", {A: "right", C: "right", D: "one"}, {A: "right", D: "two"})
    claims = log("claims", {A: "other", B: "other", E: "other"}, {C: "other"})
    assert _considered(judge, [claims, Damaged(), maker]) == {A: "right"}
