"""Nodes that introduce themselves: a signed word of who one is and where, which stands for a week.

Nobody is believed for it. Who introduces itself shows that it holds the key that its log is named after, and
that a quorum of this node's witnesses has seen that log: so nobody can put others' names here, or keys that
no witness knows. It then stands among what this node names to others, where a lottery may draw it
(`cryoflux.network.strangers`). Nothing is asked of the address that it gives: whoever draws it decides how
near that may be.

At most sixteen stand here. Where more come, each has a place in an order that is secret and drawn anew each
day, and the first sixteen stand: of M logs that stand or come within a day each does with a chance of 16 in
M, however early, late or often it comes. So a flood has its share by the number of its logs, and shuts nobody
out for good; what has to be remembered for that is the draw alone.
"""

from __future__ import annotations

__all__ = [
    "INTRODUCED_FOR_S",
    "Introduced",
    "IntroductionBody",
    "IntroductionReply",
    "Introductions",
    "introduced_here",
    "introduction_of",
]

import asyncio
import base64
import secrets
import threading
import time
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct, structs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cryoflux.digests import sha256_hex
from cryoflux.errors import CryoFluxError
from cryoflux.files import read_regular, write_atomic
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.node_file import hint_of
from cryoflux.network.peers import Peers, read_peers
from cryoflux.network.reaching import Reach, is_local_name, reach_of
from cryoflux.receipts.checkpoint import VerifierKey, named_after, parse_note, parse_verifier_key, verify_log
from cryoflux.serving.fairness import Allowances, client_of, too_often
from cryoflux.serving.routing import NotServedError, Reply, Request
from cryoflux.signing.ed25519 import verify_signature
from cryoflux.signing.keys import raw_key_id, raw_public_key
from cryoflux.witness.commitment import quorum_time

_DOMAIN = "cryoflux.dev/introduction/v1"
"""first line of what is signed; no checkpoint and no envelope begins so"""
_DAY_S = 86_400
INTRODUCED_FOR_S = 7 * _DAY_S
"""by the time that was signed"""
_AGAIN_S = 600
"""until a log that stands may change its address once more: each change makes a server publish anew"""
_CLOCKS_APART_S = 3600
_MOST = 16
_MOST_FILE_BYTES = 64 * 1024
_REFUSED = 422
_END_OF_CALENDARS_S = 253_402_300_800
"""the year 10000: no later time can be written"""


class Introduced(Struct, frozen=True):
    """A node that has introduced itself here."""

    key: str
    """of its log, as a C2SP verifier key"""
    url: str
    signed_s: int
    """by its clock, Unix seconds"""
    taken_s: int
    """by ours, the first time"""
    heard_s: int = 0
    """by ours, when it was last changed"""

    @property
    def origin(self) -> str:
        """Of its log."""
        return self.key.partition("+")[0]


class IntroductionBody(BaseModel):
    """`POST /v1/introduction`."""

    model_config = ConfigDict(extra="forbid")
    log_key: Annotated[str, Field(min_length=1, max_length=200)]
    """of the node's log, as a C2SP verifier key"""
    url: Annotated[str, Field(min_length=1, max_length=200)]
    """of its public tree"""
    to: Annotated[str, Field(min_length=1, max_length=200)]
    """origin of the log of the node that it is introduced to"""
    signed_at: Annotated[int, Field(ge=0, le=2**53, strict=True)]
    """Unix seconds"""
    receipt_key: Annotated[str, Field(min_length=44, max_length=44)]
    """that the log is named after, 32 bytes in base64"""
    signature: Annotated[str, Field(min_length=88, max_length=88)]
    """Ed25519 by that key over the five lines, 64 bytes in base64"""
    head: Annotated[str, Field(min_length=1, max_length=6000)]
    """of its log, with the cosignatures of witnesses"""

    @property
    def text(self) -> bytes:
        """The bytes that are signed."""
        lines = (_DOMAIN, self.to, self.log_key, self.url, str(self.signed_at))
        return "".join(f"{line}\n" for line in lines).encode()


class IntroductionReply(BaseModel):
    """What an introduction is answered with."""

    until: Annotated[int, Field(ge=0, lt=_END_OF_CALENDARS_S)]
    """Unix seconds until which it stands, unless others are drawn in its place"""


def introduction_of(
    key: VerifierKey, url: str, to: str, head: bytes, signer: Ed25519PrivateKey, now_s: int
) -> IntroductionBody:
    """What a node says to introduce itself.

    Args:
        key: of its log.
        url: of its public tree.
        to: origin of the log of the node that hears it.
        head: of its log, with cosignatures.
        signer: the receipt key that its log is named after.
        now_s: Unix seconds.
    """
    receipt_key = base64.b64encode(raw_public_key(signer.public_key())).decode()
    unsigned = IntroductionBody(
        log_key=str(key),
        url=url,
        to=to,
        signed_at=now_s,
        receipt_key=receipt_key,
        signature="A" * 88,
        head=head.decode(),
    )
    signature = base64.b64encode(signer.sign(unsigned.text)).decode()
    return unsigned.model_copy(update={"signature": signature})


def introduced_here(folder: NetworkFolder, now_s: float) -> list[Introduced]:
    """Who has introduced itself, and stands; nobody where what is kept is damaged.

    Args:
        folder: of the node's network.
        now_s: Unix seconds.
    """
    try:
        found = msgspec.json.decode(read_regular(folder.introduced, _MOST_FILE_BYTES), type=list[Introduced])
    except (OSError, msgspec.DecodeError):
        return []
    return [one for one in found[:_MOST] if _is_sound(one) and now_s - one.signed_s < INTRODUCED_FOR_S]


def _is_sound(one: Introduced) -> bool:
    return hint_of(one.key, one.url) is not None


class Introductions:
    """Takes introductions, where the file of peers says so.

    Args:
        folder: of the node's network.
        origin: of the node's own log.
        allowances: how often a client may try.
        now_s: tells the time, Unix seconds.
        salt: draws what the order of a day follows from; nobody else may know it.
    """

    def __init__(
        self,
        folder: NetworkFolder,
        origin: str,
        allowances: Allowances | None = None,
        now_s: Callable[[], float] = time.time,
        salt: Callable[[], bytes] = lambda: secrets.token_bytes(32),
    ) -> None:
        self._folder, self._origin, self._now_s = folder, origin, now_s
        self._draw = _Draw(salt)
        self._allowances = allowances or Allowances(2, 0.2)
        self._turn = threading.Lock()

    async def take(self, request: Request) -> Reply:
        """Keep an introduction.

        Raises:
            NotServedError: none are taken here, the client tries too often, this is none or does not hold,
                others were drawn for all places, or its address was changed a moment ago.
        """
        if wait_s := self._allowances.take(client_of(request.client)):
            raise too_often(wait_s)  # before the file of peers is read, which may be long
        peers = await asyncio.to_thread(read_peers, self._folder.known_peers)
        if peers.introductions is None:
            raise NotServedError(403, "This node takes no introductions: its owner names whom it knows.")
        try:
            said = IntroductionBody.model_validate_json(request.body)
        except ValidationError as error:
            raise NotServedError(_REFUSED, "This is no introduction.") from error
        until = await asyncio.to_thread(self._keep, said, peers)
        return Reply(IntroductionReply(until=until).model_dump_json().encode(), 202)

    def _keep(self, said: IntroductionBody, peers: Peers) -> int:
        now_s = int(self._now_s())
        key = _held_to(said, peers, self._origin, now_s)
        with self._turn:
            standing = introduced_here(self._folder, now_s)
            new = Introduced(str(key), said.url.rstrip("/"), said.signed_at, now_s, now_s)
            kept = _with(standing, new, self._draw.at(now_s))
            if kept != standing:
                write_atomic(self._folder.introduced, msgspec.json.encode(kept), mode=0o600)
        return next(one.signed_s for one in kept if one.origin == new.origin) + INTRODUCED_FOR_S


def _held_to(said: IntroductionBody, peers: Peers, origin: str, now_s: int) -> VerifierKey:
    """The key of a log whose owner has signed an introduction that holds here.

    Raises:
        NotServedError: it does not.
    """
    hint = hint_of(said.log_key, said.url)
    if hint is None or parse_verifier_key(said.log_key).name == origin:
        raise NotServedError(_REFUSED, "This is no key and address of a node.")
    key, url = hint
    if said.to != origin or abs(now_s - said.signed_at) > _CLOCKS_APART_S:
        raise NotServedError(_REFUSED, "It is for another node, or was signed at another time than now.")
    host, nearest = urlsplit(url).hostname or "", peers.introductions or Reach.PUBLIC
    if reach_of(host) > nearest or (nearest is Reach.PUBLIC and is_local_name(host)):
        raise NotServedError(_REFUSED, "The address is of a private network: nobody out there can use it.")
    try:
        raw, signature = base64.b64decode(said.receipt_key), base64.b64decode(said.signature)
    except ValueError as error:
        raise NotServedError(_REFUSED, "Its key or signature is no base64.") from error
    if named_after(raw_key_id(raw)) != key.name or not verify_signature(raw, said.text, signature):
        raise NotServedError(_REFUSED, "It is not signed by the key that its log is named after.")
    _seen_by_quorum(said, key, peers)
    return key


def _seen_by_quorum(said: IntroductionBody, key: VerifierKey, peers: Peers) -> None:
    """Hold the head to its log and to the witnesses.

    The head is not in what is signed, as it is public: whoever has heard an introduction may bring it once
    more with another head of the same log. What it comes to is what the owner of the log has signed, for this
    node and this hour, and an older word never takes the place of a newer one. So that harms nobody.

    Raises:
        NotServedError: it is of another log, or no quorum has seen it.
    """
    try:
        note = parse_note(said.head.encode())
        verify_log(note, key)
        reached, time_s = quorum_time(note, peers.policy)
    except CryoFluxError as error:
        raise NotServedError(_REFUSED, "Its head is not one of its log.") from error
    if not reached or time_s is None:
        raise NotServedError(_REFUSED, "No quorum of the witnesses that this node trusts has seen its log.")


class _Draw:
    """The order in which logs have places: another one each day, and known to nobody else.

    Args:
        salt: draws what it follows from.
    """

    def __init__(self, salt: Callable[[], bytes]) -> None:
        self._new_salt, self._salt, self._drawn_s, self.left_s = salt, b"", 0, 0

    def at(self, now_s: int) -> _Draw:
        """The same by now: drawn anew after a day, and where a clock went back."""
        if not (self._salt and 0 <= now_s - self._drawn_s < _DAY_S):
            self._salt, self._drawn_s = self._new_salt(), now_s
        self.left_s = self._drawn_s + _DAY_S - now_s
        return self

    def place(self, one: Introduced) -> str:
        """By which nodes are in order: it hangs on the log alone, so asking again is no other draw."""
        return sha256_hex(self._salt + one.origin.encode())


def _with(standing: list[Introduced], new: Introduced, draw: _Draw) -> list[Introduced]:
    """Those that stand, and a new one where it is among the first.

    Raises:
        NotServedError: others are drawn for all places, or it has changed its address a moment ago.
    """
    known = next((one for one in standing if one.origin == new.origin), None)
    if known is not None:
        again = _said_again(known, new)
        return [again if one is known else one for one in standing]
    every = [*standing, new]
    first = sorted(every, key=draw.place)[:_MOST]
    if new not in first:
        what = f"{_MOST} nodes stand here, drawn among all that come within a day: this one was not."
        raise NotServedError(429, what, _after(draw.left_s))
    return [one for one in every if one in first]


def _said_again(known: Introduced, new: Introduced) -> Introduced:
    """What stands of a log that says it again: of one word nothing changes, of a newer one now and then.

    Raises:
        NotServedError: it has changed a moment ago.
    """
    if new.signed_s <= known.signed_s:
        return known
    wait_s = known.heard_s + _AGAIN_S - new.heard_s
    if not 0 < wait_s <= _AGAIN_S:
        return structs.replace(new, taken_s=known.taken_s)
    if new.url == known.url:
        return known
    raise NotServedError(429, "It was introduced at another address a moment ago.", _after(wait_s))


def _after(wait_s: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", b"%d" % wait_s),)
