"""The embedded data set exists on every Python, and is the same each time."""

import shutil
import sysconfig
from pathlib import Path

import pytest

from cryoflux.data import stdlib_docs
from cryoflux.data.prepared import open_prepared, render, store
from cryoflux.data.split import split
from cryoflux.errors import StateTamperedError


def test_it_is_real_text_of_many_areas_and_survives_the_way_to_the_disk(tmp_path) -> None:
    examples = stdlib_docs.build()
    labels = {e.label for e in examples}
    assert len(examples) > 4000
    assert {"gui", "internet", "concurrency", "testing"} <= labels
    assert all(len(e.text.split()) >= 4 for e in examples)

    files, digest = render(split(examples, None, None, holdout_size=100))
    prepared = open_prepared(store(files, digest, tmp_path), stdlib_docs.NAME)
    assert prepared.digest == digest
    assert set(prepared.labels) == labels
    assert sum(prepared.count(name) for name in prepared.sets) == len(examples)

    holdout = prepared.folder / "holdout.jsonl"
    holdout.write_bytes(holdout.read_bytes().replace(b"gui", b"gut", 1))
    with pytest.raises(StateTamperedError, match=r"holdout\.jsonl"):
        open_prepared(prepared.folder, stdlib_docs.NAME)


def test_the_order_of_the_files_on_the_disk_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, built = Path(sysconfig.get_path("stdlib")), []
    for name, step in (("forwards", 1), ("backwards", -1)):
        for module in ("asyncio", "tkinter", "unittest")[::step]:
            for path in sorted((library / module).glob("*.py"))[::step]:
                (tmp_path / name / module).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, tmp_path / name / module)
        monkeypatch.setattr(sysconfig, "get_path", lambda _, name=name: str(tmp_path / name))
        built.append(stdlib_docs.build())
    assert built[0] == built[1]
    assert len({example.label for example in built[0]}) > 1
