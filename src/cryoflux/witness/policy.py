"""Whom one trusts to have seen a log: a C2SP tlog-policy file.

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

A checkpoint satisfies the policy if one of its logs signed it, and the quorum cosigned it. A line can name
only what stands above it, and every name is a member of at most one group, so that a witness counts once.
Keys are Ed25519; a policy that names ML-DSA keys is refused rather than half understood. What the
specification leaves open is closed here: a log cannot be its own witness.
"""

from __future__ import annotations

__all__ = [
    "BOM",
    "MAX_CLOCK_SKEW_S",
    "MOST_POLICY_BYTES",
    "Group",
    "LogLine",
    "Policy",
    "PolicyReader",
    "WitnessLine",
    "parse_policy",
    "read_policy",
    "split_items",
]

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cryoflux.errors import UsageError, VerificationError
from cryoflux.files import read_beginning
from cryoflux.receipts.checkpoint import KeyType, VerifierKey, parse_verifier_key

MOST_POLICY_BYTES = 256 * 1024
"""of a policy's file"""
_NONE = "none"
BOM = b"\xef\xbb\xbf"
"""what some editors begin a file of UTF-8 with"""
_HINT = "See docs/how-to/witness-a-log.md for an example, and c2sp.org/tlog-policy for the rules."
MAX_CLOCK_SKEW_S = 300
"""how far the clock of an honest witness may be ahead of ours, s"""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log that is accepted."""

    key: VerifierKey
    url: str = ""


@dataclass(frozen=True, slots=True)
class WitnessLine:
    """A witness that is known."""

    name: str
    """within the policy only"""
    key: VerifierKey
    url: str = ""
    """where checkpoints are submitted to; empty where it is only verified"""


@dataclass(frozen=True, slots=True)
class Group:
    """Some witnesses or groups, of which ``needed`` have to agree."""

    name: str
    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Logs, witnesses, and how many of them make a quorum."""

    logs: tuple[LogLine, ...]
    witnesses: tuple[WitnessLine, ...]
    groups: tuple[Group, ...]
    quorum: str
    """name of a witness or group, or ``none``"""

    def log_keys(self, origin: str) -> list[VerifierKey]:
        """The keys that it names of a log: two for a while, where that has changed its key.

        Args:
            origin: of the log.
        """
        return [line.key for line in self.logs if line.key.name == origin]

    def reached(self, names: set[str]) -> bool:
        """Whether the witnesses of these names are a quorum."""
        found = set(names)
        for group in self.groups:  # members stand above their group
            if len(found.intersection(group.members)) >= group.needed:
                found.add(group.name)
        return self.quorum == _NONE or self.quorum in found

    def reached_at(self, times: Mapping[str, int]) -> int | None:
        """The latest time of which a quorum says that it, or a later one, was its own.

        Args:
            times: witness name → when it cosigned, POSIX seconds.

        Returns:
            That time; none where there is no quorum, or nobody is needed for one.
        """
        for time_s in sorted(set(times.values()), reverse=True):
            if self.reached({name for name, said in times.items() if said >= time_s}):
                return time_s
        return None

    def seen_by(self, times: Mapping[str, int]) -> int | None:
        """The earliest time by which a quorum had cosigned: when its last member had.

        That of a commitment: fewer witnesses than a quorum cannot date one back. `reached_at` is for a
        head that has to be fresh: fewer than a quorum cannot date one forward.

        Args:
            times: witness name → when it cosigned, POSIX seconds.

        Returns:
            That time; none where there is no quorum, or nobody is needed for one.
        """
        for time_s in sorted(set(times.values())):
            if self.reached({name for name, said in times.items() if said <= time_s}):
                return time_s
        return None

    @property
    def shared(self) -> int:
        """The fewest witnesses that any two quorums have in common; 0 too where nobody is needed for one.

        While fewer than these lie, no two histories of a log both have a quorum, and no copy is told to have
        been there before what it was made of (`cryoflux.network.head_times`).
        """
        fewest = {_NONE: 0} | {line.name: 1 for line in self.witnesses}
        for group in self.groups:  # so many of its members have to be in both
            in_both = max(0, 2 * group.needed - len(group.members))
            fewest[group.name] = sum(sorted(fewest[name] for name in group.members)[:in_both])
        return fewest[self.quorum]

    def describe(self) -> str:
        """The quorum in words, as far as one level of groups goes."""
        for group in self.groups:
            if group.name == self.quorum:
                return f"{group.needed} of {len(group.members)} ({', '.join(group.members)})"
        return self.quorum


@dataclass(slots=True)
class PolicyReader:
    """What the lines of a policy have said so far. Who knows further words adds them to `words`."""

    most_bytes: ClassVar[int] = MOST_POLICY_BYTES
    most_lines: ClassVar[int] = 1024
    logs: list[LogLine] = field(default_factory=list)
    witnesses: list[WitnessLine] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorum: str | None = None
    members: set[str] = field(default_factory=set)

    def words(self) -> dict[str, Callable[[Sequence[str]], None]]:
        """What a line may begin with → what takes its other items.

        Each raises a `ValueError` or a `VerificationError` where it cannot take them.
        """
        return {"log": self.log, "witness": self.witness, "group": self.group, "quorum": self.choose}

    def hint(self, keyword: str) -> str:
        """What tells how a line is written that begins with a word, which may be none of those known."""
        del keyword  # one page has them all
        return _HINT

    def read(self, content: bytes, where: str) -> Policy:
        """Take every line of a file.

        Raises:
            UsageError: a line cannot be taken, or none names the quorum.
        """
        fits = len(content) <= self.most_bytes
        lines = content.decode("utf-8", "surrogateescape").split("\n") if fits else []
        strange = _strange(content) if 0 < len(lines) <= self.most_lines else "is too long"
        if strange:
            raise _unusable(where, f"it {strange}")
        words = self.words()
        for number, line in enumerate(lines, start=1):
            keyword, *items = [item for item in line.replace("\t", " ").split(" ") if item] or ["#"]
            if keyword.startswith("#"):
                continue
            if keyword not in words:
                known = f"a line begins with one of {', '.join(words)}"
                said = f"line {number}: {keyword[:40]!r} is not known: {known}"
                raise _unusable(where, said, self.hint(keyword))
            try:
                words[keyword](items)
            except VerificationError as error:
                raise _unusable(where, f"line {number}: {error.what}", self.hint(keyword)) from error
            except ValueError as error:
                raise _unusable(where, f"line {number}: {error}", self.hint(keyword)) from error
        if self.quorum is None:
            raise _unusable(where, "it has no quorum line")
        return Policy(tuple(self.logs), tuple(self.witnesses), tuple(self.groups), self.quorum)

    @property
    def names(self) -> set[str]:
        """Those of witnesses and groups."""
        return {*(line.name for line in self.witnesses), *(group.name for group in self.groups)}

    def _new(self, name: str) -> str:
        if name == _NONE or name in self.names:
            raise ValueError(f"the name {name!r} is taken")
        return name

    def key(self, text: str, kind: KeyType) -> VerifierKey:
        """A key of a kind that no line above lists.

        Raises:
            ValueError: it is of another kind, or listed.
            VerificationError: it is no key.
        """
        key = parse_verifier_key(text)
        if key.kind is not kind:
            raise ValueError(f"{key.name} is not the key of a {kind.name.lower()}")
        listed = [*(line.key for line in self.logs), *(line.key for line in self.witnesses)]
        if key.raw in {other.raw for other in listed}:
            raise ValueError(f"the public key of {key.name} is listed twice")
        return key

    def log(self, items: Sequence[str]) -> None:
        """Accept a log."""
        vkey, url = split_items(items, 1, "log VKEY [URL]")
        self.logs.append(LogLine(self.key(vkey, KeyType.LOG), url))

    def witness(self, items: Sequence[str]) -> None:
        """Know a witness."""
        name, vkey, url = split_items(items, 2, "witness NAME VKEY [URL]")
        self.witnesses.append(WitnessLine(self._new(name), self.key(vkey, KeyType.WITNESS), url))

    def group(self, items: Sequence[str]) -> None:
        """Make a group of what stands above."""
        if len(items) < 3:
            raise _miscounted(items, "group NAME all|any|K MEMBER…")
        name, threshold, *members = items
        for member in members:
            if member not in self.names or member in self.members:
                raise ValueError(f"{member!r} is not defined above, or a member twice")
            self.members.add(member)
        self.groups.append(Group(self._new(name), _needed(threshold, len(members)), tuple(members)))

    def choose(self, items: Sequence[str]) -> None:
        """Name the quorum."""
        (name,) = split_items(items, 1, "quorum NAME|none")
        if self.quorum is not None:
            raise ValueError("there is more than one quorum line")
        if name not in {*self.names, _NONE}:
            raise ValueError(f"{name!r} is not defined above")
        self.quorum = name


def split_items(items: Sequence[str], least: int, form: str) -> list[str]:
    """The items of a line, as many as it may have; those that it leaves out are empty.

    Args:
        items: behind the word that it begins with.
        least: of them that it has to have.
        form: how such a line is written, with that word and all of them.

    Raises:
        ValueError: there are fewer or more.
    """
    most = form.count(" ")
    if not least <= len(items) <= most:
        raise _miscounted(items, form)
    return [*items, *[""] * (most - len(items))]


def _miscounted(items: Sequence[str], form: str) -> ValueError:
    count = f"{len(items)} item{'' if len(items) == 1 else 's'}"
    return ValueError(f"{count} behind {form.partition(' ')[0]!r}; it is written {form}")


def _needed(text: str, count: int) -> int:
    if text in {"all", "any"}:
        return count if text == "all" else 1
    if not text.isascii() or not text.isdecimal() or text.startswith("0") or not int(text[:9]) <= count:
        raise ValueError(f"{text!r} is not a threshold for {count} members")
    return int(text)


def parse_policy(content: bytes, where: str = "The policy") -> Policy:
    """Read a policy.

    Args:
        content: the file's bytes.
        where: what a message calls it.

    Raises:
        UsageError: it is not a policy, or names keys that are not known here.
    """
    return PolicyReader().read(content, where)


def _strange(content: bytes) -> str:
    """What no policy has; empty where there is nothing of it."""
    if content.startswith(BOM):
        return "begins with a byte order mark: save it as UTF-8 without BOM"
    if b"\r\n" in content:
        return "has lines that end with CRLF: save it with line ends of Unix (LF)"
    controls = any((byte < 32 and byte not in b"\t\n") or byte == 127 for byte in content)
    return "holds control characters" if controls else ""


def _unusable(where: str, reason: str, hint: str = _HINT) -> UsageError:
    return UsageError(
        f"{where} cannot be used: {reason.rstrip('.')}.",
        why="A policy that is half understood would trust somebody whom nobody named.",
        hint=hint,
    )


def read_policy(path: Path) -> Policy:
    """Read a policy file.

    Raises:
        UsageError: it cannot be read, or is not a policy.
    """
    try:
        content = read_beginning(path, MOST_POLICY_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"The policy {path} cannot be read: {error.strerror}.", hint="Name a tlog-policy file."
        ) from error
    return parse_policy(content, str(path))
