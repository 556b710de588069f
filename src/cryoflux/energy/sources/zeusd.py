"""RAPL counters through zeusd, the daemon of the Zeus project, for those who may not read them.

zeusd reads RAPL as root and serves cumulative joules over a Unix socket or TCP (its API as of version
0.5: ``/discover``, ``/cpu/get_cumulative_energy``, ``/cpu/get_power_limit``). It adds a counter range at each
wrap that it sees, so what it serves does not wrap (``range_uj`` is none). A zeusd that was started again has
forgotten the ranges: its counter falls to where RAPL stands, which is not what has flowed since, and so it
is another epoch and not a reset. zeusd sees a wrap when somebody reads, by itself only every 30 s in newer
versions, so sources are to be read at least once a minute.

zeusd numbers all top zones as CPUs, the platform zone (psys) and memory too, and does not tell their names.
Names may be read by everybody, so a zone that is named here and is memory is counted as such, and one that is
neither a package nor memory is left out.

A counter of another machine is worse than none, so TCP is used on loopback only. No answer takes longer than
half a second, and after one that did not come, zeusd is left alone for a while.
"""

from __future__ import annotations

__all__ = ["ZeusdSource", "find_zeusd", "zeusd_address"]

import contextlib
import ipaddress
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.power_bounds import CEILING_W, PlausiblePower, ZoneKind, bound_uw
from cryoflux.energy.sources.rapl import RAPL_RESOLUTION_UJ
from cryoflux.energy.sources.still_counter import WATCHED_S, standing_still
from cryoflux.quantities import MICRO, Tier

_TIMEOUT_S = 0.5
_LEAVE_ALONE_NS = 5 * BILLION
"""After an answer that did not come in time."""
_FRESH_NS = BILLION // 20
"""One answer holds all counters; sources read one after the other share it."""
_LIMITS_EVERY_NS = 60 * BILLION
_LONGEST_ANSWER = 1 << 18


def zeusd_address(environ: Mapping[str, str]) -> str:
    """Where zeusd is by the variables that Zeus itself goes by; empty where they are not set."""
    return environ.get("ZEUSD_SOCK_PATH") or environ.get("ZEUSD_HOST_PORT") or ""


class _Refused(Exception):  # noqa: N818
    """No answer, or not one that can be used; says why."""


@dataclass(frozen=True, slots=True)
class _Served:
    """One number in zeusd's answer."""

    cpu: str
    part: Literal["cpu", "dram"]
    """which of the two numbers of that CPU"""
    kind: SourceKind
    """what it counts: the CPU's number is memory's where the zone is"""

    @property
    def name(self) -> str:
        return f"zeusd:cpu-{self.cpu}" if self.kind == self.part == "cpu" else f"zeusd:cpu-{self.cpu}:dram"


@dataclass(slots=True)
class _Answer:
    energies: dict[str, dict[str, int | None]]
    """CPU number → ``cpu_energy_uj`` and ``dram_energy_uj``; empty where there was no answer"""
    monotonic_ns: int
    used_by: set[str]


class _Zeusd:
    """One daemon, asked with one short connection at a time."""

    def __init__(self, address: str, clock: Clock, token: str) -> None:
        self._address = address
        self._clock = clock
        self._token = token
        self._last: _Answer | None = None
        self._silent_until_ns = 0
        self._limits: dict[tuple[str, str], int] = {}
        self._limits_ns: int | None = None

    def limit_uw(self, cpu: str, kind: str) -> int:
        """The largest limit that is stated, asked for once a minute: it may be raised. 0 where none is."""
        now_ns = self._clock.monotonic_ns()
        due = self._limits_ns is None or now_ns - self._limits_ns >= _LIMITS_EVERY_NS
        if due and now_ns >= self._silent_until_ns:
            self._limits_ns = now_ns
            self._limits |= _limits(self)
        return self._limits.get((cpu, kind), 0)

    def energies(self, name: str) -> _Answer:
        """All counters: those of the last answer where ``name`` has not had it and it is fresh."""
        now_ns = self._clock.monotonic_ns()
        last = self._last
        if last is None or name in last.used_by or now_ns - last.monotonic_ns > _FRESH_NS:
            last = self._last = _Answer(self._ask(now_ns), self._clock.monotonic_ns(), set())
        last.used_by.add(name)
        return last

    def _ask(self, now_ns: int) -> dict[str, dict[str, int | None]]:
        if now_ns < self._silent_until_ns:
            return {}
        try:
            answer = self.get("/cpu/get_cumulative_energy?cpu=true&dram=true")
        except TimeoutError:
            self._silent_until_ns = self._clock.monotonic_ns() + _LEAVE_ALONE_NS
            return {}
        except (OSError, _Refused):
            return {}
        return answer if isinstance(answer, dict) else {}

    def get(self, path: str) -> Any:
        """The JSON that is served there.

        Raises:
            OSError: no connection; TimeoutError where no answer came in time.
            _Refused: another answer than JSON with status 200.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        with contextlib.closing(self._connect(deadline)) as connection:
            connection.sendall(self._request(path))
            head, body = _receive(connection, deadline)
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise _Refused(f"it answers {b' '.join(status[1:]).decode('ascii', 'replace') or 'nothing'}")
        try:
            return json.loads(body)
        except ValueError as error:
            raise _Refused("it does not answer in JSON") from error

    def _connect(self, deadline: float) -> socket.socket:
        host, colon, port = self._address.rpartition(":")
        by_tcp = bool(colon) and port.isdigit() and "/" not in self._address
        if by_tcp:
            return socket.create_connection((host.strip("[]"), int(port)), timeout=_left(deadline))
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(_left(deadline))
            connection.connect(self._address.removeprefix("unix:"))
        except OSError:
            connection.close()
            raise
        return connection

    def _request(self, path: str) -> bytes:
        lines = [f"GET {path} HTTP/1.0", "Host: localhost", "Accept: application/json"]
        if self._token:
            lines.append(f"Authorization: Bearer {self._token}")
        return "\r\n".join([*lines, "", ""]).encode("ascii", "replace")

    def remote(self) -> bool:
        """Whether the address may be another machine's."""
        host, colon, port = self._address.rpartition(":")
        if not colon or not port.isdigit() or "/" in self._address:
            return False
        try:
            return not ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            return host != "localhost"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _receive(connection: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    data, wanted = b"", _LONGEST_ANSWER
    while len(data) < wanted:
        connection.settimeout(_left(deadline))
        part = connection.recv(65536)
        if not part:
            break
        data += part
        head, end, _ = data.partition(b"\r\n\r\n")
        if end and wanted == _LONGEST_ANSWER:
            wanted = min(wanted, len(head) + len(end) + _length(head))
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == b"content-length" and value.strip().isdigit():
            return int(value)
    return _LONGEST_ANSWER


class ZeusdSource:
    """One CPU package, or its memory, as zeusd counts it."""

    tier = Tier.COUNTER
    curve = ""
    gain_error = (0.95, 1.05)
    poll_s = 1.0
    update_s = 0.0
    resolution_uj = RAPL_RESOLUTION_UJ
    range_uj: int | None = None
    idle_uw: int | None = None

    def __init__(
        self,
        zeusd: _Zeusd,
        counter: _Served,
        clock: Clock,
        plausible: PlausiblePower,
    ) -> None:
        self.name = counter.name
        self.kind: SourceKind = counter.kind
        self._counter = counter
        self._what: ZoneKind = "package" if counter.kind == "cpu" else "dram"
        self._zeusd = zeusd
        self._plausible = plausible
        self.max_power_uw = self._bound_uw()
        self.ceiling_uw = CEILING_W[self._what] * MICRO
        self._clock = clock
        self._last_uj = 0
        self._falls = 0

    def read(self) -> Reading:
        """The counter now; none when zeusd does not answer, which takes half a second at most."""
        answer = self._zeusd.energies(self.name)
        row = answer.energies.get(self._counter.cpu)
        self.max_power_uw = self._bound_uw()
        value = row.get(f"{self._counter.part}_energy_uj") if isinstance(row, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return Reading(None, answer.monotonic_ns, self._epoch())
        self._falls += value < self._last_uj
        self._last_uj = value
        return Reading(value, answer.monotonic_ns, self._epoch())

    def _bound_uw(self) -> int:
        limit_uw = self._zeusd.limit_uw(self._counter.cpu, self._counter.part)
        return bound_uw(self._what, limit_uw, self._plausible)

    def _epoch(self) -> str:
        return f"{self._clock.epoch()}/{self._falls}"

    def users(self) -> None:
        """Not told."""

    def close(self) -> None:
        """Nothing is held open."""


def find_zeusd(
    address: str,
    clock: Clock,
    *,
    token: str = "",
    powercap_root: str = "/sys/class/powercap",
    plausible: PlausiblePower | None = None,
) -> tuple[list[ZeusdSource], list[Problem]]:
    """The CPU packages that zeusd counts, and why it is not used.

    Args:
        address: path of its Unix socket, or ``host:port`` on loopback.
        clock: the time.
        token: what it asks for where its operator has switched authentication on (``ZEUSD_TOKEN``).
        powercap_root: where the names of the zones are, if anywhere.
        plausible: a limit that is stated above it is none; by default, what no zone exceeds.
    """
    zeusd = _Zeusd(address, clock, token)
    if zeusd.remote():
        reason = f"{address} may be another machine, whose joules are not ours"
        return [], [Problem("zeusd", reason, "zeusd-remote")]
    try:
        counters = _counters(_cpus(zeusd.get("/discover")), powercap_root)
        if not any(counter.kind == "cpu" for counter in counters):
            return [], [Problem("zeusd", f"zeusd at {address} serves no CPU", "zeusd-without-cpu")]
        zeusd.get("/cpu/get_cumulative_energy?cpu=true&dram=true")
    except TimeoutError:
        return [], [Problem("zeusd", f"zeusd at {address} does not answer", "no-zeusd")]
    except OSError as error:
        return [], [Problem("zeusd", f"no zeusd at {address} ({error.strerror or error})", "no-zeusd")]
    except _Refused as error:
        return [], [Problem("zeusd", f"zeusd at {address} gives no CPU energy: {error}", "zeusd-refused")]
    return _readable(zeusd, counters, clock, plausible or PlausiblePower())


def _readable(
    zeusd: _Zeusd, counters: list[_Served], clock: Clock, plausible: PlausiblePower
) -> tuple[list[ZeusdSource], list[Problem]]:
    first: dict[str, Reading] = {}
    sources: list[ZeusdSource] = []
    problems: list[Problem] = []
    for counter in counters:
        source = ZeusdSource(zeusd, counter, clock, plausible)
        first[source.name] = source.read()
        if first[source.name].energy_uj is None:
            reason = "zeusd serves no energy of it"
            problems.append(Problem(source.name, reason, "unreadable-zone", source.max_power_uw))
        else:
            sources.append(source)
    still = standing_still(sources, first, clock)
    counting = [source for source in sources if source.name not in still]
    # Where no package counts, all of it is modelled, and nothing flows unseen.
    modelled = not any(source.kind == "cpu" for source in counting)
    reason = f"what zeusd serves of it stood still for {WATCHED_S:.0f} s"
    problems += [
        Problem(source.name, reason, "still-counter", 0 if modelled else source.max_power_uw)
        for source in sources
        if source.name in still
    ]
    return counting, problems


def _cpus(found: Any) -> dict[str, bool]:
    """CPU number → whether its memory is counted; by the present answer and by the one of version 0.4."""
    try:
        if "cpus" in found:
            return {str(cpu["id"]): bool(cpu["dram_available"]) for cpu in found["cpus"]}
        rows = zip(found["cpu_ids"], found["dram_available"], strict=True)
        return {str(cpu): bool(memory) for cpu, memory in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise _Refused(f"it describes its CPUs in another way ({error})") from error


def _counters(cpus: dict[str, bool], powercap_root: str) -> list[_Served]:
    """What of the served numbers counts, each joule once."""
    counters: list[_Served] = []
    for cpu, has_memory in cpus.items():
        label = _label(powercap_root, cpu)
        if label.startswith(b"dram"):
            counters.append(_Served(cpu, "cpu", "dram"))
        elif not label or label.startswith(b"package"):
            counters.append(_Served(cpu, "cpu", "cpu"))
            counters += [_Served(cpu, "dram", "dram")] if has_memory else []
    return counters


def _label(powercap_root: str, cpu: str) -> bytes:
    """The name of the zone of that number; empty where it is not known."""
    for folder in (powercap_root, f"{powercap_root}/intel-rapl"):
        name = CounterFile(f"{folder}/intel-rapl:{cpu}/name").read()
        if name:
            return name
    return b""


def _limits(zeusd: _Zeusd) -> dict[tuple[str, str], int]:
    """The largest power limit of each zone, µW; older versions do not tell."""
    limits: dict[tuple[str, str], int] = {}
    with contextlib.suppress(OSError, _Refused, AttributeError, KeyError, TypeError, ValueError):
        for cpu, zones in zeusd.get("/cpu/get_power_limit").items():
            for kind in ("cpu", "dram"):
                for constraint in (zones.get(kind) or {}).get("constraints", ()):
                    stated = (constraint["power_limit_mw"], constraint.get("max_power_mw") or 0)
                    limits[cpu, kind] = max(limits.get((cpu, kind), 0), 1000 * max(map(int, stated)))
    return limits
