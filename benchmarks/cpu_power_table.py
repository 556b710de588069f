"""Where each row of the CPU power tables came from: builds them again, or checks that they are these.

    pip download codecarbon==3.3.2 --no-deps
    python benchmarks/cpu_power_table.py codecarbon-3.3.2-py3-none-any.whl            # writes both tables
    python benchmarks/cpu_power_table.py --check codecarbon-3.3.2-py3-none-any.whl    # says what differs

`cpu_power.csv` has a row a model: TDP as codecarbon lists it, the power limit (PPT, PL2) by the rules below,
and the hardware threads where they are known. `cpu_families.csv` has a row a family; the script writes those
whose source is "models", as percentiles over models of the first table, and leaves the others as they are.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
import statistics
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

from cryoflux.energy.sources.cpu_power import FAMILIES, MODELS, brand_key

LISTED = "codecarbon/data/hardware/cpu_power.csv"
_KEPT = re.compile(
    r"AMD (EPYC|Ryzen|Athlon (Gold|Silver|PRO|2\d\dGE|3\d\d))"
    r"|Intel (Core (i[3579]-|m\d-|M-5|Ultra)|N\d+$|Atom [CxP]|Pentium (Gold|Silver|G|J|N))"
    r"|Intel Celeron ([GJN]\d|\d{4}U)"
    r"|Intel Xeon (E[357]?-|D-|W|Max|Platinum|Gold|Silver|Bronze|\d{4}[PE])"
)
"""Names that Linux shows today; a bare number or a Pentium 4 would only be taken for something else."""

# TDP and limit, as the maker states them: Intel's "Processor Base Power" and "Maximum Turbo Power", the upper
# end of AMD's configurable TDP. They take the place of what is listed, or stand beside it.
_STATED_W = {
    "core i9-12900k": (125, 241),
    "core i7-12700k": (125, 190),
    "core i5-12600k": (125, 150),
    "core i9-13900k": (125, 253),
    "core i7-13700k": (125, 253),
    "core i5-13600k": (125, 181),
    "core i9-14900k": (125, 253),
    "core i7-14700k": (125, 253),
    "core i5-14600k": (125, 181),
    "core ultra 9 285k": (125, 250),
    "core ultra 7 265k": (125, 250),
    "core ultra 5 245k": (125, 159),
    "epyc 9754": (360, 400),
    "epyc 9754s": (360, 400),
    "epyc 9654": (360, 400),
    "epyc 9554": (360, 400),
}

# Hardware threads, as the makers state them, where a virtual machine may show the name and some of them.
_THREADS = {
    "epyc 7302": 32, "epyc 7402": 48, "epyc 7502": 64, "epyc 7702": 128, "epyc 7742": 128, "epyc 7b12": 128,
    "epyc 7r13": 96, "epyc 7313": 32, "epyc 7543": 64, "epyc 7713": 128, "epyc 7763": 128, "epyc 9354": 64,
    "epyc 9554": 128, "epyc 9654": 192, "ryzen 5 5600x": 12, "ryzen 7 5800x": 16, "ryzen 9 5900x": 24,
    "ryzen 9 5950x": 32, "ryzen 9 7950x": 32, "ryzen threadripper 3990x": 128,
    "ryzen threadripper pro 5995wx": 128, "xeon e5-2686 v4": 36, "xeon e5-2690 v4": 28,
    "xeon platinum 8124m": 36, "xeon platinum 8175m": 48, "xeon platinum 8259cl": 48,
    "xeon platinum 8280": 56, "xeon platinum 8375c": 64,
    "xeon platinum 8380": 80, "xeon platinum 8480+": 112, "core i7-8550u": 8, "core i7-8700k": 12,
    "core i7-1165g7": 8, "core i7-1185g7": 8, "core i9-13900k": 32,
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A family whose figures are percentiles over its models."""

    name: str
    vendor: str
    numbers: tuple[str, str]
    """family, and its models with spaces"""
    limit: float
    """power limit over TDP"""
    threads: dict[str, int]
    words: str = ""


def _each(text: str, prefix: str, smt: int = 2) -> dict[str, int]:
    pairs = (entry.split(":") for entry in text.split())
    return {f"{prefix}{name.replace('_', ' ')}": int(cores) * smt for name, cores in pairs}


_FAMILIES = (
    Family("EPYC 9704 and 8004 (Bergamo and Siena)", "AuthenticAMD", ("25", "160"), 1.25, _each(
        "9754:128 9734:112 8534p:64 8534pn:64 8434p:48 8434pn:48 8324p:32 8324pn:32 8224p:24 8224pn:24"
        " 8124p:16 8124pn:16 8024p:8 8024pn:8", "epyc ")),
    Family("Threadripper 7000 (Storm Peak)", "AuthenticAMD", ("25", "24"), 1.1, {
        **_each("7960x:24 7970x:32 7980x:64", "ryzen threadripper "),
        **_each("7945wx:12 7955wx:16 7965wx:24 7975wx:32 7985wx:64 7995wx:96", "ryzen threadripper pro ")}),
    Family("Threadripper 9000 (Shimada Peak)", "AuthenticAMD", ("26", "8"), 1.1, {
        **_each("9960x:24 9970x:32 9980x:64", "ryzen threadripper "),
        **_each("9945wx:12 9955wx:16 9965wx:24 9975wx:32 9985wx:64 9995wx:96", "ryzen threadripper pro ")}),
    Family("Ryzen 9000 (Granite Ridge)", "AuthenticAMD", ("26", "68"), 1.35, _each(
        "9_9950x:16 9_9950x3d:16 9_9900x:12 9_9900x3d:12 7_9800x3d:8 7_9700x:8 5_9600x:6 5_9600:6"
        " 9_9955hx:16 9_9955hx3d:16 9_9850hx:12", "ryzen ")),
    Family("Ryzen AI 300 (Strix Point)", "AuthenticAMD", ("26", "36"), 2.0, _each(
        "9_hx_375:12 9_hx_370:12 9_hx_pro_375:12 9_hx_pro_370:12 9_365:10 7_pro_360:8", "ryzen ai ")),
    Family("Ryzen AI 300 (Krackan Point)", "AuthenticAMD", ("26", "96"), 2.0, _each(
        "7_350:8 7_pro_350:8 5_340:6 5_pro_340:6", "ryzen ai ")),
    Family("Ryzen AI Max 300 (Strix Halo)", "AuthenticAMD", ("26", "112"), 2.2, _each(
        "max+_395:16 max+_pro_395:16 max_390:12 max_pro_390:12 max_385:8 max_pro_385:8 max_pro_380:6",
        "ryzen ai ")),
    Family("Xeon Scalable 5 (Emerald Rapids)", "GenuineIntel", ("6", "207"), 1.2, {
        **_each("8592+:64 8592v:64 8593q:64 8581v:60 8580:60 8570:56 8571n:52 8568y+:48 8562y+:32 8558:48"
                " 8558p:48 8558u:48", "xeon platinum "),
        **_each("6558q:32 6554s:36 6548y+:32 6548n:32 6544y:16 6542y:24 6538y+:32 6538n:32 6534:8 6530:32"
                " 6526y:16 5520+:28 5515+:8 5512u:28", "xeon gold "),
        **_each("4516y+:24 4514y:16 4510:12 4510t:12 4509y:8", "xeon silver ")}),
    Family("Xeon 6 (Granite Rapids)", "GenuineIntel", ("6", "173"), 1.2, _each(
        "6980p:128 6979p:120 6972p:96 6960p:72 6952p:96 6944p:72 6787p:86 6767p:64 6760p:64 6747p:48 6740p:48"
        " 6737p:32 6736p:36 6732p:32 6730p:32 6728p:24 6724p:16 6714p:8 6530p:32 6527p:24 6521p:24 6520p:24"
        " 6517p:16 6515p:16 6511p:16 6507p:8 6505p:12", "xeon ")),
    Family("Xeon 6 (Sierra Forest)", "GenuineIntel", ("6", "175"), 1.2, _each(
        "6780e:144 6766e:144 6756e:128 6746e:112 6740e:96 6731e:96 6710e:64", "xeon ", smt=1)),
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Row:
    """One model."""

    key: str
    tdp_w: float
    limit_w: float
    threads: str = ""


def _limit(key: str, tdp_w: float) -> tuple[float, float]:
    """TDP and power limit of a model whose maker's own figures are not above."""
    if key.startswith("epyc"):
        return tdp_w, 1.25 * tdp_w  # configurable TDP: at most this over all that AMD lists
    if "threadripper" in key:
        return tdp_w, 1.1 * tdp_w  # PPT is the TDP
    if key.startswith(("ryzen", "athlon")):
        portable = re.search(r"\b\d+(u|h|hs|hx|hx3d|hk|c|e|ce)$|\bai\b", key)
        return tdp_w, 2.2 * tdp_w if portable else math.ceil(
            1.35 * tdp_w
        )  # PPT; in portables firmware chooses
    if key.startswith("xeon"):
        return tdp_w, tdp_w * (2.0 if re.match(r"xeon (e-|w-1|63)", key) else 1.2)  # PL2
    return _limit_of_core(key, tdp_w)


def _limit_of_core(key: str, tdp_w: float) -> tuple[float, float]:
    """PL2 of Intel's clients: the largest that is stated for a processor of that kind and that base power."""
    number = re.search(r"(?:i\d|m\d|m)-(\d{4,5})(g\d)?([a-z]*)", key)
    generation = int(number[1][:-3]) if number else 0
    generation = 10 + generation % 10 if number and len(number[1]) == 4 and generation == 1 else generation
    kind = ("u" if number[2] else number[3]) if number else key[-1]
    if "ultra" in key or generation >= 8:
        if kind.startswith(("u", "y", "ng", "gre")):  # one is listed with its turbo power
            return (15.0 if tdp_w > 28 else tdp_w), 55 if tdp_w > 10 else 30
        for ending, base_w, turbo_w in (("hx", 55, 157), ("h", 45, 115), ("p", 28, 64)):
            if kind.startswith(ending):
                return min(tdp_w, base_w), turbo_w
        return tdp_w, next((w for most, w in ((40, 123), (70, 224), (100, 200)) if tdp_w <= most), 253)
    if tdp_w <= 15:
        return tdp_w, max(1.7 * tdp_w, min(25, 4 * tdp_w))
    return tdp_w, 1.25 * tdp_w  # what Intel's guides set where the board does not


def model_rows(listed: str) -> list[Row]:
    """All models, by key."""
    found: dict[str, set[float]] = {}
    for entry in csv.DictReader(io.StringIO(listed)):
        name = re.sub(r"[^ -~]+", " ", entry["Name"]).strip()
        if (
            _KEPT.match(name)
            and re.fullmatch(r"[\d.]+", entry["TDP"])
            and not re.search(r"[,()]|Edition", name)
        ):
            found.setdefault(brand_key(name), set()).add(float(entry["TDP"]))
    threads = _THREADS | {key: n for family in _FAMILIES for key, n in family.threads.items()}
    rows = {}
    for key, watts in found.items():
        tdp_w, limit_w = _limit(key, min(watts))
        rows[key] = Row(key, tdp_w, max(limit_w, *watts), str(threads.get(key, "")))
    for key, (tdp_w, limit_w) in _STATED_W.items():
        count = str(threads.get(key, ""))
        rows[key] = Row(key, tdp_w, limit_w, count)
        if key.endswith("k"):  # a KF has no graphics; a KS has the same limit and 25 W more of base power
            rows[f"{key}f"] = replace(rows[key], key=f"{key}f")
            rows[f"{key}s"] = replace(rows[key], key=f"{key}s", tdp_w=tdp_w + 25)
    return sorted(rows.values())


def family_rows(models: list[Row]) -> list[str]:
    """The rows of families that are percentiles over models: 10th, 50th, 90th of W a thread."""
    by_key = {row.key: row for row in models}
    lines = []
    for family in _FAMILIES:
        counted = [by_key[key] for key in family.threads if key in by_key]
        each_w = [row.tdp_w / int(row.threads) for row in counted]
        tenths = statistics.quantiles(each_w, n=10, method="inclusive")
        figures = [f"{w:.2f}" for w in (tenths[0], statistics.median(each_w), tenths[-1])]
        names = [family.vendor, *family.numbers, family.name, str(len(counted))]
        lines.append(",".join([*names, *figures, f"{family.limit:g}", family.words, "models"]))
    return lines


def _with_rows(path: Path, rows: list[str]) -> str:
    """A table with these rows, behind its head and, of families, the rows that are not computed here."""
    lines = path.read_text("utf-8").splitlines()
    columns = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    others = [line for line in lines[columns + 1 :] if path == FAMILIES and not line.endswith(",models")]
    return "\n".join([*lines[: columns + 1], *others, *rows]) + "\n"


def main() -> int:
    """Write the tables, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    with zipfile.ZipFile(chosen.wheel) as archive:
        models = model_rows(archive.read(LISTED).decode("utf-8"))
    lines = [f"{row.key},{row.tdp_w:g},{row.limit_w:g},{row.threads}" for row in models]
    wanted = {
        MODELS: _with_rows(MODELS, lines),
        FAMILIES: _with_rows(FAMILIES, family_rows(models)),
    }
    differ = [path for path, text in wanted.items() if path.read_text("utf-8") != text]
    for path in differ:
        print(f"{path.name} differs" if chosen.check else f"{path.name} written")
        if not chosen.check:
            path.write_text(wanted[path], "utf-8")
    return 1 if chosen.check and differ else 0


if __name__ == "__main__":
    sys.exit(main())
