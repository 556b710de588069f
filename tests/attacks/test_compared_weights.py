"""Weights of a stranger that pages compare: pipes, noise, lists that lie, tensors that are large as numbers.

The innocent twins are two well-formed versions.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from bounded import bounded
from browser import dashboard
from cryoflux.digests import CHECKSUMS
from cryoflux.queries.followed import Followed
from cryoflux.registry.shards import INDEX
from cryoflux.state import StateFolder
from synthetic_parts import TASK
from synthetic_state import make_state

FILE = "model.safetensors"
COMPARED_ALL = "are the same"
"""a page says so where it has compared all tensors"""


def a_pipe(folder: Path) -> None:
    os.mkfifo(folder / FILE)


def noise(folder: Path) -> None:
    (folder / FILE).write_bytes(os.urandom(3000))


def a_device(folder: Path) -> None:
    (folder / FILE).symlink_to("/dev/zero")


def a_pipe_that_is_listed(folder: Path) -> None:
    a_pipe(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": FILE}}))


def a_tensor_that_is_not_there(folder: Path) -> None:
    save_file({"b": np.ones(3)}, folder / FILE)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": FILE}}))


def a_list_of_nothing(folder: Path) -> None:
    (folder / INDEX).write_text("[" * 100_000)


def a_type_that_numpy_lacks(folder: Path) -> None:
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [3], "data_offsets": [0, 3]}}).encode()
    (folder / FILE).write_bytes(len(header).to_bytes(8, "little") + header + b"abc")


def a_link_to_nowhere(folder: Path) -> None:
    (folder / FILE).symlink_to("nowhere")


def well_formed(folder: Path) -> None:
    save_file({"a": np.full(3, 2.0)}, folder / FILE)


def versions(state: Path) -> tuple[str, str]:
    """The head, and one that is not."""
    followed = Followed(state)
    followed.refresh()
    of = followed.catalogue().tasks[TASK]
    return of.head, next(digest for digest in of.versions if digest != of.head)


def put(state: Path, digest: str, make: Callable[[Path], None]) -> None:
    folder = StateFolder(state).model(digest)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make(folder)
    (folder / CHECKSUMS).write_text(f"{'0' * 63}{digest[0]}  {FILE}\n")


@pytest.mark.parametrize(
    "make",
    [
        a_pipe,
        a_pipe_that_is_listed,
        noise,
        a_device,
        a_tensor_that_is_not_there,
        a_list_of_nothing,
        a_type_that_numpy_lacks,
        a_link_to_nowhere,
    ],
)
def test_a_page_of_weights_that_cannot_be_read_is_there_and_so_are_all_others(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    state = make_state(tmp_path / "state").path
    head, other = versions(state)
    put(state, head, lambda folder: save_file({"a": np.ones(3)}, folder / FILE))
    put(state, other, make)
    with dashboard(state) as running:
        answer = running.get(f"/models/{other}")
        assert answer.status_code == 200
        assert COMPARED_ALL not in answer.text
        assert running.get("/").status_code == 200


def test_weights_that_can_be_read_are_compared(tmp_path: Path) -> None:
    state = make_state(tmp_path / "state").path
    head, other = versions(state)
    put(state, head, lambda folder: save_file({"a": np.ones(3)}, folder / FILE))
    put(state, other, well_formed)
    with dashboard(state) as running:
        assert COMPARED_ALL in running.get(f"/models/{other}").text


COMPARED = """
import numpy as np
from safetensors.numpy import save_file
from cryoflux.registry.shards import TensorFolder
from cryoflux.runs.version_diff import _squares
from pathlib import Path
a, b = (TensorFolder(Path(folder))["a"].reshape(-1) for folder in sys.argv[3:])
print(_squares(a, b))
"""


def test_a_large_tensor_of_bytes_is_not_made_larger(tmp_path: Path) -> None:
    for place, folder in enumerate((tmp_path / "0", tmp_path / "1")):
        folder.mkdir()
        save_file({"a": np.full(120_000_000, place + 1, np.uint8)}, folder / FILE)
    said = bounded(COMPARED, tmp_path / "0", tmp_path / "1", mib=1400)
    assert said.strip() == "(120000000.0, 120000000.0)"
