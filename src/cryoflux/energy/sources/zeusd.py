"""RAPL counters through zeusd, the daemon of the Zeus project, for those who may not read them.

zeusd reads RAPL as root and serves cumulative joules over a Unix socket or TCP (its API as of version
0.5: ``/discover``, ``/cpu/get_cumulative_energy``, ``/cpu/get_power_limit``). It adds a counter range at each
wrap that it sees, so what it serves does not wrap (``range_uj`` is none). A zeusd that was started again has
forgotten the ranges: its counter falls to where RAPL stands, which is not what has flowed since, and so it
is another epoch and not a reset. zeusd sees a wrap when somebody reads, by itself only every 30 s in newer
versions, so sources are to be read at least once a minute.

zeusd numbers all top zones as CPUs, the platform zone (psys) too, and does not tell their names. Names may be
read by everybody, so a zone that is named here and is no package is left out.

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
from typing import Any

from cryoflux.energy.clock import BILLION, Clock
from cryoflux.energy.counter_file import CounterFile
from cryoflux.energy.interface import Problem, Reading, SourceKind
from cryoflux.energy.sources.power_bounds import CEILING_W, PlausiblePower, ZoneKind, bound_uw
from cryoflux.energy.sources.rapl import RAPL_RESOLUTION_UJ
from cryoflux.quantities import MICRO, Tier

_TIMEOUT_S = 0.5
_LEAVE_ALONE_NS = 5 * BILLION
"""After an answer that did not come in time."""
_FRESH_NS = BILLION // 20
"""One answer holds all counters; sources read one after the other share it."""
_LONGEST_ANSWER = 1 << 18


def zeusd_address(environ: Mapping[str, str]) -> str:
    """Where zeusd is by the variables that Zeus itself goes by; empty where they are not set."""
    return environ.get("ZEUSD_SOCK_PATH") or environ.get("ZEUSD_HOST_PORT") or ""


class _Refused(Exception):  # noqa: N818
    """No answer, or not one that can be used; says why."""


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
        cpu: str,
        kind: SourceKind,
        clock: Clock,
        stated_uw: int,
        plausible: PlausiblePower,
    ) -> None:
        self.name = f"zeusd:cpu-{cpu}" if kind == "cpu" else f"zeusd:cpu-{cpu}:dram"
        self.kind: SourceKind = kind
        what: ZoneKind = "package" if kind == "cpu" else "dram"
        self.max_power_uw = bound_uw(what, stated_uw, plausible)
        self.ceiling_uw = CEILING_W[what] * MICRO
        self._zeusd = zeusd
        self._cpu = cpu
        self._field = f"{kind}_energy_uj"
        self._clock = clock
        self._last_uj = 0
        self._falls = 0

    def read(self) -> Reading:
        """The counter now; none when zeusd does not answer, which takes half a second at most."""
        answer = self._zeusd.energies(self.name)
        row = answer.energies.get(self._cpu)
        value = row.get(self._field) if isinstance(row, dict) else None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            return Reading(None, answer.monotonic_ns, self._epoch())
        self._falls += value < self._last_uj
        self._last_uj = value
        return Reading(value, answer.monotonic_ns, self._epoch())

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
        served = _cpus(zeusd.get("/discover"))
        cpus = {cpu: memory for cpu, memory in served.items() if _is_package(powercap_root, cpu)}
        if not cpus:
            return [], [Problem("zeusd", f"zeusd at {address} serves no CPU", "zeusd-without-cpu")]
        zeusd.get("/cpu/get_cumulative_energy?cpu=true&dram=true")
    except TimeoutError:
        return [], [Problem("zeusd", f"zeusd at {address} does not answer", "no-zeusd")]
    except OSError as error:
        return [], [Problem("zeusd", f"no zeusd at {address} ({error.strerror or error})", "no-zeusd")]
    except _Refused as error:
        return [], [Problem("zeusd", f"zeusd at {address} gives no CPU energy: {error}", "zeusd-refused")]
    return _readable(zeusd, cpus, clock, plausible or PlausiblePower())


def _readable(
    zeusd: _Zeusd, cpus: dict[str, bool], clock: Clock, plausible: PlausiblePower
) -> tuple[list[ZeusdSource], list[Problem]]:
    limits = _limits(zeusd)
    sources: list[ZeusdSource] = []
    problems: list[Problem] = []
    for cpu, has_memory in cpus.items():
        kinds: tuple[SourceKind, ...] = ("cpu", "dram") if has_memory else ("cpu",)
        for kind in kinds:
            source = ZeusdSource(zeusd, cpu, kind, clock, limits.get((cpu, kind), 0), plausible)
            if source.read().energy_uj is None:
                reason = "zeusd serves no energy of it"
                problems.append(Problem(source.name, reason, "unreadable-zone", source.max_power_uw))
            else:
                sources.append(source)
    return sources, problems


def _cpus(found: Any) -> dict[str, bool]:
    """CPU number → whether its memory is counted; by the present answer and by the one of version 0.4."""
    try:
        if "cpus" in found:
            return {str(cpu["id"]): bool(cpu["dram_available"]) for cpu in found["cpus"]}
        rows = zip(found["cpu_ids"], found["dram_available"], strict=True)
        return {str(cpu): bool(memory) for cpu, memory in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise _Refused(f"it describes its CPUs in another way ({error})") from error


def _is_package(powercap_root: str, cpu: str) -> bool:
    """Whether the zone of that number is a package, as far as is known."""
    for folder in (powercap_root, f"{powercap_root}/intel-rapl"):
        name = CounterFile(f"{folder}/intel-rapl:{cpu}/name").read()
        if name:
            return name.startswith(b"package")
    return True


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
