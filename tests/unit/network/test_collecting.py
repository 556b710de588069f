"""What an update was trained on comes with it, by its digests, as deep and as much as was said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.digests import sha256_hex
from cryoflux.errors import CryoFluxError, ModelError, VerificationError
from cryoflux.network.collecting import Collector, NeededLists, PeerSource, lacking
from cryoflux.network.fetching import Fetched, PeerUnreachableError, Ration
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.log_facts import OfferFact
from cryoflux.network.peer_record import FirstClaim
from cryoflux.registry.composition import MOST_DEPTH, MOST_UPDATES, Term, list_digest
from cryoflux.registry.mixture import OfferedUpdate
from cryoflux.state import ADAPTER, ADAPTER_CONFIG

CONFIG = sha256_hex(b"config")
GENESIS = "0" * 64
ENTRIES = (b"", b"")


class Files:
    """What a peer has, and what it was asked for."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.asked: list[str] = []

    def fetch(self, url: str, most: int, *, etag: str = "") -> Fetched:
        self.asked.append(url)
        content = self.held.get(url.removeprefix("http://peer/"))
        if content is None or len(content) > most:
            raise PeerUnreachableError(f"{url} answered 404.")
        return Fetched(content, "")

    def adapter(self, word: str) -> str:
        digest = sha256_hex(word.encode())
        self.held[f"capsules/{digest}/adapter_model.safetensors"] = word.encode()
        self.held[f"capsules/{digest}/adapter_config.json"] = b"config"
        return digest

    def list_of(self, *terms: Term) -> str:
        digest = list_digest(terms)
        self.held[f"lists/{digest}"] = "".join(term.line for term in terms).encode()
        return digest

    def chain(self, depth: int) -> Term:
        """An update that was trained on one that was trained on one …, each in a list of its own."""
        parent = list_digest(())
        for number in range(depth):
            parent = self.list_of(Term(weight="0.5", adapter=self.adapter(f"below {number}"), parent=parent))
        return Term(weight="1", adapter=self.adapter("top"), parent=parent)


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def folder(tmp_path: Path) -> NetworkFolder:
    return NetworkFolder.of(tmp_path)


def offer(files: Files, *parent: Term) -> OfferFact:
    update = OfferedUpdate(adapter=files.adapter("offered"), genesis=GENESIS, parent=parent)
    return OfferFact(update, 3, "1" * 64, 2, "2" * 64, CONFIG, 7, 0)


def collect(folder: NetworkFolder, files: Files, one: OfferFact) -> None:
    claims = {
        path.split("/")[1]: FirstClaim("log", CONFIG) for path in files.held if path.startswith("capsules/")
    }
    place = folder.capsule(one.update.adapter)
    place.mkdir(parents=True, exist_ok=True)
    collector = Collector(folder, [PeerSource("http://peer", files)], "log", claims)
    (place / "capsule.json").write_bytes(b"stands for what the log's entries say")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cryoflux.network.collecting._speaks_of", lambda *_: True)
        collector.collect(one, ENTRIES)


@pytest.mark.parametrize("depth", [0, 1, 2, MOST_DEPTH])
def test_lists_and_adapters_are_had_as_deep_as_they_lie(
    folder: NetworkFolder, files: Files, depth: int
) -> None:
    one = offer(files, files.chain(depth))
    assert lacking(folder, one.update)
    collect(folder, files, one)
    assert lacking(folder, one.update) == ""
    assert len(list(folder.lists.iterdir()) if depth else []) == depth
    assert len(list(folder.incoming.iterdir())) == depth + 2


def test_what_lies_deeper_is_not_taken(folder: NetworkFolder, files: Files) -> None:
    one = offer(files, files.chain(MOST_DEPTH + 1))
    with pytest.raises(ModelError, match="too deep"):
        collect(folder, files, one)


def test_beginnings_of_a_list_are_not_asked_for(folder: NetworkFolder, files: Files) -> None:
    first = Term(weight="1", adapter=files.adapter("a"), parent=list_digest(()))
    second = Term(weight="1", adapter=files.adapter("b"), parent=list_digest((first,)))
    collect(folder, files, offer(files, first, second))
    assert not any("lists/" in url for url in files.asked)


def test_a_list_of_another_digest_is_refused(folder: NetworkFolder, files: Files) -> None:
    top = files.chain(1)
    files.held[f"lists/{top.parent}"] += b"1 " + b"a" * 64 + b" " + b"b" * 64 + b"\n"
    with pytest.raises(VerificationError, match="not what its name says"):
        collect(folder, files, offer(files, top))
    assert not folder.lists.exists()


def test_a_list_that_was_changed_here_is_not_believed(folder: NetworkFolder, files: Files) -> None:
    top = files.chain(1)
    one = offer(files, top)
    collect(folder, files, one)
    (folder.lists / top.parent).write_bytes(b"")
    assert "is another one" in lacking(folder, one.update)


def test_more_adapters_than_one_offer_may_need_are_not_taken(folder: NetworkFolder, files: Files) -> None:
    empty = list_digest(())
    wide = []
    for at in range(MOST_UPDATES // 64 + 1):
        parts = [Term(weight="1", adapter=files.adapter(f"{at} {n}"), parent=empty) for n in range(64)]
        wide.append(Term(weight="1", adapter=files.adapter(f"top {at}"), parent=files.list_of(*parts)))
    with pytest.raises(ModelError, match="too many"):
        collect(folder, files, offer(files, *wide))


def test_an_adapter_whose_settings_no_log_says_is_not_taken(folder: NetworkFolder, files: Files) -> None:
    unknown = Term(weight="1", adapter=sha256_hex(b"nobody's"), parent=list_digest(()))
    with pytest.raises(ModelError, match="no log that is here has made"):
        collect(folder, files, offer(files, unknown))


def test_what_was_trained_on_ones_own_update_needs_nobody_to_have_it(
    folder: NetworkFolder, files: Files
) -> None:
    own = sha256_hex(b"made here")
    place = folder.path.parent / "capsules" / own
    place.mkdir(parents=True)
    (place / "adapter_model.safetensors").write_bytes(b"made here")
    (place / "adapter_config.json").write_bytes(b"config")
    one = offer(files, Term(weight="1", adapter=own, parent=list_digest(())))
    collect(folder, files, one)
    assert lacking(folder, one.update) == ""
    assert not any(own in url for url in files.asked)


@given(st.lists(st.binary(max_size=40), max_size=6), st.integers(0, 100))
def test_a_ration_is_never_exceeded(contents: list[bytes], most: int) -> None:
    files = Files()
    files.held = {str(at): content for at, content in enumerate(contents)}
    ration, came = Ration(files, most, 60), 0
    for at in range(len(contents)):
        try:
            came += len(ration.fetch(f"http://peer/{at}", 1000).content)
        except CryoFluxError:
            continue
    assert came == most - ration.left <= most


def test_needed_lists_of_nothing_are_none(folder: NetworkFolder) -> None:
    assert list(NeededLists(folder, ()).adapters()) == []


def test_what_another_log_claims_keeps_nobody_from_having_what_a_verifier_shows(
    folder: NetworkFolder, files: Files, tmp_path: Path
) -> None:
    """Whoever is named as a peer could name the digest of any update, and show nothing, or other settings."""
    adapter, shown = files.adapter("judged"), tmp_path / "shown"
    claims = {adapter: FirstClaim("another log", sha256_hex(b"other settings"))}
    collector = Collector(folder, [PeerSource("http://peer", files)], "log", claims)
    place = folder.capsule(adapter)
    place.mkdir(parents=True)
    for name, content in ((ADAPTER, b"judged"), (ADAPTER_CONFIG, b"other settings")):
        (place / name).write_bytes(content)
    collector.collect_judged(adapter, shown, anew=False)
    assert not files.asked, "it is here, as far as anybody knows"
    for _ in range(2):
        collector.collect_judged(adapter, shown, anew=True)
        assert (shown / ADAPTER_CONFIG).read_bytes() == b"config"
        assert (shown / ADAPTER).read_bytes() == b"judged"
        shutil.rmtree(shown)
        shutil.rmtree(place, ignore_errors=True)
        collector.collect_judged(adapter, shown, anew=False)
    files.held.clear()
    shutil.rmtree(shown)
    with pytest.raises(PeerUnreachableError):
        collector.collect_judged(adapter, shown, anew=False)


def test_what_a_verifier_does_not_show_is_had_as_it_is_claimed_unless_that_was_found_false(
    folder: NetworkFolder, files: Files, tmp_path: Path
) -> None:
    adapter, shown, others = files.adapter("judged"), tmp_path / "shown", Files()
    sources = [PeerSource("http://peer", others), PeerSource("http://peer", files)]
    collector = Collector(folder, sources, "log", {adapter: FirstClaim("another log", CONFIG)})
    with pytest.raises(PeerUnreachableError):
        collector.collect_judged(adapter, shown, anew=True)
    collector.collect_judged(adapter, shown, anew=False)
    assert (folder.capsule(adapter) / ADAPTER_CONFIG).read_bytes() == b"config"
    assert not shown.exists()
    with pytest.raises(PeerUnreachableError):
        collector.collect_judged(adapter, shown, anew=True)
