"""What lower layers make of a text is kept under what it depends on, and never used damaged."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tiny
from cryoflux.cache_files import cached_files, remove_unused
from cryoflux.data.examples import Example
from cryoflux.digests import TensorEntry, read_tensor_entries
from cryoflux.encoder import prefix as prefix_module
from cryoflux.encoder.activations import Activations, Sets
from cryoflux.encoder.layout import Layout, read_layout
from cryoflux.encoder.linear import Backend
from cryoflux.encoder.model import Encoder
from cryoflux.encoder.prefix import Prefix, PrefixCache, prefix_key
from cryoflux.encoder.tokens import TokenCache, Tokens
from cryoflux.errors import StorageError
from cryoflux.registry.shards import read_tensors

EXAMPLES = [Example(text, label) for text, label in tiny.sentences(80, 6)]
EVERY = list(range(80))
ROOMY = 10**9
PAGES = 8192
"""bytes by which a file may be larger on the disk than what is in it"""


class Workshop:
    """An encoder with its token ids, and activations that say what they had to compute."""

    def __init__(self, model: Path, cache: Path) -> None:
        layout = read_layout(model)
        assert layout is not None
        self.model, self.cache, self.layout = model, cache, layout
        self.tensors = read_tensors(model)
        self.entries = [e for path in model.glob("*.safetensors") for e in read_tensor_entries(path)]

    def tokens(self, limit: int = 16) -> Tokens:
        return TokenCache(self.cache / "tokens").get(self.model, EXAMPLES, "digest", limit)

    def activations(
        self, depth: int = 2, *, depths: tuple[int, ...] = (), most_bytes: int = ROOMY
    ) -> Activations:
        sets = Sets(self.tokens(), PrefixCache(self.cache / "prefix", most_bytes), depths)
        return Activations(Encoder(self.layout, self.tensors, Backend.F32), self.entries, sets, depth)

    def truth(self, depth: int = 2) -> torch.Tensor:
        encoder, (ids, mask) = Encoder(self.layout, self.tensors, Backend.F32), self.tokens().batch(EVERY)
        bias = torch.where(mask, 0.0, -torch.inf)[:, None, None, :]
        x = encoder.embed(ids)
        for index in range(depth):
            x = encoder.layer(x, bias, index)
        return x * mask[..., None]


@pytest.fixture
def workshop(folder: Path, tmp_path: Path) -> Workshop:
    return Workshop(folder, tmp_path)


def prepare(source: Activations, indices: list[int] = EVERY) -> int:
    """Compute what is missing; return how many texts that were."""
    counts = [0]
    source.prepare(indices, lambda done, count: counts.append(count))
    return max(counts)


def contents(source: Activations) -> torch.Tensor:
    x, mask = source.batch(EVERY)
    return x * mask[..., None]


def test_what_was_computed_is_there_after_reopening(workshop: Workshop) -> None:
    assert prepare(workshop.activations(), EVERY[:50]) == 50
    again = workshop.activations()
    assert again.missing(EVERY) == EVERY[50:]
    assert prepare(again) == 30
    assert prepare(workshop.activations()) == 0
    torch.testing.assert_close(contents(workshop.activations()), workshop.truth(), rtol=1e-5, atol=1e-5)


def test_a_damaged_text_is_computed_again_and_only_that(workshop: Workshop) -> None:
    source = workshop.activations()
    prepare(source)
    expected = contents(source).clone()
    (path,) = (workshop.cache / "prefix").glob("*.act")
    content = bytearray(path.read_bytes())
    row = workshop.layout.hidden * 4
    starts = (workshop.tokens().starts * row + 8 * len(EVERY)).tolist()
    content[starts[7]] ^= 1
    content[starts[21] - 1] ^= 128
    content[starts[33] + row : starts[34]] = bytes(starts[34] - starts[33] - row)  # half written
    path.write_bytes(content)
    source = workshop.activations()
    assert source.missing(EVERY) == [7, 20, 33]
    assert prepare(source) == 3
    torch.testing.assert_close(contents(source), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lost", ["the end", "sums"])
def test_a_file_that_was_cut_or_lost_its_sums_is_no_evidence(workshop: Workshop, lost: str) -> None:
    prepare(workshop.activations())
    (path,) = (workshop.cache / "prefix").glob("*.act")
    if lost == "the end":
        os.truncate(path, path.stat().st_size // 2)
    else:
        path.write_bytes(bytes(8 * 40) + path.read_bytes()[8 * 40 :])
    source = workshop.activations()
    assert 0 < prepare(source) < 80
    torch.testing.assert_close(contents(source), workshop.truth(), rtol=1e-5, atol=1e-5)


def test_a_deeper_prefix_starts_from_the_nearest_that_is_whole(workshop: Workshop) -> None:
    shallow = workshop.activations(1)
    prepare(shallow)
    deep = workshop.activations(2, depths=(1, 2))
    marked = shallow.batch([0])[0] + 1
    (key,) = shallow.keys.values()
    path = workshop.cache / "prefix" / f"{key}.act"
    assert path.is_file()
    # were layer 0 computed again, the mark would not reach layer 1
    PrefixCache(path.parent, ROOMY).open(key, workshop.tokens(), workshop.layout.hidden, Backend.F32).put(
        [0], marked
    )
    prepare(deep)
    found, expected = contents(deep), workshop.truth()
    assert not torch.allclose(found[0], expected[0], atol=1e-2)
    torch.testing.assert_close(found[1:], expected[1:], rtol=1e-5, atol=1e-5)


def fill(folder: Path, workshop: Workshop, *keys: str) -> int:
    """Files of a cache, used in this order long ago; returns the bytes of one."""
    tokens, hidden = workshop.tokens(), workshop.layout.hidden
    for number, key in enumerate(keys, 1):
        kept = PrefixCache(folder, ROOMY).open(key, tokens, hidden, Backend.F32)
        kept.put(EVERY, torch.ones(len(EVERY), 20, hidden))
        os.utime(folder / f"{key}.act", ns=(number, number))
    return (folder / f"{keys[0]}.act").stat().st_size


def names(folder: Path) -> str:
    return "".join(sorted(path.stem for path in folder.iterdir()))


def test_the_cache_stays_within_its_bound_and_the_oldest_goes_first(workshop: Workshop) -> None:
    tokens, hidden, folder = workshop.tokens(), workshop.layout.hidden, workshop.cache / "prefix"
    each = fill(folder, workshop, "a", "b", "c")
    beside = sum(path.stat().st_size for path in (workshop.cache / "tokens").iterdir())
    cache = PrefixCache(folder, 3 * each + beside + PAGES)
    for _ in range(2):  # the oldest each time until it is opened, whether it was open already or not
        os.utime(folder / "a.act", ns=(0, 0))
        cache.open("a", tokens, hidden, Backend.F32)
    new = cache.open("d", tokens, hidden, Backend.F32)
    assert names(folder) == "abcd", "as long as nothing is put, nothing has to go"
    new.put(EVERY, torch.ones(len(EVERY), 20, hidden))
    assert names(folder) == "acd"
    spared = PrefixCache(folder, each // 2).open("c", tokens, hidden, Backend.F32)
    assert spared.missing(EVERY) == []


def test_what_does_not_fit_serves_this_process_as_well_and_is_gone_afterwards(workshop: Workshop) -> None:
    cache = PrefixCache(workshop.cache / "prefix", 0)
    sets = Sets(workshop.tokens(), cache, (1, 2))
    encoder = Encoder(workshop.layout, workshop.tensors, Backend.F32)
    assert prepare(Activations(encoder, workshop.entries, sets, 2)) == 80
    for depth in (1, 2):
        assert prepare(Activations(encoder, workshop.entries, sets, depth)) == 0
    assert list((workshop.cache / "prefix").iterdir()) == []
    assert prepare(workshop.activations()) == 80


def test_what_is_passed_on_the_way_makes_no_room_and_is_the_first_to_go(workshop: Workshop) -> None:
    folder = workshop.cache / "prefix"
    each = fill(folder, workshop, "a")
    beside = sum(path.stat().st_size for path in (workshop.cache / "tokens").iterdir())
    source = workshop.activations(2, depths=(1, 2), most_bytes=2 * each + beside + PAGES)
    prepare(source)
    assert (folder / "a.act").is_file()
    assert (folder / f"{source.keys[2]}.act").is_file()
    assert prepare(workshop.activations(2)) == 0
    shutil.rmtree(folder)
    source = workshop.activations(2, depths=(1, 2), most_bytes=2 * each + beside + PAGES)
    prepare(source)  # both fit
    new = PrefixCache(folder, 2 * each + beside + PAGES).open(
        "new", workshop.tokens(), workshop.layout.hidden, Backend.F32
    )
    new.put(EVERY, torch.ones(len(EVERY), 20, workshop.layout.hidden))
    assert (folder / f"{source.keys[2]}.act").is_file()


def test_what_will_likely_be_thrown_away_makes_no_room(workshop: Workshop) -> None:
    folder = workshop.cache / "prefix"
    each = fill(folder, workshop, "a")
    beside = sum(path.stat().st_size for path in (workshop.cache / "tokens").iterdir())
    encoder = Encoder(workshop.layout, workshop.tensors, Backend.F32)
    sets = Sets(workshop.tokens(), PrefixCache(folder, each + beside), (1, 2))
    for missing in (80, 0):
        source = Activations(encoder, workshop.entries, sets, 2, lasting=False)
        assert prepare(source) == missing
    torch.testing.assert_close(contents(source), workshop.truth(), rtol=1e-5, atol=1e-5)
    assert names(folder) == "a"


HOLDER = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from cryoflux.cache_files import hold
held = [Path(name).open("rb") for name in sys.argv[1:]]
assert all(hold(one.fileno()) for one in held)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_in_use_by_another_process_is_neither_evicted_nor_shared(workshop: Workshop) -> None:
    folder = workshop.cache / "prefix"
    prepare(workshop.activations(1))
    (path,) = folder.iterdir()
    before = path.read_bytes()
    command = [sys.executable, "-c", HOLDER.format(path=sys.path), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        mine = workshop.activations(1, most_bytes=1)
        assert prepare(mine) == 80
        torch.testing.assert_close(contents(mine), workshop.truth(1), rtol=1e-5, atol=1e-5)
        assert not remove_unused(path)
        assert (path.read_bytes(), list(folder.iterdir())) == (before, [path])
        other.communicate()
    assert prepare(workshop.activations(1)) == 0
    assert remove_unused(path)
    assert list(folder.iterdir()) == []


def test_a_bound_too_small_for_all_depths_costs_time_and_never_a_value(workshop: Workshop) -> None:
    source = workshop.activations(2, depths=(1, 2), most_bytes=1)
    prepare(source)
    other = workshop.activations(1, most_bytes=1)
    prepare(other)
    torch.testing.assert_close(contents(source), workshop.truth(), rtol=1e-5, atol=1e-5)


def key(workshop: Workshop, depth: int, *, backend: Backend = Backend.F32, changed: str = "") -> str:
    def other(entry: TensorEntry) -> TensorEntry:
        return replace(entry, sha256="0" * 64) if entry.name == changed else entry

    return prefix_key(workshop.layout, map(other, workshop.entries), depth, workshop.tokens(), backend)


def test_asking_what_is_missing_makes_no_room_for_it(workshop: Workshop) -> None:
    prepare(workshop.activations(1))
    kept = set((workshop.cache / "prefix").iterdir())
    assert workshop.activations(2, most_bytes=1).missing(EVERY[:7]) == EVERY[:7]
    assert set((workshop.cache / "prefix").iterdir()) == kept
    assert prepare(workshop.activations(1)) == 0


def test_a_disk_without_room_is_named_before_anything_is_written(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageError):
        prepare(workshop.activations())
    assert list((workshop.cache / "prefix").iterdir()) == []


def test_a_name_depends_on_all_that_lies_below_and_on_nothing_above(workshop: Workshop) -> None:
    part: Layout = workshop.layout
    below = {e.name for e in workshop.entries if key(workshop, 2, changed=e.name) != key(workshop, 2)}
    prefixes = tuple(f"{name}." for name in (part.embeddings, part.layer.format(0), part.layer.format(1)))
    assert below == {e.name for e in workshop.entries if e.name.startswith(prefixes)}
    assert len(below) == len([e for e in workshop.entries if "embeddings." in e.name]) + 2 * 16
    tokens = [workshop.tokens(), workshop.tokens(limit=8), replace(workshop.tokens(), digest="another set")]
    names = {
        prefix_key(part, workshop.entries, depth, of, backend)
        for depth in (1, 2)
        for of in tokens
        for backend in Backend
    }
    assert len(names) == 2 * 3 * len(Backend)


def test_forgetting_a_candidate_leaves_what_the_head_shares(workshop: Workshop) -> None:
    head = workshop.activations(2, depths=(1, 2))
    prepare(head)
    name = workshop.layout.in_layer(1, f"{workshop.layout.up}.bias")
    workshop.entries = [replace(e, sha256="0" * 64) if e.name == name else e for e in workshop.entries]
    workshop.tensors = {**workshop.tensors, name: workshop.tensors[name] + 1}
    candidate = workshop.activations(2, depths=(1, 2))
    assert candidate.keys[1] == head.keys[1]
    prepare(candidate)
    candidate.forget(set(head.keys.values()))
    kept = {path.stem for path in (workshop.cache / "prefix").iterdir()}
    assert kept == set(head.keys.values())


LONG = 4000


class Many:
    """A set of many texts of one length, of which few are drawn."""

    def __init__(self, folder: Path) -> None:
        starts = torch.arange(LONG + 1) * 16
        self.tokens = Tokens(torch.ones(LONG * 16, dtype=torch.int32), starts, 0, "many")
        self.folder = folder

    def open(self, cache: PrefixCache, key: str, **how: bool) -> Prefix:
        return cache.open(key, self.tokens, 64, Backend.F32, **how)

    def put(self, prefix: Prefix, first: int, count: int) -> None:
        for start in range(first, first + count, 20):
            prefix.put(range(start, start + 20), torch.full((20, 16, 64), float(start)))

    def named(self) -> dict[str, int]:
        return {p.name: p.stat().st_blocks * 512 for p in self.folder.glob("*.act")}


@pytest.fixture
def many(tmp_path: Path) -> Many:
    (tmp_path / "prefix").mkdir()
    return Many(tmp_path / "prefix")


EACH = 16 * 64 * 4
"""bytes of a text"""


def test_a_file_takes_what_was_drawn_and_not_what_the_set_would(many: Many) -> None:
    many.put(many.open(PrefixCache(many.folder, ROOMY), "a"), 1000, 100)
    (size,) = many.named().values()
    assert 100 * EACH <= size <= 100 * EACH + 8 * LONG + 3 * 4096
    assert (many.folder / "a.act").stat().st_size == LONG * (EACH + 8)
    assert [one.size for one in cached_files(many.folder)] == [size]


def test_a_bound_is_kept_to_while_more_and_more_is_drawn(many: Many) -> None:
    most = 400 * EACH
    prefix = many.open(PrefixCache(many.folder, most), "a")
    many.put(prefix, 0, 2000)
    assert 300 * EACH < sum(many.named().values()) <= most
    assert prefix.missing(range(2000)) == [], "this process goes on with all of it"
    x, _ = prefix.batch([0, 1980, 21])
    assert x[:, 0, 0].tolist() == [0.0, 1980.0, 20.0]
    again = many.open(PrefixCache(many.folder, most), "a")
    assert 300 < 2000 - len(again.missing(range(2000))) <= 400


def test_what_has_no_name_is_bounded_too_and_computed_again_where_it_had_to_go(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = int(workshop.tokens().starts[-1]) * workshop.layout.hidden * 4
    monkeypatch.setattr(prefix_module, "_IN_USE", whole * 3 // 4)
    source = workshop.activations(2, depths=(1, 2), most_bytes=0)
    assert prepare(source) == 80
    assert 0 < len(source.missing(EVERY)) < 80
    torch.testing.assert_close(contents(source), workshop.truth(), rtol=1e-5, atol=1e-5)


def test_the_training_set_never_takes_the_room_of_a_holdout(many: Many) -> None:
    most = 400 * EACH
    held = many.open(PrefixCache(many.folder, most), "h", lasting=True)
    many.put(held, 0, 200)
    os.utime(many.folder / "h.held.act", ns=(1, 1))
    del held
    for key in "abc":
        many.put(many.open(PrefixCache(many.folder, most), key), 0, 300)
    assert many.named().keys() > {"h.held.act"}
    assert sum(many.named().values()) <= most
    cache = PrefixCache(many.folder, most)
    assert many.open(cache, "h", lasting=True).missing(range(200)) == []
    many.put(many.open(cache, "i", lasting=True), 0, 150)
    assert many.named().keys() == {"h.held.act", "i.held.act"}, "a holdout takes that of the training set"
