"""Token ids read back from the cache are the tokenizer's; a damaged cache is no cache."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

import tiny
from cryoflux.data.examples import Example
from cryoflux.encoder.tokens import TokenCache, Tokens
from cryoflux.registry.tokenizing import token_rows
from cryoflux.tasks.lora.embedded import load_embedded

EXAMPLES = [Example(text, label) for text, label in tiny.sentences(40, 5)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("tokenizer"))


def get(model: Path, folder: Path, limit: int = 7) -> Tokens:
    return TokenCache(folder).get(model, EXAMPLES, "digest", limit)


def test_batches_are_what_the_tokenizer_makes_computed_or_read_back(model: Path, tmp_path: Path) -> None:
    texts = [e.text for e in EXAMPLES]
    tokenizer = AutoTokenizer.from_pretrained(model)
    expected = tokenizer(texts, truncation=True, max_length=7, padding=True, return_tensors="pt")
    assert len(set(expected["attention_mask"].sum(1).tolist())) > 1
    for tokens in (get(model, tmp_path), get(model, tmp_path)):
        ids, mask = tokens.batch(range(40))
        assert torch.equal(ids, expected["input_ids"])
        assert torch.equal(mask.long(), expected["attention_mask"])
        shortest = int(tokens.lengths(range(40)).argmin())
        ids, mask = tokens.batch([shortest, shortest])
        assert ids.shape == (2, int(tokens.lengths([shortest])))
        assert mask.all()
        positions, mask = tokens.rows([3, 8, 1])
        assert torch.equal(tokens.flat[positions][mask], tokens.batch([3, 8, 1])[0][mask])


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_cache_is_computed_again(model: Path, tmp_path: Path, damage: str) -> None:
    expected = get(model, tmp_path)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    for at in (0, 5, len(content) // 2, len(content) - 1):
        flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        path.write_bytes({"flipped": flipped, "cut": content[:at], "empty": b""}[damage])
        found = get(model, tmp_path)
        assert torch.equal(found.flat, expected.flat)
        assert torch.equal(found.starts, expected.starts)
        assert path.read_bytes() == content


def test_another_tokenizer_limit_or_set_has_another_name(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "other")
    content = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(content.replace('"the"', '"thy"'))
    cache = TokenCache(tmp_path / "cache")
    found = [
        cache.get(model, EXAMPLES, "digest", 7),
        cache.get(model, EXAMPLES, "digest", 8),
        cache.get(model, EXAMPLES[:9], "another", 7),
        cache.get(other, EXAMPLES, "digest", 7),
    ]
    assert len({tokens.digest for tokens in found}) == 4
    assert not torch.equal(found[3].flat, found[0].flat)


def test_no_text_has_no_tokens(model: Path, tmp_path: Path) -> None:
    assert get(model, tmp_path).lengths([]).tolist() == []


@pytest.mark.parametrize("named", ["tiny", "embedded"])
def test_the_last_tokens_of_a_long_text_are_read_too(model: Path, tmp_path: Path, named: str) -> None:
    folder = model if named == "tiny" else _embedded(tmp_path / "embedded")
    texts = ["short", *(f"{words} " * 30 for words in ("the red cat and", "one saw, naïvely unfathomable;"))]
    examples = [Example(text, "x") for text in texts]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    whole = tokenizer(texts)["input_ids"]
    tokens = TokenCache(tmp_path / "cache").get(folder, examples, "digest", "16 head-tail")
    expected = [ids if len(ids) <= 16 else ids[:12] + ids[-4:] for ids in whole]
    assert [part.tolist() for part in tokens.flat.split(tokens.lengths(range(3)).tolist())] == expected
    assert token_rows(tokenizer, texts, "16 head-tail") == expected, "so it is read when somebody verifies"
    assert tokens.digest != TokenCache(tmp_path / "cache").get(folder, examples, "digest", 16).digest


def _embedded(folder: Path) -> Path:
    folder.mkdir()
    load_embedded("all-MiniLM-L6-v2", ("x", "y")).save(folder)
    return folder
