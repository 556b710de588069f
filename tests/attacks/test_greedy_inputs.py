"""Inputs that are made to cost their reader more than their writer: time, memory, or patience without end.

Each has an innocent twin: a large, long or linked thing that is read as before.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from bounded import bounded, failures
from cryoflux.data.examples import normalise
from cryoflux.data.normal_form import nfkc
from cryoflux.digests import CHECKSUMS, file_digest, read_tensor_entries, write_checksums
from cryoflux.errors import CryoFluxError, ModelError, StateTamperedError, UsageError
from cryoflux.files import IrregularFileError, files_below, open_regular, read_lines, read_regular
from cryoflux.receipts.store import StoredRows
from cryoflux.signing.keys import load_public_key
from cryoflux.verification.locating import Searching
from cryoflux.verification.result import Status
from cryoflux.witness.policy import read_policy
from synthetic_parts import COUNT, digest_of
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

pytestmark = pytest.mark.slow


def failed(state: Path) -> set[str]:
    return {check.subject for check in verify_target(state).checks if check.status is Status.FAIL}


def places(made: SyntheticState) -> list[str]:
    """One file of each kind that a state holds."""
    receipt = made.entries[7].statement
    capsule = receipt.subject[0].digest.sha256
    return [
        "receipts.db",
        "account.db",
        "keys/receipt.pub",
        "keys/log.pub",
        "keys/meter.pub",
        "log/checkpoint",
        "log/tile/0/000.p/8",
        "log/witnessed",
        f"models/{made.head.digest}/{CHECKSUMS}",
        f"models/{made.head.digest}/model.safetensors",
        f"models/{made.head.digest}/config.json",
        f"capsules/{capsule}/{CHECKSUMS}",
        f"capsules/{capsule}/adapter_model.safetensors",
        f"data/{made.data.digest}/{CHECKSUMS}",
        f"data/{made.data.digest}/holdout.jsonl",
        f"evidence/{receipt.predicate.evaluation.per_example}.bin",
    ]


EACH = """
import os
from cryoflux.errors import CryoFluxError
from verifying import verify_target
state, kind = Path(sys.argv[3]), sys.argv[4]
for where in sys.argv[5:]:
    path = state / where
    kept = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "hollow":
        path.touch()
        os.truncate(path, 2**42)
    else:
        path.symlink_to(kind)
    try:
        report = verify_target(state)
        print(where, sorted(c.subject for c in report.checks if c.status.value == "fail"))
    except CryoFluxError as error:
        print(where, error.what)
    path.unlink()
    if kept is not None:
        path.write_bytes(kept)
"""


@pytest.mark.parametrize("kind", ["pipe", "hollow", "/dev/zero", "/proc/kcore", "/proc/self/mem"])
def test_no_file_is_waited_for_and_none_is_endless(state: Path, pristine: SyntheticState, kind: str) -> None:
    if kind.startswith("/proc") and not Path(kind).exists():
        pytest.skip("this kernel shows no such file")
    where = places(pristine)
    said = bounded(EACH, state, kind, *where, mib=1024, cpu_s=60).splitlines()
    assert [line.partition(" ")[0] for line in said] == where
    passed = {line.partition(" ")[0] for line in said if line.endswith("[]")}
    # what nobody has cosigned, and a key that pins nothing, may be missing, too
    assert passed <= {"log/witnessed", "keys/meter.pub", "log/tile/0/000.p/8"}, said
    assert failed(state) == set(), "the innocent twin"


@pytest.mark.parametrize("read", [load_public_key, read_policy])
def test_a_key_or_a_policy_that_is_a_pipe_is_not_waited_for(tmp_path: Path, read: object) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(UsageError, match="no regular file"):
        read(path)


@pytest.mark.parametrize("command", ["verify", "receipts check-proof", "witness check-evidence"])
def test_no_command_waits_for_a_pipe(tmp_path: Path, pristine: SyntheticState, command: str) -> None:
    os.mkfifo(path := tmp_path / "pipe")
    keys = pristine.path / "keys"
    options = {
        "verify": ["--key", keys / "receipt.pub", "--log-key", keys / "log.pub"],
        "receipts check-proof": ["--key", keys / "receipt.pub", "--log-key", keys / "log.pub"],
        "witness check-evidence": [],
    }[command]
    code = "from cryoflux.cli.main import main\nsys.argv[1:] = sys.argv[3:]\ntry:\n    main()\n"
    code += "except SystemExit as end:\n    print('ended', end.code)\n"
    assert "ended 2" in bounded(code, *command.split(), path, *options, wall_s=100)


def test_only_regular_files_with_bytes_in_them_are_opened(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (hollow := tmp_path / "hollow").touch()
    os.truncate(hollow, 2**33)
    (tmp_path / "link").symlink_to(hollow)
    for name in ("folder", "pipe", "hollow", "link"):
        with pytest.raises(IrregularFileError):
            open_regular(tmp_path / name)
    for name in ("/dev/null", "/dev/zero", "/dev/stdin"):
        with pytest.raises(OSError):
            open_regular(Path(name))
    honest = tmp_path / "honest"
    honest.write_bytes(b"x" * 100_000)
    os.truncate(honest, 1_000_000)  # some holes are nothing unusual
    (tmp_path / "to").symlink_to(honest)
    assert len(read_regular(tmp_path / "to", 1_000_000)) == 1_000_000
    with pytest.raises(IrregularFileError, match="more than 999999 bytes"):
        read_regular(honest, 999_999)


def test_data_and_models_may_lie_elsewhere(state: Path, pristine: SyntheticState, tmp_path: Path) -> None:
    for name in ("data", "models", "capsules", "evidence"):
        shutil.move(state / name, tmp_path / name)
        (state / name).symlink_to(tmp_path / name)
    for path in (tmp_path / "data" / pristine.data.digest).iterdir():
        shutil.move(path, tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    assert failed(state) == set()


# Many small files, long lists of nothing, and numbers that only claim


def test_thousands_of_changed_files_are_not_searched_for_a_bit_each(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    folder = made.path / "models" / made.head.digest
    for number in range(200):
        (folder / f"{number}.json").write_bytes(b"x" * 11_900)
    made.head = made.head.but(files=write_checksums(folder))
    made.abort(made.announce())
    for number in range(200):
        (folder / f"{number}.json").write_bytes(b"x" * 11_898 + b"yz")
    state = made.finish()
    found = failures(state, cpu_s=25)  # 160 seconds, if each is searched
    assert sum(subject.startswith("models/") for subject in found) >= 20


def test_a_damaged_file_is_still_located(tmp_path: Path) -> None:
    searching = Searching()
    assert [searching.allows(12_000) for _ in range(8)] == [True] * 4 + [False] * 4
    assert all(Searching().allows(1152) for _ in range(100))


@pytest.mark.parametrize("line", [b"\n", b"x\n", b"{}\n"])
def test_a_file_of_line_feeds_costs_what_it_weighs(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(line * (30_000_000 // len(line)))
    found = failures(path, mib=600, cpu_s=20)
    assert any("is not a receipt file" in detail for detail in found.values()), found


def test_a_line_without_an_end_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"x" * 300_000_000)
    found = failures(path, mib=500, cpu_s=20)
    assert any("is not a receipt file" in detail for detail in found.values()), found


def test_a_long_export_is_read_whole(tmp_path: Path, pristine: SyntheticState) -> None:
    path = tmp_path / "export.jsonl"
    lines = [entry.envelope + b"\n" for entry in pristine.entries]
    path.write_bytes(b"".join(lines))
    assert not [c for c in verify_target(path).checks if c.status is Status.FAIL]
    path.write_bytes(b"".join(lines * 1000))
    code = "from cryoflux.verification.material import read_material\n"
    code += "found = read_material(Path(sys.argv[3]))\nprint(len(found.rows), found.problem)"
    assert bounded(code, path).split() == [str(1000 * len(lines))]


def test_lines_are_given_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"a\n\nbbbbb\ncccc\nd")
    assert [*read_lines(path, 4)] == [
        (b"a", True),
        (b"", True),
        (b"bbbbb", True),
        (b"cccc", True),
        (b"d", False),
    ]


@pytest.mark.parametrize("count", [30_000_000, 2**53 - 1])
def test_a_number_of_examples_is_only_a_claim(tmp_path: Path, count: int) -> None:
    made = open_state(tmp_path / "state")
    made.data = made.data.but(holdout=made.data.holdout.but(count=count))
    made.attempt(-0.05, read=32)
    state = made.finish()
    code = "from verifying import walked\nfrom cryoflux.verification.recompute import check_recomputed\n"
    code += "for check in check_recomputed(walked(Path(sys.argv[3])), 1, None): print(check.detail)\n"
    assert failures(state, mib=500, cpu_s=15)
    assert "more than 1000000 examples" in bounded(code, state, mib=500, cpu_s=15)


def test_marks_without_end_are_normalised_in_linear_time() -> None:
    code = "from cryoflux.data.examples import normalise\n"
    code += "print(len(normalise('a' + '\\u0300\\u0316' * 1_000_000)))"
    assert int(bounded(code, cpu_s=10)) > 1_000_000  # days, if all marks are put in order together


def test_honest_texts_are_normalised_as_ever() -> None:
    import unicodedata

    for text in ("e\u0301 \u1100\u1161\u11a8 ﬁ ①", "Z" + "\u0316\u0301" * 15, "नमस्ते ສະບາຍດີ Việt"):
        assert nfkc(text) == unicodedata.normalize("NFKC", text)
    assert normalise("Ａ\u0301  b") == "á b"


# Weights

READ = """
from cryoflux.digests import read_tensor_entries
from cryoflux.errors import ModelError
try:
    print(len(read_tensor_entries(Path(sys.argv[3]))))
except ModelError as error:
    print(error.why)
"""


def header(tensors: str) -> bytes:
    content = tensors.encode()
    return len(content).to_bytes(8, "little") + content


SPEC = '{"dtype":"F32","shape":[%d],"data_offsets":[%d,%d]}'
HOSTILE = {
    "overlap": '{"a":' + SPEC % (2, 0, 8) + ',"b":' + SPEC % (2, 0, 8) + "}",
    "hole": '{"a":' + SPEC % (1, 0, 4) + ',"b":' + SPEC % (0, 8, 8) + "}",
    "beginning": '{"a":' + SPEC % (1, 4, 8) + "}",
    "end": '{"a":' + SPEC % (1, 0, 4) + "}",
    "size": '{"a":' + SPEC % (3, 0, 8) + "}",
    "product": '{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}',
    "dtype": '{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}',
    "name": '{"a":' + SPEC % (2, 0, 8) + ',"a":' + SPEC % (2, 0, 8) + "}",
    "field": '{"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}',
    "more": '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"code":"x"}}',
    "notes": '{"__metadata__":{"a":{"b":1}},"a":' + SPEC % (2, 0, 8) + "}",
    "dimensions": '{"a":{"dtype":"F32","shape":[2' + ",1" * 5000 + '],"data_offsets":[0,8]}}',
}


@pytest.mark.parametrize("what", HOSTILE)
def test_bytes_of_weights_belong_to_one_tensor_each(tmp_path: Path, what: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(header('{"__metadata__":{"format":"pt"},"a":' + SPEC % (2, 0, 8) + "}") + bytes(8))
    assert len(read_tensor_entries(path)) == 1
    path.write_bytes(header(HOSTILE[what]) + bytes(8))
    with pytest.raises(ModelError, match="not a well-formed safetensors"):
        read_tensor_entries(path)


def test_one_stretch_of_bytes_is_not_hashed_for_many_tensors(tmp_path: Path) -> None:
    size = 4_000_000
    spec = SPEC % (size // 4, 0, size)
    path = tmp_path / "model.safetensors"
    path.write_bytes(header("{" + ",".join(f'"{n}":{spec}' for n in range(20_000)) + "}") + bytes(size))
    assert "overlap" in bounded(READ, path, cpu_s=10)  # 80 GB


def test_a_header_costs_no_more_than_a_stated_multiple_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for content in ("[" * 8_000_000, "[" + "{}," * 2_600_000 + "{}]", "{" + '"":{},' * 900_000 + '"":{}}'):
        path.write_bytes(header(content))
        assert "cannot be identified" in bounded(READ, path, mib=1500, cpu_s=15)
    path.write_bytes(header('{"a":' + SPEC % (0, 0, 0) + "}" + " " * 9_000_000))
    assert "header length" in bounded(READ, path, mib=300)


def test_large_honest_weights_are_read(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    tensors = {f"layer.{n}.weight": np.full((256, 256), n, np.float32) for n in range(400)}
    save_file({**tensors, "empty": np.zeros((0, 5)), "bits": np.ones(3, bool)}, tmp_path / "m.safetensors")
    assert int(bounded(READ, tmp_path / "m.safetensors", mib=400)) == 402


# Folders


@pytest.mark.parametrize("shape", ["wide", "deep"])
def test_a_folder_without_end_is_named_and_not_walked(
    state: Path, pristine: SyntheticState, shape: str
) -> None:
    folder = state / "models" / pristine.head.digest
    if shape == "wide":
        for number in range(20_000):
            (folder / f"{number}\n{number}").touch()
    else:
        before = Path.cwd()
        os.chdir(folder)
        for _ in range(400):  # pytest can still remove them, should this fail
            Path("d").mkdir()
            os.chdir("d")
        os.chdir(before)
    assert f"models/{pristine.head.digest}/." in failures(state, mib=500, cpu_s=10)
    with pytest.raises(IrregularFileError, match="holds more than"):
        files_below(folder, most=1000)


def test_a_few_files_more_are_named_one_by_one(state: Path, pristine: SyntheticState) -> None:
    folder = state / "models" / pristine.head.digest
    (folder / "sub" / "sub").mkdir(parents=True)
    (folder / "sub" / "sub" / ".DS_Store").touch()
    assert failed(state) == {f"models/{pristine.head.digest}/sub/sub/.DS_Store"}


def test_partial_tiles_without_end_are_not_held(state: Path) -> None:
    folder = state / "log" / "tile" / "0" / "000.p"
    for number in range(100, 200):
        with (folder / str(number)).open("wb") as stream:
            stream.write(bytes(1_100_000))
            os.truncate(stream.fileno(), 16_000_000)
    assert failures(state, mib=600, cpu_s=20)


# Databases


def interior(kind: int, size: int, child: int, fan: int) -> bytes:
    """A page of a tree of SQLite whose every entry leads to the same page again."""
    cells = [
        child.to_bytes(4, "big") + (bytes([n + 1]) if kind == 5 else b"\x04\x03\x01\x08\x00")
        for n in range(fan)
    ]
    content = b"".join(reversed(cells))
    start = size - len(content)
    ends = [size - sum(map(len, cells[: n + 1])) for n in range(fan)]
    head = bytes([kind, 0, 0]) + fan.to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0"
    body = head + child.to_bytes(4, "big") + b"".join(end.to_bytes(2, "big") for end in ends)
    return body + bytes(start - len(body)) + content


def bend(path: Path, name: str, kind: int, levels: int = 15, fan: int = 20) -> None:
    """Let a tree of a database hold its rows 20 to the 15th times."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("PRAGMA journal_mode=DELETE")
    (size,), (pages,) = (
        connection.execute(f"PRAGMA {what}").fetchone() for what in ("page_size", "page_count")
    )
    query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
    (root,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    more = [bytes(content[(root - 1) * size : root * size])]
    more += [interior(kind, size, pages + 1 + level, fan) for level in range(levels)]
    content[(root - 1) * size : root * size] = more.pop()
    content += b"".join(more)
    content[28:32] = (len(content) // size).to_bytes(4, "big")
    content[92:96] = content[24:28]
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "kind"), [("entries", 5), ("entries_task", 2), ("sqlite_autoindex_entries_1", 2)]
)
def test_rows_without_end_are_not_counted(state: Path, name: str, kind: int) -> None:
    bend(state / "receipts.db", name, kind)
    failures(state, mib=700, cpu_s=20)


def test_a_value_as_long_as_it_claims_is_not_made_room_for(tmp_path: Path, state: Path) -> None:
    path = state / "receipts.db"
    connection = sqlite3.connect(path, isolation_level=None)
    rows = StoredRows(path)
    assert len(rows) == 8
    rows.close()
    row = (8, "intent", "", "", digest_of("x"), b"x" * 5_000_000)
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
    connection.close()
    rows = StoredRows(path)
    with pytest.raises(StateTamperedError, match="too big"):
        for _ in rows:
            pass
    rows.close()


def test_pages_of_the_account_that_lead_in_a_circle_are_refused(state: Path) -> None:
    for name in ("reservations", "entries", "pending"):
        copy = shutil.copytree(state, state.parent / name, symlinks=True)
        bend(copy / "account.db", name, 5)
        assert "account.db" in " ".join(failures(copy, mib=700, cpu_s=20))


def test_what_is_copied_from_a_state_is_what_is_listed(tmp_path: Path, state: Path) -> None:
    from cryoflux.digests import copy_listed

    folder = next((state / "models").iterdir())
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    listed = copy_listed(folder, tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {*listed, CHECKSUMS}
    assert all(file_digest(tmp_path / "copy" / name) == digest for name, digest in listed.items())
    (folder / CHECKSUMS).write_text(f"{digest_of('x')}  ../../keys/log.pem\n")
    with pytest.raises(OSError, match="leads out of the folder"):
        copy_listed(folder, tmp_path / "other")


def test_every_refusal_is_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x").write_text(json.dumps({"count": COUNT}))
    with pytest.raises(CryoFluxError):
        load_public_key(tmp_path / "x")
