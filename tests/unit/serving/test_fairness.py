"""How much one client may ask for, and that others do not notice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cryoflux.serving.fairness import _MOST_CLIENTS, Allowances, Fairness, client_of
from cryoflux.serving.guard import Guard
from cryoflux.serving.routing import NotServedError


class Seconds:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_an_allowance_is_used_up_and_comes_back() -> None:
    clock = Seconds()
    allowances = Allowances(3, 2, clock)
    assert [allowances.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert allowances.take("b") == 0
    clock.now_s = 0.5
    assert [allowances.take("a") for _ in range(2)] == [0, 0.5]
    clock.now_s = 100
    assert [allowances.take("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_asking_in_vain_costs_nothing_more() -> None:
    clock = Seconds()
    allowances = Allowances(1, 1, clock)
    assert [allowances.take("a") for _ in range(50)][1:] == [1.0] * 49
    clock.now_s = 1.0
    assert allowances.take("a") == 0


def test_so_many_clients_are_remembered_and_no_more() -> None:
    allowances = Allowances(1, 1, Seconds())
    for number in range(3 * _MOST_CLIENTS):
        allowances.take(str(number))
    assert len(allowances._left) == _MOST_CLIENTS


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
        ("a name", "a name", True),
    ],
)
def test_who_has_an_ipv6_address_has_its_network(one: str, other: str, same: bool) -> None:
    assert (client_of(one) == client_of(other)) is same


def scope(client: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "client": (client, 1),
        "headers": [(b"host", b"localhost")],
    }


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def nothing(_: object) -> None: ...


def test_one_client_has_so_many_answers_at_once_and_all_together_too() -> None:
    async def ask() -> list[int]:
        release = asyncio.Event()

        async def slow(*_: object) -> None:
            await release.wait()

        fair = Fairness(slow, Allowances(100, 100, Seconds()), most_at_once=2, most_of_all=3)
        clients = ("a", "a", "a", "b", "c")
        tasks = [asyncio.ensure_future(fair(scope(client), never, nothing)) for client in clients]
        await asyncio.sleep(0)
        release.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert fair._answering == {}
        return [one.status if isinstance(one, NotServedError) else 200 for one in found]

    assert asyncio.run(ask()) == [200, 200, 429, 200, 503]


def test_a_refusal_says_when_to_ask_again() -> None:
    sent: list[Any] = []

    async def app(_: object, __: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        guarded = Guard(Fairness(app, Allowances(1, 0.4, Seconds()), most_at_once=1, most_of_all=1))
        for _ in range(2):
            await guarded(scope("a"), never, send)

    asyncio.run(ask())
    assert [one["status"] for one in sent if "status" in one] == [200, 429]
    assert (b"retry-after", b"3") in sent[1]["headers"]
    assert b"too often" in sent[2]["body"]
