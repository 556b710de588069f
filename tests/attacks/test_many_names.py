"""A few bytes on the disk that read like many: names that lead to one file, holes, and the same again.

The innocent twins are a state whose files are links, a file with some holes, and two sets that are one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bounded import bounded, failures
from cryoflux.digests import (
    CHECKSUMS,
    Hashing,
    checksum_lines,
    copy_listed,
    file_digest,
    mismatched_files,
    sha256_hex,
    write_checksums,
)
from cryoflux.errors import ModelError
from cryoflux.files import Copying, IrregularFileError, open_regular, write_atomic
from cryoflux.receipts.statement import Holdout
from cryoflux.verification.result import Status
from cryoflux.verification.weights import version_digest
from synthetic_parts import make_data, tiny_safetensors
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

pytestmark = pytest.mark.slow

MIB = 2**20


def named(link: Callable[[Path, Path], object], folder: Path, source: Path, count: int, end: str) -> None:
    for number in range(count):
        link(source, folder / f"{number}.{end}")


def hard(source: Path, name: Path) -> None:
    os.link(source, name)


def symbolic(source: Path, name: Path) -> None:
    name.symlink_to(source)


def signed(made: SyntheticState, digests: dict[str, str]) -> Path:
    """The state, whose head model has these files besides its own."""
    folder = made.path / "models" / made.head.digest
    own = {name: file_digest(folder / name) for name in ("model.safetensors", "config.json")}
    content = checksum_lines({**own, **digests})
    write_atomic(folder / CHECKSUMS, content)
    made.head = made.head.but(files=sha256_hex(content))
    made.abort(made.announce())
    return made.finish()


@pytest.mark.parametrize("link", [hard, symbolic])
def test_one_file_of_many_names_is_hashed_once(tmp_path: Path, link: Callable[[Path, Path], object]) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "models" / made.head.digest
    (folder / "0x.bin").write_bytes(os.urandom(MIB) * 20)
    digest = file_digest(folder / "0x.bin")
    named(link, folder, folder / "0x.bin", 2000, "bin")
    state = signed(made, {path.name: digest for path in folder.glob("*.bin")})
    assert failures(state, cpu_s=15) == {}  # 40 GB


@pytest.mark.parametrize("link", [hard, symbolic])
def test_weights_of_many_names_are_read_twice_at_most(
    tmp_path: Path, link: Callable[[Path, Path], object]
) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "models" / made.head.digest
    size = 20 * MIB
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    first = folder / "0x.safetensors"
    first.write_bytes(len(header).to_bytes(8, "little") + header + os.urandom(MIB) * 20)
    digest = file_digest(first)
    named(link, folder, first, 2000, "safetensors")
    state = signed(made, {path.name: digest for path in folder.glob("*.safetensors") if path.name[0] != "m"})
    wrong = failures(state, cpu_s=15)
    assert wrong == {f"models/{made.head.digest}": "its tensors do not have the digest that names it"}


def test_tensors_under_many_names_are_not_all_held(tmp_path: Path) -> None:
    spec = '{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    header = "{" + ",".join(f'"{n}":{spec}' for n in range(50_000)) + "}"
    first = tmp_path / "0x.safetensors"
    first.write_bytes(len(header).to_bytes(8, "little") + header.encode())
    named(hard, tmp_path, first, 1000, "safetensors")
    code = "from cryoflux.verification.weights import version_digest\n"
    code += "print(version_digest(Path(sys.argv[3])))"
    assert "holds more than 500000 tensors" in bounded(code, tmp_path, mib=1000, cpu_s=20)


def test_a_folder_with_thousands_of_names_is_looked_at_by_a_run_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "0x.bin").write_bytes(os.urandom(MIB) * 20)
    named(symbolic, folder, folder / "0x.bin", 2000, "bin")
    digest = file_digest(folder / "0x.bin")
    write_atomic(folder / CHECKSUMS, checksum_lines({path.name: digest for path in folder.glob("*.bin")}))
    code = "from cryoflux.digests import mismatched_files\nprint(mismatched_files(Path(sys.argv[3])))"
    assert bounded(code, folder, cpu_s=10).strip() == "[]"


@pytest.mark.parametrize("link", [hard, symbolic])
def test_copies_take_no_more_room_than_what_they_are_copies_of(
    tmp_path: Path, link: Callable[[Path, Path], object]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "0x.bin").write_bytes(os.urandom(MIB))
    (folder / "other").write_bytes(b"other")
    named(link, folder, folder / "0x.bin", 500, "bin")
    digest = file_digest(folder / "0x.bin")
    digests = {path.name: digest for path in folder.glob("*.bin")} | {"other": file_digest(folder / "other")}
    write_atomic(folder / CHECKSUMS, checksum_lines(digests))
    copy_listed(folder, tmp_path / "copy")
    inodes = {path.stat().st_ino: path.stat().st_size for path in (tmp_path / "copy").iterdir()}
    assert sum(inodes.values()) < 1.1 * MIB
    assert not any(path.is_symlink() for path in (tmp_path / "copy").iterdir())
    shutil.rmtree(folder)
    assert mismatched_files(tmp_path / "copy") == []


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").symlink_to("a")
    monkeypatch.setattr(os, "link", refuse)
    copying = Copying()
    for name in ("a", "b"):
        copying.copy(tmp_path / name, tmp_path / "copy" / name)
        assert (tmp_path / "copy" / name).read_bytes() == b"a"


def holes(path: Path, size: int, data: int) -> Path:
    """A file of that size, of which so many bytes are written, all over it."""
    blocks = data // 4096
    with path.open("wb") as stream:
        for number in range(blocks):
            stream.seek(number * (size // blocks) // 4096 * 4096)
            stream.write(b"x" * 4096)
        stream.truncate(size)
    if path.stat().st_blocks * 512 > 2 * data:
        pytest.skip("this file system has no holes")
    return path


def test_a_file_is_no_longer_than_sixteen_times_its_bytes(tmp_path: Path) -> None:
    for size in (100_000, 64 * MIB, 2**40):
        with pytest.raises(IrregularFileError, match="more than are read of such a file"):
            open_regular(holes(tmp_path / "hollow", size, 4096))
    with pytest.raises(IrregularFileError):
        open_regular(holes(tmp_path / "hollow", 400 * MIB, MIB))


def test_a_file_with_some_holes_is_read(tmp_path: Path) -> None:
    for size, data in ((60_000, 4096), (10 * MIB, MIB), (64 * MIB, 8 * MIB)):
        open_regular(holes(tmp_path / "honest", size, data)).close()
    (tmp_path / "empty").touch()
    open_regular(tmp_path / "empty").close()


def test_a_state_of_links_is_as_good_as_another(
    state: Path, pristine: SyntheticState, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for folder in ("models", "capsules", "data", "evidence"):
        for path in (state / folder).rglob("*"):
            if path.is_file():
                place = store / file_digest(path)
                shutil.move(path, place)
                path.symlink_to(place)
    assert not [check for check in verify_target(state).checks if check.status is Status.FAIL]
    (state / "models" / pristine.head.digest / "model.safetensors").unlink()
    (state / "models" / pristine.head.digest / "model.safetensors").write_bytes(tiny_safetensors([9.0]))
    assert [check for check in verify_target(state).checks if check.status is Status.FAIL]


def test_other_bytes_under_the_same_name_are_hashed_again(tmp_path: Path) -> None:
    hashing, path = Hashing(), tmp_path / "model.safetensors"
    path.write_bytes(tiny_safetensors([1.0]))
    said = path.stat()
    before = hashing.digest(path), version_digest(tmp_path, hashing), version_digest(tmp_path, hashing)
    assert len({*before[1:]}) == 1
    path.write_bytes(tiny_safetensors([2.0]))
    os.utime(path, ns=(said.st_atime_ns, said.st_mtime_ns))
    assert path.stat().st_size == said.st_size
    assert hashing.digest(path) == file_digest(path) != before[0]
    assert version_digest(tmp_path, hashing) not in before
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError):
        hashing.tensors(path)


# The same losses, and the same examples, again and again


def test_one_file_of_losses_is_not_added_up_for_every_receipt(tmp_path: Path) -> None:
    from cryoflux.verification.artefacts import Artefacts, _ReadOftenError
    from cryoflux.verification.material import read_material

    made = open_state(tmp_path / "state")
    entry = made.attempt(-0.05)
    found = entry.statement.predicate
    with closing(read_material(made.finish(), None)) as material:
        step = Artefacts(material, {})
        for number in range(8):
            holdout = Holdout(sha256=f"{number:064}", count=64, use_index=1)
            first = step._read(step._state, found.evaluation, holdout)
            assert step._read(step._state, found.evaluation, holdout) == first, "asked for again, it is known"
        with pytest.raises(_ReadOftenError, match="in 8 other ways"):
            step._read(step._state, found.evaluation, Holdout(sha256="f" * 64, count=64, use_index=1))


def spare_holdouts(made: SyntheticState, count: int, text: str) -> Path:
    folder = made.path / "data" / made.data.digest
    for number in range(2, count + 2):
        line = json.dumps({"text": text.format(number), "label": "a"})
        (folder / f"holdout-{number}.jsonl").write_text(line + "\n")
    digest = write_checksums(folder)
    folder.rename(folder.parent / digest)
    made.data = made.data.but(digest=digest)
    made.abort(made.announce())
    return made.finish()


OWN = "a text of its own that is long enough to be looked for in others {0} {0}7 {0}13 x y z w v u t s r q"


def questions(state: Path) -> str:
    return "\n".join(check.detail for check in verify_target(state).checks if check.status is Status.UNKNOWN)


def test_spare_holdouts_without_end_are_not_compared_with_each_other(tmp_path: Path) -> None:
    state = spare_holdouts(open_state(tmp_path / "state"), 3000, OWN)
    failures(state, cpu_s=15)
    assert "has 3001 holdouts: only the first 64 are compared" in questions(state)


def test_the_same_examples_are_not_compared_for_every_name(tmp_path: Path) -> None:
    state = spare_holdouts(open_state(tmp_path / "state"), 10, "the same")
    assert questions(state).count("is the same as 4 others, and not compared again") == 6


def test_as_many_spares_as_a_run_can_make_are_all_compared(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    shutil.rmtree(made.path / "data")
    made.data = make_data(made.path, spares=16)
    made.attempt(-0.05)
    said = questions(made.finish())
    assert "are compared" not in said
    assert "compared again" not in said
