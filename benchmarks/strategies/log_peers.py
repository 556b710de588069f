"""Layer S2, *logs*: lives of peers that answer as no server should, and of networks that are cut.

Misbehaving peers are real servers on loopback, asked by the real fetcher with short bounds; the trees of
honest nodes are read where they lie.
"""

from __future__ import annotations

__all__ = ["PEER_LIVES"]

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import bad_peer
from bad_peer import BadPeer, Conversation, Odd, answer
from strategies.log_node import LogNode, file_of
from strategies.log_world import LogWorld, Site, tree_site

_SLOW: Sequence[Odd] = (
    *(bad_peer.silent, bad_peer.half_an_answer, bad_peer.dripping_headers, bad_peer.dripping_body),
    *(bad_peer.promises_without_end, bad_peer.hang_up),
)
_HUGE: Sequence[Odd] = (
    *(bad_peer.endless, bad_peer.endless_chunks, bad_peer.endless_headers, bad_peer.endless_continues),
    *(bad_peer.packed, bad_peer.no_number),
)
_STAGES = ("log/checkpoint", "log/tile", "log/heads", "node.json", "capsules/", "/")
"""from which part of a tree on a peer misbehaves; the last is all of it"""


def _misbehaves(ways: Callable[[LogWorld, LogNode], Sequence[Odd]]) -> Callable[[LogWorld, int], None]:
    """A node whose server answers a part of what is asked in one of some ways, and the rest as it should."""

    def life(world: LogWorld, offers: int) -> None:
        cheat = world.cheat()
        odd, stage = world.rng.choice(ways(world, cheat)), world.rng.choice(_STAGES)

        def answers(said: Conversation) -> None:
            content = tree_site(cheat, said.path.lstrip("/"), "")
            if stage in said.path:
                odd(said)
            elif content is None:
                bad_peer.not_here(said)
            else:
                said.say(answer(content))

        with bad_peer.bad_peer(answers) as peer:
            cheat.address = peer.url
            for number, node in enumerate(world.live(offers, pulls=1)):
                original = world.rng.choice(node.offered)
                if number % 2:
                    world.copy(cheat, original, original.content)
                else:
                    world.offer(cheat, file_of("cheat", number))
                world.show(cheat)
            world.until_pulled()
            world.told["requests to it"] += len(peer.asked)
            world.told["KiB that it sent"] += peer.sent >> 10

    return life


def _redirects(world: LogWorld, _cheat: LogNode) -> Sequence[Odd]:
    """To a file, to elsewhere, and to a server of its own, which nobody may ask."""
    trap = BadPeer(lambda _said: _fall(world))
    world.closing.callback(trap.close)

    def to_the_trap(said: Conversation) -> None:
        where = f"location: {trap.url}{said.path}"
        said.say(
            answer(b"", where, status=world.rng.choice(["301 Moved", "302 Found", "307 Moved", "308 Moved"]))
        )

    return [bad_peer.elsewhere, bad_peer.to_a_file, to_the_trap]


def _fall(world: LogWorld) -> None:
    world.harms["a redirect is followed"] += 1
    raise ConnectionError


def _frozen(world: LogWorld) -> dict[str, Site]:
    """What is there now, as it stays for somebody who is cut off; witnesses do not answer."""
    found: dict[str, Site] = {f"{seer.name}.example": lambda _path, _reader: None for seer in world.seers}
    for node in world.own:
        files = {
            path.relative_to(node.public).as_posix(): path.read_bytes()
            for path in node.public.rglob("*")
            if path.is_file()
        }
        found[f"{node.name}.example"] = partial(_kept, files)
    return found


def _kept(files: Mapping[str, bytes], path: str, _reader: str) -> bytes | None:
    return files.get(path)


def _cut(world: LogWorld, cut: dict[str, dict[str, Site]]) -> None:
    """Let readers be shown other sites than those that are there: reader → address → site."""

    def shown(host: str, true: Site, path: str, reader: str) -> bytes | None:
        return cut.get(reader, {}).get(host, true)(path, reader)

    world.sites |= {host: partial(shown, host, true) for host, true in world.sites.items()}


def eclipses(world: LogWorld, offers: int) -> None:
    """For a third of a life one reader sees the past of others, no witness, and the copies of the cheat."""
    cheat, begun = world.cheat(), offers // 3
    cut: dict[str, dict[str, Site]] = {}
    _cut(world, cut)
    stolen = 0
    for node in world.live(offers):
        done = sum(len(one.offered) for one in world.own)
        original = world.rng.choice(node.offered)
        world.copy(cheat, original, original.content)
        world.show(cheat)
        if done >= begun and not stolen:
            cut["two"] = _frozen(world)
        if "two" in cut:
            stolen += 1
            world.readers[1].pull()
        if stolen > offers // 9:
            cut.clear()
    cut.clear()
    world.until_pulled()


def is_cut_in_two(world: LogWorld, offers: int) -> None:
    """For half of a life no half of the nodes and readers sees the other, and one has a single witness."""
    halves = {"one": world.own[::2], "two": world.own[1::2]}
    seers = {"one": world.seers[:2], "two": world.seers[2:]}
    cut: dict[str, dict[str, Site]] = {}
    _cut(world, cut)
    side = {node: name for name, nodes in halves.items() for node in nodes}

    def unseen(name: str) -> dict[str, Site]:
        hidden = [node.name for node, where in side.items() if where != name]
        hidden += [seer.name for where, some in seers.items() if where != name for seer in some]
        return {f"{one}.example": lambda _path, _reader: None for one in hidden}

    cut |= {name: unseen(name) for name in halves}
    world.seers_of = lambda node: seers[side[node]]
    for number, _node in enumerate(world.live(offers)):
        if number == offers // 6:
            cut.clear()
            world.seers_of = None
    cut.clear()
    world.seers_of = None
    for node in world.own:
        world.show(node)
    world.until_pulled()


PEER_LIVES: dict[str, Callable[[LogWorld, int], None]] = {
    "eclipse": eclipses,
    "slow-loris": _misbehaves(lambda _world, _cheat: _SLOW),
    "huge tile": _misbehaves(lambda _world, _cheat: _HUGE),
    "redirects": _misbehaves(_redirects),
    "partition": is_cut_in_two,
}
"""name of a strategy → its life in real logs"""
