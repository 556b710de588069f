"""What verify makes of a state of ``causal-lm`` whose model, documents or losses somebody has changed."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from causal_families import make_family
from cryoflux.digests import write_checksums
from cryoflux.errors import VerificationError
from cryoflux.receipts.per_token import TARGET_TOKENS
from cryoflux.receipts.profiles import DOCUMENT_F64
from cryoflux.tasks.causal.sets import StoredDocument
from cryoflux.tasks.causal.tokens import Rendered
from cryoflux.verification.open_question import OpenQuestion
from cryoflux.verification.recomputer import tokens_apart


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("llama", tmp_path_factory.mktemp("llama"))


def holdout(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


HONEST = StoredDocument("who? me", Rendered("completion", "who? ", "me")).line()


def recomputed(model: Path, path: Path, profile: str = DOCUMENT_F64) -> list[int]:
    from cryoflux.tasks.causal.again import CausalRecomputer

    return CausalRecomputer(32, model.parent).evaluate_some(model, path, None, profile)[0]


def test_honest_documents_are_evaluated(base: Path, tmp_path: Path) -> None:
    found = recomputed(base, holdout(tmp_path / "holdout.jsonl", HONEST, HONEST))
    assert found[0] == found[1] > 0


def test_a_line_that_is_no_document_is_refuted(base: Path, tmp_path: Path) -> None:
    for line in (b'{"text": "a"}', b"[]", b"3", b'{"form": "text", "answer": 3, "text": "a"}'):
        with pytest.raises(VerificationError, match="is no document"):
            recomputed(base, holdout(tmp_path / "holdout.jsonl", HONEST, line))


def test_a_document_longer_than_any_leaves_the_question_open(base: Path, tmp_path: Path) -> None:
    long = StoredDocument("a", Rendered("text", "", "a" * 600_000)).line()
    with pytest.raises(OpenQuestion, match="at most 500000 are read here"):
        recomputed(base, holdout(tmp_path / "holdout.jsonl", long))


def test_a_tokenizer_with_unknown_parts_leaves_the_question_open(base: Path, tmp_path: Path) -> None:
    made = make_family("llama", tmp_path / "other")
    parts = json.loads((made / "tokenizer.json").read_bytes())
    parts["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    (made / "tokenizer.json").write_text(json.dumps(parts))
    write_checksums(made)
    with pytest.raises(OpenQuestion):
        recomputed(made, holdout(tmp_path / "holdout.jsonl", HONEST))


def test_target_tokens_that_a_holdout_does_not_have_are_refuted(base: Path, tmp_path: Path) -> None:
    from cryoflux.tasks.causal.again import CausalRecomputer

    path, here = holdout(tmp_path / "holdout.jsonl", HONEST, HONEST), CausalRecomputer(32, tmp_path)
    count = sum(here.target_tokens(path, base))

    def told(fields: dict[str, object]) -> list[str]:
        receipt = SimpleNamespace(training=SimpleNamespace(section=SimpleNamespace(fields=fields)))
        return tokens_apart(here, receipt, path, base)  # type: ignore[arg-type]

    assert count >= 2
    assert told({}) == told({TARGET_TOKENS: count}) == []
    assert told({TARGET_TOKENS: 2 * count}) == [
        f"its holdout has {count} target tokens, and {2 * count} were signed"
    ]


def test_a_profile_of_another_task_is_no_reading_of_documents(base: Path, tmp_path: Path) -> None:
    with pytest.raises(OpenQuestion, match="not read in the profile"):
        recomputed(base, holdout(tmp_path / "holdout.jsonl", HONEST), "f32/v1")
