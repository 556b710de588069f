"""What ``cryoflux verify`` says of single flipped bits, anywhere in a state.

    python benchmarks/bit_flips.py --flips 10000

Each flip is made in a copy of a small, complete state (``tests/synthetic_state``), verified and undone. The
model of that state has several tensors, most of which its versions share, as after LoRA. A flip is

- *detected*: verification fails;
- *named*: a failed check names the file; or every entry whose row it changed or, in a database, hit;
- *located*: the entry was named, or the very bit or the tensor (or its line in the header) was found from
  signed digests alone (`verification.locating`), and it is the right one;
- *harmless*: verification passes, and reading everything again gives what was signed, byte for byte;
- *missed*: none of these. There must be none.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sqlite3
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import mkdtemp

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import synthetic_parts
from cryoflux.digests import CHECKSUMS, listed_digests, read_tensor_entries
from cryoflux.errors import CryoFluxError, StateTamperedError
from cryoflux.receipts.log import ReceiptLog
from cryoflux.receipts.store import Row, StoredRows
from cryoflux.signing.keys import load_public_key, raw_public_key
from cryoflux.verification.locating import damaged_tensor, flipped_bit, part_of, tensor_spans
from cryoflux.verification.result import Report, Status
from row_bytes import row_spans
from synthetic_state import SyntheticState, make_state
from verifying import verify_target

FROZEN = {f"frozen.{n}.weight": random.Random(n).randbytes(4096) for n in range(4)}  # noqa: S311


def layered_safetensors(values: list[float]) -> bytes:
    """A file like those of the synthetic state, with four tensors that are the same in every one."""
    body = {"w": struct.pack(f"<{len(values)}f", *values), **(FROZEN if len(values) == 3 else {})}
    header, place = [], 0
    for name, content in body.items():
        spec = f'"dtype":"F32","shape":[{len(content) // 4}],"data_offsets":[{place},{place + len(content)}]'
        header.append(f'"{name}":{{{spec}}}')
        place += len(content)
    text = ("{" + ",".join(header) + "}").encode()
    return len(text).to_bytes(8, "little") + text + b"".join(body.values())


def make_layered_state(path: Path) -> SyntheticState:
    """The synthetic state with models of five tensors."""
    plain = synthetic_parts.tiny_safetensors
    synthetic_parts.tiny_safetensors = layered_safetensors
    try:
        return make_state(path)
    finally:
        synthetic_parts.tiny_safetensors = plain


KINDS: dict[str, Callable[[Path], Iterable[Path]]] = {
    "database": lambda s: [s / "receipts.db"],
    "joule account": lambda s: [s / "account.db"],
    "tiles": lambda s: (s / "log" / "tile").rglob("*"),
    "checkpoint": lambda s: [s / "log" / "checkpoint"],
    "base and head models": lambda s: (s / "models").rglob("*.safetensors"),
    "adapters": lambda s: (s / "capsules").rglob("*.safetensors"),
    "configurations": lambda s: [*s.glob("models/*/*.json"), *s.glob("capsules/*/*.json")],
    "checksum files": lambda s: s.rglob(CHECKSUMS),
    "holdout": lambda s: s.glob("data/*/holdout.jsonl"),
    "other data": lambda s: [*s.glob("data/*/train.jsonl"), *s.glob("data/*/audit.jsonl")],
    "losses": lambda s: (s / "evidence").glob("*.bin"),
    "public keys": lambda s: (s / "keys").glob("*.pub"),
    "private keys": lambda s: (s / "keys").glob("*.pem"),
}


@dataclass
class Tally:
    """What became of the flips in one kind of file."""

    flips: int = 0
    detected: int = 0
    named: int = 0
    located: int = 0
    mislocated: int = 0
    harmless: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


def read_rows(path: Path) -> list[Row]:
    """Every row of a database of receipts; of a damaged one, what can be read."""
    found = []
    with closing(StoredRows(path)) as rows, suppress(StateTamperedError):
        for row in rows:
            found.append(row)  # noqa: PERF402 - what came before the damage counts
    return found


class Flipper:
    """A state that is flipped one bit at a time."""

    def __init__(self, made: SyntheticState) -> None:
        self.state = made.path
        self.rows = read_rows(self.state / "receipts.db")
        self.spans = [span for span in row_spans(self.state / "receipts.db") if span.own]
        self.account = dump(self.state / "account.db")
        self.keys = {path.name: public(path) for path in (self.state / "keys").glob("*.pub")}

    def flip(self, kind: str, path: Path, bit: int, tally: Tally) -> None:
        """Flip, verify, tally and undo."""
        content = path.read_bytes()
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        where, found = path.relative_to(self.state).as_posix(), None
        tally.flips += 1
        try:
            report = verify_target(self.state)
            if not report.ok:
                tally.detected += 1
                entries = self._entries(bit // 8) if kind == "database" else set()
                named = self._named(kind, where, report, entries)
                tally.named += named
                tally.located += named and bool(entries)
                found = self._located(path, bytes(changed))
            elif why := self._harmless(kind, path, bit // 8):
                tally.harmless[why] += 1
            else:
                tally.missed.append(f"{where}, bit {bit}")
        finally:
            path.write_bytes(content)
        if found is not None:
            part = part_of(tensor_spans(path), bit // 8) if path.suffix == ".safetensors" else ""
            right = found == bit if isinstance(found, int) else part in {found, "header"}
            tally.located += right
            tally.mislocated += not right

    def _named(self, kind: str, where: str, report: Report, entries: set[int]) -> bool:
        subjects = {check.subject for check in report.checks if check.status is Status.FAIL}
        if entries:
            return entries <= named_entries(subjects)
        if where in subjects or Path(where).name in subjects:
            return True
        # A whole state is named where its database cannot be read.
        return kind == "database" and str(self.state) in subjects

    def _hit(self, place: int) -> set[int]:
        return {span.rows[0] for span in self.spans if span.start <= place < span.end}

    def _entries(self, place: int) -> set[int]:
        """The entries that have the byte, and those that read differently or not at all for it."""
        try:
            rows = read_rows(self.state / "receipts.db")
        except CryoFluxError:
            return self._hit(place)
        changed = {n for n, (a, b) in enumerate(zip_longest(rows, self.rows)) if a != b}
        return changed | self._hit(place)

    def _harmless(self, kind: str, path: Path, place: int) -> str:
        """Why a flip that verifies is harmless; empty where it is not."""
        if kind == "database":
            why = "spells the same row" if self._hit(place) else "outside of every row"
            return why if read_rows(path) == self.rows else ""
        if kind == "joule account":
            return "unused page space" if self._same_account(path) else "a part that no receipt repeats"
        if kind == "public keys":
            return "spells the same key" if public(path) == self.keys[path.name] else ""
        if kind == "private keys":
            return self._opened(path)
        return ""

    def _same_account(self, path: Path) -> bool:
        try:
            return dump(path) == self.account
        except sqlite3.DatabaseError:
            return False

    def _opened(self, path: Path) -> str:
        # Verifying reads no private key. Writing does.
        try:
            ReceiptLog.open(self.state).close()
        except CryoFluxError:
            return "not read by verify; the next run refuses it"
        same = public(path.with_suffix(".pub")) == self.keys[f"{path.stem}.pub"]
        return "not read by verify; spells the same key" if same else ""

    def _signed(self, path: Path) -> str:
        if path.suffix == ".bin":
            return path.stem
        sums = listed_digests(path.parent) if (path.parent / CHECKSUMS).is_file() else {}
        return sums.get(path.name, "")

    def _located(self, path: Path, content: bytes) -> str | int | None:
        digest = self._signed(path)
        if not digest or path.name == CHECKSUMS:
            return None
        if (found := flipped_bit(content, digest)) is not None:
            return found
        if path.suffix == ".safetensors":
            return self._tensor(path)
        return None

    def _tensor(self, path: Path) -> str | None:
        try:
            here = read_tensor_entries(path)
            others = [
                e
                for other in path.parents[1].glob(f"*/{path.name}")
                if other != path
                for e in read_tensor_entries(other)
            ]
        except CryoFluxError:
            return "header"  # only a flip in the header makes it unreadable
        digest = path.parent.name
        return damaged_tensor(here, digest, others)


def named_entries(subjects: Iterable[str]) -> set[int]:
    """The entries that failed checks name, one by one or as a range."""
    found = [re.match(r"entr(?:y|ies) (\d+)(?: to (\d+))?(?: \(|$)", subject) for subject in subjects]
    return {n for one in found if one for n in range(int(one[1]), int(one[2] or one[1]) + 1)}


def dump(path: Path) -> list[object]:
    """Everything that a database says, as bytes: a flipped text need not be one."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
        said: list[object] = [*schema]
        for kind, name, _ in schema:
            if kind == b"table":
                said += connection.execute(f'SELECT * FROM "{name.decode()}"').fetchall()  # noqa: S608
        return said


def public(path: Path) -> bytes:
    """The bytes of a public key, whatever its file looks like."""
    return raw_public_key(load_public_key(path))


def files_of(kind: str, state: Path) -> list[Path]:
    """The files of a kind that have a byte to flip."""
    return sorted(path for path in KINDS[kind](state) if path.is_file() and path.stat().st_size)


def run(made: SyntheticState, flips: int, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> dict[str, Tally]:
    """So many flips, evenly over the kinds, at random bits."""
    dice, flipper = random.Random(seed), Flipper(made)  # noqa: S311
    tallies = {kind: Tally() for kind in kinds}
    for number in range(flips):
        kind = kinds[number % len(kinds)]
        files = files_of(kind, made.path)
        # A file as often as it is long, so that every bit of a kind is as likely as any other.
        path = dice.choices(files, [file.stat().st_size for file in files])[0]
        flipper.flip(kind, path, dice.randrange(8 * path.stat().st_size), tallies[kind])
    return tallies


def table(tallies: dict[str, Tally]) -> Iterator[str]:
    """A Markdown table."""
    yield "| where | flips | detected | of these named | of these located | harmless, and why | missed |"
    yield "|---|---|---|---|---|---|---|"
    for kind, tally in tallies.items():
        why = "; ".join(f"{count} {reason}" for reason, count in tally.harmless.most_common())
        counts = f"{tally.flips} | {tally.detected} | {tally.named} | {tally.located}"
        yield f"| {kind} | {counts} | {why or '0'} | {len(tally.missed)} |"


def main() -> None:
    """Flip, print the table, and fail where a flip was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(mkdtemp(prefix="cryoflux-flips-"))
    try:
        tallies = run(make_layered_state(folder / "state"), asked.flips, asked.seed)
    finally:
        shutil.rmtree(folder)
    print("\n".join(table(tallies)))
    wrong = sum(tally.mislocated for tally in tallies.values())
    print(f"\n{asked.flips} flips, {wrong} located wrongly, {time.process_time():.0f} CPU-s")
    missed = [where for tally in tallies.values() for where in tally.missed]
    if missed or wrong:
        raise SystemExit(f"Missed: {'; '.join(missed) or 'none'}")


if __name__ == "__main__":
    main()
