"""Files of a model that a digest seems to cover: what stands in SHA256SUMS, and beside it, to `verify.sh`.

`sha256sum -c` passes over a line that it cannot read with a warning, takes capitals, a star and the form of
BSD, and unescapes names. `verify` knows one form of a line. Where the line for the weights is none to it and
a warning to the other, the weights may be any.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cryoflux.digests import CHECKSUMS, file_digest, sha256_hex
from cryoflux.files import files_below, write_atomic
from cryoflux.signing.keys import load_key, load_public_key
from cryoflux.verification.result import Status
from shell_bundles import bare_tools, bundle_of, needs_tools, run_shell
from synthetic_state import open_state
from verifying import verify_target

pytestmark = needs_tools
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_tools(tmp_path_factory.mktemp("tools"))


def honest(digests: dict[str, str]) -> list[str]:
    return [f"{digest}  {name}\n" for name, digest in digests.items()]


def with_weights(line: Callable[[str, str], str]) -> Callable[[dict[str, str]], list[str]]:
    """The list with another line for the weights."""
    return lambda digests: [
        line(digest, name) if name == WEIGHTS else f"{digest}  {name}\n" for name, digest in digests.items()
    ]


LISTS: dict[str, Callable[[dict[str, str]], list[str]]] = {
    "no digest": with_weights(lambda _, name: f"zz  {name}\n"),
    "no line at all": with_weights(lambda *_: ""),
    "an empty line": with_weights(lambda *_: "\n"),
    "capitals": with_weights(lambda digest, name: f"{digest.upper()}  {name}\n"),
    "a star": with_weights(lambda digest, name: f"{digest} *{name}\n"),
    "one space": with_weights(lambda digest, name: f"{digest} {name}\n"),
    "three spaces": with_weights(lambda digest, name: f"{digest}   {name}\n"),
    "the form of BSD": with_weights(lambda digest, name: f"SHA256 ({name}) = {digest}\n"),
    "an escaped name": with_weights(lambda digest, name: f"\\{digest}  {name}\n"),
    "a carriage return": with_weights(lambda digest, name: f"{digest}  {name}\r\n"),
    "a zero byte": with_weights(lambda digest, name: f"{digest}  {name}\0\n"),
    "by way of the folder above": with_weights(lambda digest, name: f"{digest}  ../{{head}}/{name}\n"),
    "by way of the same folder": with_weights(lambda digest, name: f"{digest}  ./{name}\n"),
    "twice, the second one right": with_weights(
        lambda digest, name: f"{'0' * 64}  {name}\n{digest}  {name}\n"
    ),
    "the same line twice": with_weights(lambda digest, name: f"{digest}  {name}\n" * 2),
    "one that is not there": lambda digests: [*honest(digests), f"{'0' * 64}  more.bin\n"],
    "itself": lambda digests: [*honest(digests), f"{'0' * 64}  {CHECKSUMS}\n"],
}
INNOCENT: dict[str, Callable[[dict[str, str]], list[str]]] = {
    "as it is written": honest,
    "in another order": lambda digests: honest(digests)[::-1],
    "without a last line feed": lambda digests: ["".join(honest(digests))[:-1]],
}


def _linked(folder: Path) -> None:
    (folder / "linked").symlink_to("config.json")


def _in_a_folder(folder: Path) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "1.txt").write_text("between the folder and what is in it, in some orders")


LISTED: dict[str, Callable[[Path], object]] = {
    "a hidden file": lambda folder: (folder / ".hidden").write_text("x"),
    "a file in a folder": _in_a_folder,
    "a name with a space": lambda folder: (folder / "a  b *").write_text("x"),
    "a name with a backslash": lambda folder: (folder / "a\\nb").write_text("x"),
    "a name that is no UTF-8": lambda folder: (folder / os.fsdecode(b"a\xff")).write_text("x"),
    "a link to a file": _linked,
    "an empty folder": lambda folder: (folder / "empty").mkdir(),
}
"""what a folder may hold, where its list names it"""
UNLISTED: dict[str, Callable[[Path], object]] = {
    "a file": lambda folder: (folder / "more.bin").write_text("x"),
    "a hidden file": lambda folder: (folder / ".hidden").write_text("x"),
    "two dots more": lambda folder: (folder / "..more").write_text("x"),
    "a file in a folder": _in_a_folder,
    "a name with a line feed": lambda folder: (folder / "a\nb").write_text("x"),
    "a link to nothing": lambda folder: (folder / "nothing").symlink_to("nowhere"),
    "a link to a folder": lambda folder: (folder / "above").symlink_to(".."),
    "a pipe": lambda folder: os.mkfifo(folder / "pipe"),
    "weights of another": lambda folder: (folder / WEIGHTS).write_bytes(b"another"),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
}


def verdicts(
    place: Path,
    tools: Path,
    lines: Callable[[dict[str, str]], list[str]] = honest,
    more: Callable[[Path], object] | None = None,
    after: Callable[[Path], object] | None = None,
) -> tuple[bool, bool, str]:
    """Of the script on a bundle and of `verify` on a state, both with this list of the head's files.

    ``more`` is done to the folder before it is listed, ``after`` once that is signed.
    """
    made = open_state(place / "state")
    folder = made.path / "models" / made.head.digest
    if more is not None:
        more(folder)
    files = {name: path for name, path in files_below(folder).items() if name != CHECKSUMS}
    said = "".join(lines({name: file_digest(path) for name, path in files.items()}))
    content = said.replace("{head}", made.head.digest).encode("utf-8", "surrogateescape")
    write_atomic(folder / CHECKSUMS, content)
    made.head = made.head.but(files=sha256_hex(content))
    made.abort(made.announce())
    state = made.finish()
    if after is not None:
        after(folder)
    wrong = [c for c in verify_target(state).checks if c.status is Status.FAIL]
    assert all(check.subject.startswith("models/") for check in wrong), wrong
    entries = [entry.envelope for entry in made.entries]
    log_key = load_key(state / "keys", "log", create=False)
    bundle = bundle_of(place / "bundle", entries, load_public_key(state / "keys" / "receipt.pub"), log_key)
    (bundle / "models").mkdir()
    folder.rename(bundle / "models" / folder.name)
    shell = run_shell(bundle, tools)
    shutil.rmtree(bundle)
    return shell.holds, not wrong, shell.said


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_verify_cannot_read_covers_nothing(name: str, tmp_path: Path, tools: Path) -> None:
    shell, verify, said = verdicts(tmp_path, tools, LISTS[name])
    assert not verify
    assert not shell, said


@pytest.mark.parametrize("name", INNOCENT)
def test_a_list_of_all_files_is_taken(name: str, tmp_path: Path, tools: Path) -> None:
    """The twin of those above."""
    assert verdicts(tmp_path, tools, INNOCENT[name])[:2] == (True, True)


@pytest.mark.parametrize("name", UNLISTED)
def test_a_folder_holds_what_is_listed_and_nothing_else(name: str, tmp_path: Path, tools: Path) -> None:
    shell, verify, said = verdicts(tmp_path, tools, after=UNLISTED[name])
    assert not verify
    assert not shell, said


@pytest.mark.parametrize("name", LISTED)
def test_files_that_are_listed_are_taken_wherever_they_lie(name: str, tmp_path: Path, tools: Path) -> None:
    """The twin of those above."""
    shell, verify, said = verdicts(tmp_path, tools, more=LISTED[name])
    assert verify
    assert shell, said


def test_a_line_in_the_words_of_the_script_is_no_line(tmp_path: Path, tools: Path) -> None:
    """A name that cannot be listed, in a list that has whatever the script may print for it."""
    for place, line in enumerate(["a\nb", "a", "b", "is no file"]):
        shell, verify, said = verdicts(
            tmp_path / str(place),
            tools,
            lambda digests, line=line: [*honest(digests), f"{line}\n"],
            after=lambda folder: (folder / "a\nb").write_text("x"),
        )
        assert (shell, verify) == (False, False), said
