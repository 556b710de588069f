"""Ways to find what is nearest among many vectors: what each costs to build, in memory, and to ask.

Ours looks at every vector in its file. Beside it FAISS: flat, in lists (IVF) and as a graph (HNSW), all of
8-bit whole numbers. Vectors are those of docstrings with noise added, so that they are clustered as texts
are; queries are others of the same kind. Lists and graphs are asked as wide as it takes for a recall@10 of
0.95. Each is measured in a process of its own, on one thread.

    OMP_NUM_THREADS=1 python benchmarks/index_kinds.py
    OMP_NUM_THREADS=1 python benchmarks/index_kinds.py --vectors 100000,1000000
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

WIDE = 384
_QUERIES = 256
_FIRST = 10
_ENOUGH = 0.95
_NOISE = 1.0
"""length of the noise that is added to a vector of length 1"""
_BATCH = 64
"""queries that an attempt asks together"""
_ATTEMPT = 800
"""queries of an attempt: base and candidate, on the queries that try it and on those that judge"""
KINDS = ("ours", "flat", "ivf", "hnsw")


def make_vectors(path: Path, count: int) -> None:
    """Write vectors as bytes, and the queries after them."""
    from cryoflux.data import stdlib_docs
    from cryoflux.tasks.index.encoding import TextEncoder
    from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

    texts = [example.text for example in stdlib_docs.build(lambda *_: None)][:2000]
    encoder = TextEncoder(resolve(EMBEDDED), 64)
    known = np.zeros((len(texts), WIDE), np.float32)
    for batch, found in encoder.embed(texts):
        known[batch] = found
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    with path.open("wb") as stream:
        for start in range(0, count + _QUERIES, 50_000):
            some = known[rng.integers(0, len(known), min(50_000, count + _QUERIES - start))]
            some = some + rng.standard_normal(some.shape, np.float32) * (_NOISE / np.sqrt(WIDE))
            some *= 512 / np.linalg.norm(some, axis=1, keepdims=True)
            stream.write(np.rint(some).clip(-127, 127).astype(np.int8).tobytes())


def _anonymous_mb() -> float:
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


def _cpu_s(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def _ours(vectors: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What finds the rows for one query, and what scores for many are counted by."""
    from cryoflux.tasks.index.serving import nearest
    from cryoflux.tasks.index.shelf import scores_by_block

    shelf: Any = SimpleNamespace(vectors=vectors)

    def ranks(asked: Any) -> None:
        own = asked[:, :1]
        for _, scores in scores_by_block(shelf, asked.astype(np.float32)):
            np.count_nonzero(scores > own, axis=1)
            (scores == own).any()

    return lambda one: [hit.row for hit in nearest(shelf, one, _FIRST)], ranks


def _built(kind: str, vectors: Any) -> Any:
    import faiss

    code: Any = faiss.ScalarQuantizer.QT_8bit_direct_signed
    product = faiss.METRIC_INNER_PRODUCT
    if kind == "flat":
        index: Any = faiss.IndexScalarQuantizer(WIDE, code, product)
    elif kind == "hnsw":
        index = faiss.IndexHNSWSQ(WIDE, code, 16, product)
    else:
        lists = 2 ** round(np.log2(np.sqrt(len(vectors))))
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(WIDE), WIDE, lists, code, product, False)
        index.cp.niter = 10
        step = max(1, len(vectors) // (64 * lists))
        index.train(vectors[::step].astype(np.float32))
    for start in range(0, len(vectors), 4096):
        index.add(vectors[start : start + 4096].astype(np.float32))
    return index


def _widen(index: Any, kind: str, width: int) -> None:
    if kind == "ivf":
        index.nprobe = width
    elif kind == "hnsw":
        index.hnsw.efSearch = width


def _recall(found: Any, exact: Any) -> float:
    return float(np.mean([len(set(a) & set(b)) / _FIRST for a, b in zip(found, exact, strict=True)]))


def measure(kind: str, path: Path, count: int) -> dict[str, Any]:
    """One kind, in this process.

    Args:
        kind: one of `KINDS`.
        path: the vectors, and the queries after them.
        count: vectors.
    """
    everything = np.memmap(path, np.int8, "r", shape=(count + _QUERIES, WIDE))
    vectors, asked = everything[:count], np.array(everything[count:])
    one, ranks = _ours(vectors)
    exact_s, exact = _cpu_s(lambda: [one(asked[at : at + 1]) for at in range(_QUERIES)])
    said: dict[str, Any] = {"vectors": count, "kind": kind}
    if kind == "ours":
        before = _anonymous_mb()
        batch_s = _cpu_s(lambda: [ranks(asked[at : at + _BATCH]) for at in range(0, _QUERIES, _BATCH)])[0]
        return said | _row(0.0, _anonymous_mb() - before, exact_s, batch_s, 1.0)
    import faiss

    faiss.omp_set_num_threads(1)
    before = _anonymous_mb()
    build_s, index = _cpu_s(lambda: _built(kind, vectors))
    memory_mb, queries, width = _anonymous_mb() - before, asked.astype(np.float32), 1
    while True:
        _widen(index, kind, width)
        found = index.search(queries, _FIRST)[1]
        if kind == "flat" or (recall := _recall(found, exact)) >= _ENOUGH or width >= 4096:
            break
        width *= 2
    one_s = _cpu_s(lambda: [index.search(queries[at : at + 1], _FIRST) for at in range(_QUERIES)])[0]
    batch_s = _cpu_s(
        lambda: [index.search(queries[at : at + _BATCH], _FIRST) for at in range(0, _QUERIES, _BATCH)]
    )[0]
    wide = {} if kind == "flat" else {"width": width}
    return said | wide | _row(build_s, memory_mb, one_s, batch_s, 1.0 if kind == "flat" else recall)


def _row(build_s: float, memory_mb: float, one_s: float, batch_s: float, recall: float) -> dict[str, Any]:
    return {
        "build_cpu_s": round(build_s, 2),
        "anonymous_mb": round(memory_mb),
        "queries_per_cpu_s": round(_QUERIES / one_s),
        "queries_per_cpu_s_together": round(_QUERIES / batch_s),
        "recall_at_10": round(recall, 3),
        "attempt_cpu_s": round(2 * build_s + _ATTEMPT * batch_s / _QUERIES, 2),
        "search_cpu_s": round(build_s + one_s / _QUERIES, 3),
    }


def main() -> None:
    """Print one JSON line a size and a kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vectors", default="100000", help="sizes, with commas")
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas")
    parser.add_argument("--of", default="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.of:
        print(json.dumps(measure(chosen.kinds, Path(chosen.of), int(chosen.vectors))), flush=True)
        return
    for count in chosen.vectors.split(","):
        with tempfile.TemporaryDirectory(prefix="cryoflux-vectors-") as folder:
            path = Path(folder) / "vectors.i8"
            make_vectors(path, int(count))
            for kind in chosen.kinds.split(","):
                command = [sys.executable, __file__, "--vectors", count, "--kinds", kind, "--of", str(path)]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
