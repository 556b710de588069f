"""Peers that answer in no way in which a server should: each is left within its bounds, and changes nothing.

Beside each of them stands what an honest peer gets: its log is mirrored.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bad_peer import NO_ANSWERS, Conversation, Odd, answer, bad_peer, silent, telling
from cryoflux.network.fetching import Fetcher, PeerUnreachableError
from cryoflux.network.mirror import MirrorFolder
from cryoflux.network.pulling import Pulled, PullOutcome, pull
from cryoflux.receipts.checkpoint import Checkpoint, KeyType, VerifierKey, sign_checkpoint
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.tiles import TileTree
from cryoflux.signing.keys import raw_public_key
from signed_log import LOG_KEY
from waiting import until

ORIGIN = "log.example/1"
KEY = VerifierKey(ORIGIN, KeyType.LOG, raw_public_key(LOG_KEY.public_key()))
BETWEEN_S, WHOLE_S, MOST = 0.2, 0.6, 100_000
BUNDLE = "/tile/entries/000.p/10"
Files = dict[str, bytes]


def published(size: int, story: str = "a", forked_at: int = 0) -> Files:
    told = [f"{'a' if at < forked_at else story} {at}".encode() for at in range(size)]
    files = {f"/{tile.path}": content for tile, content in TileTree(told).contents()}
    return {**files, "/checkpoint": head(size, root_hash(map(leaf_hash, told)))}


def head(size: int, root: bytes) -> bytes:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), LOG_KEY)


def always(files: Files) -> Odd:
    return telling(lambda _: files)


@pytest.fixture
def mirror(tmp_path: Path) -> MirrorFolder:
    made = MirrorFolder.of(tmp_path / "network", KEY)
    assert pulled(made, always(published(10))).outcome is PullOutcome.NEW
    return made


def impatient() -> Fetcher:
    """For a peer that may never answer: where one does, a busy machine can be slower than this."""
    return Fetcher(between_s=BETWEEN_S, whole_s=WHOLE_S)


def pulled(mirror: MirrorFolder, odd: Odd, made: Callable[[], Fetcher] = Fetcher) -> Pulled:
    with bad_peer(odd) as peer, made() as fetcher:
        return pull(mirror, peer.url, fetcher)


def here(mirror: MirrorFolder) -> Files:
    return {str(path): path.read_bytes() for path in sorted(mirror.path.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("odd", NO_ANSWERS, ids=[odd.__name__ for odd in NO_ANSWERS])
def test_what_is_no_answer_is_an_unreachable_peer(odd: Odd) -> None:
    with bad_peer(odd) as peer, impatient() as fetcher:
        with pytest.raises(PeerUnreachableError):
            fetcher.fetch(f"{peer.url}/file", MOST)
        until(lambda: peer.asked, "a busy peer to read what its client has sent")
    assert peer.asked == ["/file"]  # it is not asked once more, nor anybody else


@pytest.mark.parametrize("odd", NO_ANSWERS, ids=[odd.__name__ for odd in NO_ANSWERS])
def test_it_changes_no_mirror_where_a_bundle_is_due(mirror: MirrorFolder, odd: Odd) -> None:
    before = here(mirror)

    def head_only(said: Conversation) -> None:
        if said.path == "/checkpoint":
            said.say(answer(published(20)["/checkpoint"]))
        else:
            odd(said)

    found = pulled(mirror, head_only, impatient)
    assert (found.outcome, found.size, found.came) == (PullOutcome.UNREACHABLE, 10, 0)
    assert here(mirror) == before
    assert pulled(mirror, always(published(20))).outcome is PullOutcome.NEW


def test_a_handshake_that_never_ends_is_left_too() -> None:
    with bad_peer(silent) as peer, impatient() as fetcher:
        with pytest.raises(PeerUnreachableError, match="did not answer in time"):
            fetcher.fetch(f"{peer.url.replace('http', 'https')}/file", MOST)
        with pytest.raises(PeerUnreachableError):
            fetcher.fetch(f"{peer.url}/file", MOST)


@pytest.mark.parametrize("size", [MOST + 1, 2 * MOST, 50 * MOST])
def test_more_than_was_asked_for_is_not_read(size: int) -> None:
    def large(said: Conversation) -> None:
        said.say(answer(b"x" * size))

    with (
        bad_peer(large) as peer,
        Fetcher() as fetcher,
        pytest.raises(PeerUnreachableError, match="more than") as refused,
    ):
        fetcher.fetch(f"{peer.url}/file", MOST)
    assert MOST < refused.value.received < 2 * MOST


def test_as_much_as_was_asked_for_is_read() -> None:
    with bad_peer(always({"/file": b"x" * MOST})) as peer, Fetcher() as fetcher:
        assert fetcher.fetch(f"{peer.url}/file", MOST).content == b"x" * MOST


def test_a_head_of_more_entries_than_anybody_has_is_not_followed(mirror: MirrorFolder) -> None:
    before = here(mirror)
    with bad_peer(always({"/checkpoint": head(10**17, b"\1" * 32)})) as peer, Fetcher() as fetcher:
        found = pull(mirror, peer.url, fetcher)
        assert peer.asked == ["/checkpoint"]
    assert found.outcome is PullOutcome.UNREACHABLE
    assert here(mirror) == before


def test_a_bundle_larger_than_any_is_left(mirror: MirrorFolder) -> None:
    before = here(mirror)

    def huge(said: Conversation) -> None:
        if said.path == "/checkpoint":
            said.say(answer(published(20)["/checkpoint"]))
            return
        said.say(answer(b"", length=10**9))
        while True:
            said.say(b"\0\1x" * 100_000)

    with bad_peer(huge) as peer, Fetcher() as fetcher:
        found = pull(mirror, peer.url, fetcher)
    assert (found.outcome, here(mirror)) == (PullOutcome.UNREACHABLE, before)
    assert peer.sent < 40_000_000


def test_a_head_of_one_story_over_the_entries_of_another_accuses_nobody(mirror: MirrorFolder) -> None:
    before = here(mirror)
    mixed = {**published(20, "b", forked_at=12), "/checkpoint": published(20)["/checkpoint"]}
    assert pulled(mirror, always(mixed)).outcome is PullOutcome.NOT_SIGNED
    assert here(mirror) == before


def test_a_log_that_is_another_for_each_reader_convicts_itself_where_they_meet(
    tmp_path: Path, mirror: MirrorFolder
) -> None:
    """The same reader by two ways: each story alone is sound, and both together are a proof."""
    other = MirrorFolder.of(tmp_path / "other", KEY)
    stories = [published(20), published(20, "b", forked_at=10)]
    per_reader = [always(story) for story in stories]
    assert pulled(mirror, per_reader[0]).outcome is PullOutcome.NEW
    assert pulled(other, per_reader[1]).outcome is PullOutcome.NEW
    before = here(mirror)
    assert pulled(mirror, per_reader[1]).outcome is PullOutcome.DIFFERS
    assert mirror.evidence
    assert {**here(mirror)} == {**before, str(mirror.path / "equivocation"): mirror.evidence}


def test_a_log_that_changes_while_it_is_read_is_not_believed(mirror: MirrorFolder) -> None:
    """The head of one moment, and entries of the next: it may be read once more."""
    before = here(mirror)
    found = pulled(mirror, telling(lambda count: published(20, "a" if not count else "b", forked_at=15)))
    assert found.outcome is PullOutcome.NOT_SIGNED
    assert here(mirror) == before


def test_a_log_that_goes_back_in_time_stays_what_it_was(mirror: MirrorFolder) -> None:
    before = here(mirror)
    for size in (0, 1, 9):
        files = published(size) if size else {"/checkpoint": head(0, root_hash(()))}
        found = pulled(mirror, always(files))
        assert (found.outcome, found.size) == (PullOutcome.GOES_BACK, 10)
        assert here(mirror) == before
