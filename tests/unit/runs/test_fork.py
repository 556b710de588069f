"""A state that goes on from another one: what it takes along, what it does not, and what a verifier says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.data.prepared import render_sets
from cryoflux.errors import StateLockedError, StateTamperedError, StorageError, UsageError
from cryoflux.files import lock_exclusively
from cryoflux.quantities import NANO
from cryoflux.receipts.flat import flat_view
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.receipts.schema import receipt_schema
from cryoflux.runs import fork as forking
from cryoflux.runs.fork import ForkedState, fork_state
from cryoflux.state import StateFolder
from cryoflux.tasks.interface import Beginning
from cryoflux.verification.result import Report, Status
from cryoflux.verification.steps import verify_target
from small_context import BETTER, COUNT, NOISY, NOW, WORSE, SmallRun, ToyTask, _write


class TextTask(ToyTask):
    """The toy on examples that a verifier can read."""

    def beginning(self, progress: Callable[[str, int, int], None]) -> Beginning:
        counts = {"train": 40, "holdout": COUNT, "holdout-2": COUNT, "audit": 32}
        sets = {
            part: [json.dumps({"text": f"{part} {i}"}).encode() for i in range(count)]
            for part, count in counts.items()
        }
        files, digest = render_sets(sets)
        return Beginning("texts", digest, files, partial(_write, level=NANO, noise=0))


@pytest.fixture
def run(small: Callable[..., SmallRun]) -> SmallRun:
    return small(TextTask)


@pytest.fixture
def grown(run: SmallRun) -> SmallRun:
    """One kept, one rejected."""
    run.attempt(BETTER)
    run.attempt(WORSE)
    return run


def fork(source: SmallRun | Path, target: Path) -> ForkedState:
    return fork_state(source.state.path if isinstance(source, SmallRun) else source, target, NOW)


def go_on(run: SmallRun, path: Path) -> SmallRun:
    """The same machine, at work in another state from here on."""
    run.close()
    run.state = StateFolder(path)
    run.open()
    return run


def failures(report: Report) -> list[tuple[int, str, str]]:
    return [(c.number, c.subject, c.detail) for c in report.checks if c.status is Status.FAIL]


def parents(report: Report) -> list[tuple[Status, str]]:
    return [(c.status, c.detail) for c in report.checks if c.number == 16]


def test_both_go_on_and_both_verify(grown: SmallRun, tmp_path: Path) -> None:
    original, new = grown.state.path, tmp_path / "new"
    made = fork(grown, new)
    head = grown.task.head.digest
    assert (made.parent.size, dict(made.heads), made.looks) == (4, {"toy": head}, 2)
    grown.attempt(NOISY)
    go_on(grown, new)
    assert grown.task.head.digest == head
    grown.agent.grant(100_000_000, request_id="more", note="")
    grown.attempt(BETTER)
    grown.close()
    heads = tmp_path / "heads"
    for state in (original, new):
        assert failures(verify_target(state, heads=heads)) == []
        assert failures(verify_target(state, heads=heads)) == [], "neither is taken for the other"
    report = verify_target(new, parent=str(original))
    assert failures(report) == []
    ((status, detail),) = parents(report)
    assert status is Status.OK
    assert "which has 6 now" in detail


def test_looks_go_on_and_so_does_the_bar(grown: SmallRun, tmp_path: Path) -> None:
    before = grown.context.bar(grown.opened)
    fork(grown, tmp_path / "new")
    go_on(grown, tmp_path / "new")
    assert grown.context.bar(grown.opened) == before
    assert (before.looks, before.kept) == (2, 1)
    grown.agent.grant(100_000_000, request_id="more", note="")
    grown.attempt(WORSE)
    (intent,) = grown.intents()
    assert (intent.bar, intent.data.holdout.use_index) == (before, 3)
    assert intent.base == grown.context.memory.tasks["toy"].start


def test_no_joule_is_made(grown: SmallRun, tmp_path: Path) -> None:
    held = grown.agent.bucket_uj()
    assert held > 0
    fork(grown, tmp_path / "new")
    assert grown.agent.bucket_uj() == held
    assert not StateFolder(tmp_path / "new").account.exists()
    go_on(grown, tmp_path / "new")
    assert grown.agent.bucket_uj() == 0


def test_models_are_shared_and_nothing_else_is(grown: SmallRun, tmp_path: Path) -> None:
    made = fork(grown, tmp_path / "new")
    shared = {
        path.relative_to(tmp_path / "new").parts[0]
        for path in (tmp_path / "new").rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1
    }
    assert shared == {"models"}
    assert made.linked_bytes > 0
    assert made.copied_bytes > 0
    versions = {path.name for path in (tmp_path / "new" / "models").iterdir()}
    assert versions == {made.heads["toy"], grown.context.memory.tasks["toy"].first.digest}


def test_its_keys_are_its_own_and_the_parents_vouches_for_them(grown: SmallRun, tmp_path: Path) -> None:
    made = fork(grown, tmp_path / "new")
    assert made.vouched
    assert made.origin != made.parent.origin
    for name in ("receipt", "log"):
        keys = [(state / "keys" / f"{name}.pem").read_bytes() for state in (grown.state.path, made.path)]
        assert keys[0] != keys[1]
    assert not (made.path / "keys" / "meter.pem").exists()


def test_a_state_of_somebody_else_is_forked_and_nobody_vouches_for_that(
    grown: SmallRun, tmp_path: Path
) -> None:
    (grown.state.keys / "receipt.pem").unlink()
    made = fork(grown, tmp_path / "new")
    assert not made.vouched
    report = verify_target(made.path, parent=str(grown.state.path))
    assert failures(report) == []
    assert "does not vouch" in parents(report)[1][1]


def test_after_a_rotation_the_key_that_is_valid_vouches(grown: SmallRun, tmp_path: Path) -> None:
    root, log = Ed25519PrivateKey.generate(), grown.context.log
    enrol_root(log, grown.state.path, root.public_key(), "2026-01-02T03:04:05Z")
    rotate_key(log, grown.state.path, root, "new disk", "2026-01-02T03:04:05Z")
    made = fork(grown, tmp_path / "new")
    assert made.vouched
    assert failures(verify_target(made.path)) == []
    assert any("only it shows a rotation" in detail for _, detail in parents(verify_target(made.path)))
    assert failures(verify_target(made.path, parent=str(grown.state.path))) == []
    revoke_key(log, root, log.authority.reigns[-1].keyid, "lost", "2026-01-02T03:04:05Z")
    later = fork(grown, tmp_path / "later")
    assert not later.vouched
    assert failures(verify_target(later.path, parent=str(grown.state.path))) == []


def test_a_fork_of_a_fork_goes_on_with_all_looks(grown: SmallRun, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    fork(grown, first)
    go_on(grown, first)
    grown.agent.grant(100_000_000, request_id="more", note="")
    grown.attempt(WORSE)
    assert fork(grown, second).looks == 3
    go_on(grown, second)
    assert grown.context.bar(grown.opened).looks == 3
    grown.close()
    assert failures(verify_target(second, parent=str(first))) == []
    assert failures(verify_target(first, parent=str(tmp_path / "state"))) == []
    ((number, _, detail),) = failures(verify_target(second, parent=str(tmp_path / "state")))
    assert number == 16
    assert "another log" in detail


def test_what_was_never_tried_is_forked_too(run: SmallRun, tmp_path: Path) -> None:
    made = fork(run, tmp_path / "new")
    assert (made.parent.size, made.looks) == (0, 0)
    go_on(run, made.path)
    run.agent.grant(100_000_000, request_id="more", note="")
    run.attempt(BETTER)
    run.close()
    assert failures(verify_target(made.path, parent=str(tmp_path / "state"))) == []


def test_a_state_in_use_is_forked_as_its_signed_head_covers_it(grown: SmallRun, tmp_path: Path) -> None:
    forked: list[ForkedState] = []
    with lock_exclusively(grown.state.lock, holder="cryoflux run"):
        grown.attempt(replace(BETTER, meanwhile=lambda: forked.append(fork(grown, tmp_path / "new"))))
    (made,) = forked
    assert made.parent.size == 5, "the attempt that was announced, and is still open there"
    assert failures(verify_target(made.path, parent=str(grown.state.path))) == []
    go_on(grown, made.path)
    assert grown.context.memory.open == {}
    assert grown.reopen() == []


def test_a_restored_backup_goes_on_as_a_fork(grown: SmallRun, tmp_path: Path) -> None:
    backup = shutil.copytree(grown.state.path, tmp_path / "backup", symlinks=True)
    grown.attempt(WORSE)
    heads = tmp_path / "heads"
    assert verify_target(grown.state.path, heads=heads).ok
    ((number, _, detail),) = failures(verify_target(backup, heads=heads))
    assert number == 13
    assert detail.index("backup") < detail.index("removed")
    assert "cryoflux fork" in detail
    made = fork(backup, tmp_path / "new")
    assert failures(verify_target(made.path, heads=heads, parent=str(grown.state.path))) == []


@pytest.mark.parametrize("name", ["taken", "file", "state/inside"])
def test_what_is_in_the_way_is_left_as_it_is(grown: SmallRun, tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes").write_text("mine")
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError):
        fork(grown, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_no_state_is_not_forked(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="is not a state"):
        fork(tmp_path / "folder", tmp_path / "new")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "folder"]


def test_an_empty_folder_is_taken(grown: SmallRun, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert verify_target(fork(grown, tmp_path / "new").path).ok


@pytest.fixture(params=["_bring_file", "_begin_log", "_take_name"])
def breaking(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Lets a fork come to one of its steps and no further."""

    def arm(error: BaseException) -> None:
        def broken(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(forking, request.param, broken)

    yield arm
    monkeypatch.undo()


def test_a_full_disk_leaves_nothing_behind(
    grown: SmallRun, tmp_path: Path, breaking: Callable[..., None]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    breaking(StorageError("No space left on device."))
    with pytest.raises(StorageError):
        fork(grown, tmp_path / "new")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_head_that_is_damaged_is_not_gone_on_from(grown: SmallRun, tmp_path: Path) -> None:
    folder = grown.state.model(grown.task.head.digest)
    (folder / "losses.json").write_text("{}")
    with pytest.raises(StateTamperedError):
        fork(grown, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_two_at_once_do_not_share_a_draft(grown: SmallRun, tmp_path: Path) -> None:
    with (
        lock_exclusively(tmp_path / ".new.forking" / "lock", holder="cryoflux fork"),
        pytest.raises(StateLockedError),
    ):
        fork(grown, tmp_path / "new")
    assert fork(grown, tmp_path / "new").looks == 2, "a draft that nobody works at any more is taken over"


def test_the_first_entry_is_shown(grown: SmallRun, tmp_path: Path) -> None:
    made = fork(grown, tmp_path / "new")
    (entry,) = read_entries(made.path)
    view = flat_view(entry)
    assert (view["outcome"], view["parent"], view["parent_entries"], view["looks"]) == (
        "forked",
        made.parent.origin,
        4,
        2,
    )
    validator = pytest.importorskip("jsonschema").Draft4Validator(receipt_schema())
    said = json.loads(entry.signed.payload)
    assert validator.is_valid(said)
    assert validator.is_valid(json.loads(said["predicate"]["parent"]["voucher"]))
    assert not validator.is_valid({**said, "predicate": {**said["predicate"], "looks": 0}})
