"""Files as answers: which ones there are, which part of one, and when nothing has to be sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.serving.files import IMMUTABLE, FileTree, answer_file
from cryoflux.serving.routing import FileReply, NotServedError, Reply, Request

CONTENT = bytes(range(100))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in {"a": b"a", "deep/er/b": b"b", ".hidden": b"h", ".git/x": b"x"}.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    (tmp_path / "secret").write_bytes(b"secret")
    return tmp_path / "tree"


def read(root: Path, path: str) -> bytes | None:
    stream = FileTree(root).open(path)
    if stream is None:
        return None
    with stream:
        return stream.read()


def test_what_is_below_the_root_is_found(root: Path) -> None:
    assert (read(root, "a"), read(root, "deep/er/b")) == (b"a", b"b")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/", "/a", "a/", "deep", "deep/er", "deep//er/b", "./a", "../secret", "deep/../a"),
        *("..", "deep/../../secret", ".hidden", ".git/x", "a\0", "a/b", "x" * 200, "\u2025/secret"),
        *("/".join(["deep"] * 20), "a\n", "~", "%2e%2e/secret", "deep\\er\\b"),
    ],
)
def test_nothing_else_is(root: Path, path: str) -> None:
    assert read(root, path) is None


def test_no_link_is_followed(root: Path) -> None:
    (root / "link").symlink_to(root.parent / "secret")
    (root / "inside").symlink_to("a")
    (root / "folder").symlink_to(root.parent)
    assert [read(root, path) for path in ("link", "inside", "folder/secret")] == [None] * 3


def test_no_pipe_is_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert read(root, "pipe") is None


def test_a_folder_that_is_not_there_yet_has_no_files(tmp_path: Path) -> None:
    assert read(tmp_path / "none", "a") is None


def test_a_file_that_may_not_be_read_is_no_missing_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match="Too many"):
        read(root, "a")


@given(st.lists(st.sampled_from(["..", ".", "", "a", "deep", "er", "b", "secret", "tree", ".hidden"])))
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    root = tmp_path_factory.getbasetemp() / "confined" / "tree"
    if not root.is_dir():
        (root / "deep/er").mkdir(parents=True)
        (root / "a").write_bytes(b"a")
        (root / "deep/er/b").write_bytes(b"b")
        (root.parent / "secret").write_bytes(b"secret")
    assert read(root, "/".join(parts)) in {None, b"a", b"b"}


# Answers


def answer(tmp_path: Path, content: bytes = CONTENT, **headers: str) -> Reply | FileReply:
    path = tmp_path / "file"
    if not path.is_file():
        path.write_bytes(content)
    given_ = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return answer_file(path.open("rb"), Request(b"", {}, "", given_), "text/plain", IMMUTABLE)


def body(reply: Reply | FileReply) -> bytes:
    assert isinstance(reply, FileReply)
    with reply.stream as stream:
        return stream.read(reply.length)


def test_a_whole_file_says_how_it_is_known_and_kept(tmp_path: Path) -> None:
    reply = answer(tmp_path)
    assert (reply.status, body(reply)) == (200, CONTENT)
    said = dict(reply.headers)
    assert said[b"cache-control"] == b"public, max-age=31536000, immutable"
    assert said[b"accept-ranges"] == b"bytes"
    assert said[b"etag"].startswith(b'"')


@pytest.mark.parametrize("size", [0, 100, 200_000])
def test_what_a_client_has_is_not_sent_again(tmp_path: Path, size: int) -> None:
    first = answer(tmp_path, bytes(size))
    tag = dict(first.headers)[b"etag"].decode()
    assert body(first) == bytes(size)
    for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = answer(tmp_path, if_none_match=said)
        assert (again.status, dict(again.headers)[b"etag"].decode()) == (304, tag)
    fresh = answer(tmp_path, if_none_match='"other"')
    assert fresh.status == 200
    body(fresh)
    (tmp_path / "file").replace(tmp_path / "old")
    changed = answer(tmp_path, b"x" * size or b"y", if_none_match=tag)
    assert changed.status == 200
    body(changed)


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=90-", 206, 90, 100),
        ("bytes=90-500", 206, 90, 100),
        ("bytes=-10", 206, 90, 100),
        ("bytes=-500", 200, 0, 100),
        ("bytes=0-", 200, 0, 100),
        ("bytes=99-99", 206, 99, 100),
        ("bytes=9-0", 200, 0, 100),
        ("bytes=-", 200, 0, 100),
        ("bytes=0-1,5-6", 200, 0, 100),
        ("lines=0-1", 200, 0, 100),
        ("bytes=a-b", 200, 0, 100),
        ("bytes=1-99999999999999999999", 200, 0, 100),
    ],
)
def test_a_part_of_a_file(tmp_path: Path, asked: str, status: int, start: int, end: int) -> None:
    reply = answer(tmp_path, range=asked)
    assert (reply.status, body(reply)) == (status, CONTENT[start:end])
    within = dict(reply.headers).get(b"content-range")
    assert within == (f"bytes {start}-{end - 1}/100".encode() if status == 206 else None)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_a_part_that_is_not_there(tmp_path: Path, asked: str) -> None:
    with pytest.raises(NotServedError) as refused:
        answer(tmp_path, range=asked)
    assert refused.value.status == 416
    assert refused.value.headers == ((b"content-range", b"bytes */100"),)


def test_a_part_of_another_version_is_the_whole_of_this_one(tmp_path: Path) -> None:
    tag = dict(answer(tmp_path, if_none_match="*").headers)[b"etag"].decode()
    same, other = (answer(tmp_path, range="bytes=0-9", if_range=one) for one in (tag, '"other"'))
    assert (same.status, body(same)) == (206, CONTENT[:10])
    assert (other.status, body(other)) == (200, CONTENT)
