"""Asking the witnesses of a policy for their cosignatures, all at once and never for longer than agreed.

Each witness has a thread that nobody waits for beyond the time-out: one that is down, slow, or answers
nonsense delays nothing but its own line. What a witness answers is verified here before it counts.

That a witness knows another history of the log is believed only of a head that the log's own key signed,
which the witness shows to anybody (``GET <origin hash>/checkpoint``): a bare size may be anything, and a
witness that accepts new logs may know somebody else's under this log's name.
"""

from __future__ import annotations

__all__ = ["Answer", "Collected", "WitnessClient"]

import hashlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from cryoflux.errors import CryoFluxError, VerificationError
from cryoflux.receipts.checkpoint import (
    MAX_NOTE_BYTES,
    Note,
    NoteSignature,
    VerifierKey,
    cosigned_at,
    parse_note,
    verify_log,
    with_signatures,
)
from cryoflux.receipts.merkle import verify_consistency
from cryoflux.witness.policy import MAX_CLOCK_SKEW_S, Policy, WitnessLine
from cryoflux.witness.submission import SIZE_TYPE, Submission

Prove = Callable[[int], Sequence[bytes]]
"""Makes the consistency proof from a smaller size to the size of the checkpoint; called from threads."""
_PLAIN = {"accept-encoding": "identity"}
"""what is unpacked may be a thousand times as large as what came"""
_BARE = "nothing follows from that alone, though a restored backup looks like this, too"
_NOT_CONTINUED = "does not find that this checkpoint continues the last one that it cosigned"
_TRIES = 3
"""a first guess at the size, the size that it answers, and once more if another submission came between"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one witness made of a checkpoint."""

    witness: str
    """its name in the policy"""
    line: NoteSignature | None
    """its cosignature, verified; none where there is a problem"""
    problem: str = ""
    disputed: bool = False
    """whether it shows a head of this log, signed by its key, that excludes this one"""


@dataclass(frozen=True, slots=True)
class Collected:
    """A checkpoint with the cosignatures that came in time."""

    note: bytes
    answers: tuple[Answer, ...]
    """those that came in time, in the order of the policy"""
    reached: bool
    """whether they are the policy's quorum"""
    needed: str
    """the quorum in words"""

    @property
    def problems(self) -> tuple[str, ...]:
        """What witnesses complain about, or is wrong with them."""
        return tuple(f"{answer.witness}: {answer.problem}" for answer in self.answers if answer.problem)

    @property
    def disputed(self) -> bool:
        """Whether a witness knows another history of this log."""
        return any(answer.disputed for answer in self.answers)


class WitnessClient:
    """The witnesses of a policy that have a URL.

    Args:
        policy: names them.
        log: the key of the log, brought to a witness that accepts new logs.
        timeout_s: how long one submission may take, s.
        now: wall time, POSIX seconds.
    """

    def __init__(
        self,
        policy: Policy,
        log: VerifierKey,
        *,
        timeout_s: float = 5.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.policy = policy
        self._log = log
        self._now = now
        self._timeout_s = timeout_s
        self._sizes: dict[str, int] = {}
        self._http = httpx2.Client(timeout=timeout_s, trust_env=False, follow_redirects=False, headers=_PLAIN)

    def submit(self, note: bytes, prove: Prove, *, wait_for_all: bool = False) -> Collected:
        """Ask all witnesses; return once there is a quorum, or the time is over.

        Args:
            note: the checkpoint that the log signed.
            prove: makes consistency proofs to it.
            wait_for_all: whether to wait for witnesses beyond a quorum, within the time-out.

        Raises:
            VerificationError: the note is malformed.
        """
        until_s = time.monotonic() + self._timeout_s
        parsed = parse_note(note)
        answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        asked = [line for line in self.policy.witnesses if line.url]
        for line in asked:
            ask = _Asking(self, line, parsed, prove, until_s, answers)
            threading.Thread(target=ask.run, name=f"witness {line.name}", daemon=True).start()
        found: dict[str, Answer] = {}
        while len(found) < len(asked) and (wait_for_all or not self._reached(found)):
            try:
                answer = answers.get(timeout=max(0.0, until_s - time.monotonic()))
            except queue.Empty:
                break
            found[answer.witness] = answer
        for line in asked:
            if line.name not in found and not self._reached(found):
                found[line.name] = Answer(line.name, None, "did not answer in time")
        ordered = tuple(found[line.name] for line in asked if line.name in found)
        lines = [answer.line for answer in ordered if answer.line is not None]
        cosigned = with_signatures(note, lines)
        return Collected(cosigned, ordered, self._reached(found), self.policy.describe())

    def _reached(self, found: dict[str, Answer]) -> bool:
        return self.policy.reached({name for name, answer in found.items() if answer.line is not None})

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class _NoAnswerError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Asking:
    """One witness, asked about one checkpoint."""

    client: WitnessClient
    line: WitnessLine
    note: Note
    prove: Prove
    until_s: float
    answers: queue.SimpleQueue[Answer]

    def run(self) -> None:
        try:
            answer = self._ask()
        except _NoAnswerError as error:
            answer = Answer(self.line.name, None, str(error))
        except (CryoFluxError, OSError) as error:
            answer = Answer(self.line.name, None, f"was not asked, because nothing could be proven: {error}")
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, RuntimeError, ValueError) as error:
            answer = Answer(self.line.name, None, f"cannot be reached ({type(error).__name__})")
        self.answers.put(answer)

    def _ask(self) -> Answer:
        sizes, name = self.client._sizes, self.line.name  # noqa: SLF001 - its own thread
        for _ in range(_TRIES):
            old_size = min(sizes.get(name, 0), self.note.checkpoint.size)
            proof = tuple(self.prove(old_size)) if old_size else ()
            status, kind, body = self._post("add-checkpoint", Submission(old_size, proof, self.note).body)
            if status == 200:
                line = self._verified(body)
                sizes[name] = self.note.checkpoint.size
                return Answer(name, line)
            if status == 404 and self._introduced():
                continue
            if status == 422:
                return self._refused(_NOT_CONTINUED)
            if status != 409 or kind.partition(";")[0].strip() != SIZE_TYPE:
                return Answer(name, None, _refusal(status, self.client._log))  # noqa: SLF001
            known = _size(body)
            if known > self.note.checkpoint.size:
                return self._refused(f"says that it has cosigned {known} entries of this log")
            if known == old_size:
                return self._refused(f"says that it has cosigned {known} other entries of this log")
            sizes[name] = known
        return Answer(name, None, "its size keeps changing, so another process submits the same log")

    def _refused(self, said: str) -> Answer:
        """What to make of a witness that knows something else: it has to show what."""
        log, ours, name = self.client._log, self.note.checkpoint, self.line.name  # noqa: SLF001
        origin_hash = hashlib.sha256(ours.origin.encode()).hexdigest()
        status, _, body = self._exchange("GET", f"{origin_hash}/checkpoint")
        try:
            shown = parse_note(body) if status == 200 else None
        except VerificationError:
            shown = None
        if shown is None or shown.checkpoint.origin != ours.origin:
            return Answer(name, None, f"{said}, and shows no head of it: {_BARE}")
        theirs = shown.checkpoint
        try:
            verify_log(shown, log)
        except VerificationError:
            return Answer(name, None, _of_a_stranger(theirs.size, log))
        if theirs.size <= ours.size:
            proof = tuple(self.prove(theirs.size)) if theirs.size else ()
            if verify_consistency(theirs.size, ours.size, theirs.root, ours.root, proof):
                return Answer(name, None, f"{said}, but shows a head that this log continues: try again")
        return Answer(name, None, _dispute(theirs.size, ours.size), disputed=True)

    def _introduced(self) -> bool:
        status, _, _ = self._post("add-log", f"{self.client._log}\n".encode())  # noqa: SLF001
        return status == 200

    def _post(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        return self._exchange("POST", path, body)

    def _exchange(self, method: str, path: str, body: bytes | None = None) -> tuple[int, str, bytes]:
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise _NoAnswerError("does not answer in time")
        url, content = f"{self.line.url.rstrip('/')}/{path}", b""
        http = self.client._http  # noqa: SLF001
        with http.stream(method, url, content=body, timeout=left_s) as response:
            # The library's time-out starts anew with every byte; an answer in drops would last for ever.
            for chunk in response.iter_raw():
                content += chunk
                if len(content) > MAX_NOTE_BYTES or time.monotonic() > self.until_s:
                    raise _NoAnswerError("answers without end")
            return response.status_code, response.headers.get("content-type", ""), content

    def _verified(self, body: bytes) -> NoteSignature:
        try:
            answered = parse_note(Note(self.note.checkpoint, ()).content + body)
            if (time_s := cosigned_at(answered, self.line.key)) is None:
                raise _NoAnswerError("answers with the cosignature of another key")
            if not time_s:
                raise _NoAnswerError("answers with a cosignature that says no time")
            if (ahead_s := time_s - int(self.client._now())) > MAX_CLOCK_SKEW_S:  # noqa: SLF001
                raise _NoAnswerError(f"says a time that is {ahead_s} s ahead of this machine's clock")
        except VerificationError as error:
            raise _NoAnswerError(f"answers nonsense: {error.what}") from error
        named = (self.line.key.name, self.line.key.id)
        return [line for line in answered.signatures if (line.name, line.key_id) == named][-1]


def _size(body: bytes) -> int:
    text = body.removesuffix(b"\n")
    if not text.isdigit() or len(text) > 18:
        raise _NoAnswerError("answers a conflict without a size")
    return int(text)


def _of_a_stranger(size: int, log: VerifierKey) -> str:
    return (
        f"has cosigned {size} entries under this log's name that another key signed, which are not this "
        f"log's unless it had another key before: ask whoever runs it; this log's key is {log}"
    )


def _dispute(known: int, ours: int) -> str:
    if known > ours:
        return (
            f"has cosigned {known} entries of this log, which has {ours} here: a restored backup or a copied "
            "state, or some were lost or removed"
        )
    return (
        f"has cosigned {known} other entries of this log: a copied state that was run too, or another history"
    )


def _refusal(status: int, log: VerifierKey) -> str:
    if status in {403, 404}:
        return f"does not know this log, or its key: ask for {log} to be added"
    return f"refuses with status {status}"
