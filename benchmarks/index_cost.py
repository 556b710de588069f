"""What an index costs: a document and a query here, and beside sentence-transformers and FAISS used directly.

Both embed the same texts, docstrings of the standard library, with the same model, in the same process on one
thread, by turns. Then an index of many short documents is refreshed by the command, embedded by a tiny model
so that it takes minutes, and the largest memory of that process is compared with that of a small one.

    python benchmarks/index_cost.py
    python benchmarks/index_cost.py --documents 500 --folder 1000,100000
    python benchmarks/index_cost.py --search 1000,10000,100000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

_TOKENS = 128
_FEW = 200


def _texts(count: int) -> list[str]:
    from cryoflux.data import stdlib_docs

    found = [example.text for example in stdlib_docs.build(lambda *_: None)]
    return [found[i % len(found)] for i in range(count)]


def _ours(folder: Path, texts: Sequence[str]) -> tuple[float, Any]:
    from cryoflux.tasks.index.encoding import TextEncoder

    encoder = TextEncoder(folder, _TOKENS)
    list(encoder.embed(texts[:8]))
    start = time.process_time()
    vectors = np.zeros((len(texts), encoder.dimensions), np.int8)
    for batch, found in encoder.embed(texts):
        vectors[batch] = found
    return time.process_time() - start, vectors


def _theirs(folder: Path, texts: Sequence[str]) -> tuple[float, Any]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer import modules

    words = modules.Transformer(str(folder), max_seq_length=_TOKENS)
    pooling = modules.Pooling(384, "mean")
    model = SentenceTransformer(modules=[words, pooling, modules.Normalize()], device="cpu")
    model.encode(texts[:8])
    start = time.process_time()
    vectors = model.encode(list(texts), batch_size=32, show_progress_bar=False)
    return time.process_time() - start, vectors


def cost_a_document(count: int) -> dict[str, Any]:
    """CPU-seconds to embed a document, and how alike the vectors are."""
    import torch

    torch.set_num_threads(1)
    folder, texts = resolve(EMBEDDED), _texts(count)
    ours, theirs = _ours(folder, texts), _theirs(folder, texts)
    units = ours[1] / np.linalg.norm(ours[1].astype(float), axis=1, keepdims=True)
    return {
        "documents": count,
        "ours_cpu_ms": round(1000 * ours[0] / count, 2),
        "sentence_transformers_cpu_ms": round(1000 * theirs[0] / count, 2),
        "least_cosine_of_both": round(float((units * theirs[1]).sum(1).min()), 5),
    }


def queries_a_second(count: int) -> dict[str, Any]:
    """Searches a second in vectors that are there, as whole numbers of 8 bits and as float32."""
    import faiss

    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    raw = rng.standard_normal((count, 384), dtype=np.float32)
    raw /= np.linalg.norm(raw, axis=1, keepdims=True)
    whole = np.rint(raw * 512).clip(-127, 127)
    ours = faiss.IndexScalarQuantizer(
        384, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    ours.add(whole)
    theirs = faiss.IndexFlatIP(384)
    theirs.add(raw)
    found: dict[str, Any] = {"documents": count}
    for name, index, asked in (("ours", ours, whole), ("faiss_float32", theirs, raw)):
        start = time.perf_counter()
        for at in range(_FEW):
            index.search(asked[at : at + 1], 10)
        found[f"{name}_queries_per_s"] = round(_FEW / (time.perf_counter() - start))
    return found


def largest_memory(count: int) -> dict[str, Any]:
    """Largest resident memory of a run that refreshes an index of so many short documents, MB."""
    with tempfile.TemporaryDirectory(prefix="cryoflux-index-") as place:
        folder = Path(place)
        (folder / "docs").mkdir()
        _tiny_model(folder / "tiny")
        _write_documents(folder / "docs" / "all.jsonl", count)
        command = [
            *(sys.executable, "-m", "cryoflux", "run", "--task", "index_refresh", "--json"),
            *("--index", str(folder / "docs"), "--encoder", str(folder / "tiny")),
            *("--index-reserve", "100kJ", "--budget", "200kJ", "--state", str(folder / "state")),
        ]
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        with MemoryWatch(process.pid) as watch:
            output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        summary = json.loads(output.splitlines()[-1])
        return {
            "documents": count,
            "largest_anonymous_mb": watch.anonymous_kb // 1000,
            "largest_memory_mb": used.ru_maxrss // 1000,
            "cpu_seconds": round(used.ru_utime + used.ru_stime),
            "seconds": round(time.perf_counter() - start),
            "kept": summary["kept"],
            "exit_code": process.returncode,
        }


class MemoryWatch:
    """The largest anonymous memory of a process, looked at many times a second: RssAnon of its status."""

    def __init__(self, pid: int) -> None:
        self.anonymous_kb = 0
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            with suppress(OSError):
                status = Path(f"/proc/{self._pid}/status").read_text()
                found = re.search(r"RssAnon:\s+(\d+) kB", status)
                self.anonymous_kb = max(self.anonymous_kb, int(found[1]) if found else 0)


def _write_documents(path: Path, count: int) -> None:
    """Documents of a dozen words that the tokenizer has whole, so that embedding them takes minutes."""
    rng = random.Random(0)  # noqa: S311 - documents, no secrets
    known = json.loads((resolve(EMBEDDED) / "tokenizer.json").read_text())["model"]["vocab"]
    words = [word for word in known if word.isascii() and word.isalpha() and len(word) > 3][:5000]
    with path.open("w") as stream:
        for number in range(count):
            said = " ".join(rng.choices(words, k=9))
            title = f"{words[number % 5000]} {words[number // 5000]} {number}"
            stream.write(json.dumps({"text": f"{title}\n{said}"}) + "\n")


def _tiny_model(folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    size = {"hidden_size": 384, "num_hidden_layers": 1, "num_attention_heads": 12, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=30522, **size)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((resolve(EMBEDDED) / name).read_bytes())


def main() -> None:
    """Print one JSON line a measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=500, help="embedded by both")
    parser.add_argument("--folder", default="", help="sizes of folders that are indexed, with commas")
    parser.add_argument("--search", default="", help="sizes of indexes that are searched, with commas")
    chosen = parser.parse_args()
    if chosen.documents:
        print(json.dumps(cost_a_document(chosen.documents)), flush=True)
    for count in map(int, filter(None, chosen.search.split(","))):
        print(json.dumps(queries_a_second(count)), flush=True)
    for count in map(int, filter(None, chosen.folder.split(","))):
        print(json.dumps(largest_memory(count)), flush=True)


if __name__ == "__main__":
    main()
