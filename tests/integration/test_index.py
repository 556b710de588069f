"""An index of real text, kept and refused by real runs, found again by `verify`."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryoflux.errors import VerificationError
from cryoflux.registry.versions import Versions
from cryoflux.tasks.index.again import IndexRecomputer
from cryoflux.tasks.index.documents import digest_of, tidy
from cryoflux.tasks.index.encoding import TextEncoder
from cryoflux.tasks.index.shelf import Shelf
from json_rule import complaints
from running import Outcome, cryoflux, ended, start
from tiny import make_model
from waiting import until

DOCS = Path(__file__).parents[2] / "docs"
RUN = ["run", "--task", "index_refresh", "--index-reserve", "150J", "--budget", "900J", "--json"]
PENGUIN = (
    "A note on penguins that sing\nAn emperor sings to its mate across the ice for all of the winter night."
)
_KILLED = -9


def paragraphs() -> Iterator[str]:
    """What CryoFlux's own pages say, a paragraph each."""
    for path in sorted(DOCS.rglob("*.md")):
        for part in path.read_text("utf-8").split("\n\n"):
            if not part.startswith(("|", "```", "#", "    ")) and len(part.split()) > 30:
                yield part


def write_rows(folder: Path, texts: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pages.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return list(paragraphs())[:260]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows nothing, with the embedded model's tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=30522, **size)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(resolve(EMBEDDED) / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> Path:
    """A folder with documents and the state of their index."""
    place = tmp_path_factory.mktemp("index")
    write_rows(place / "pages", texts)
    outcome = went_on(place)
    assert outcome.summary["kept"] >= 1
    assert outcome.summary["rejected"] == outcome.summary["aborted"] == 0
    return place


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Path:
    """The same, to change."""
    shutil.copytree(begun, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


def went_on(place: Path, *options: object, kill_at: str = "") -> Outcome:
    named = ["--index", place / "pages", "--state", place / "state"]
    return cryoflux(*RUN, *named, *options, kill_at=kill_at)


def planned(place: Path, *options: object) -> dict[str, Any]:
    outcome = went_on(place, "--dry-run", *options)
    assert outcome.code == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    assert complaints(found) == []
    return found


def logged(log: Path, kind: str) -> list[dict[str, Any]]:
    lines = log.read_text().splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in events if event["event"] == kind]


def verified(place: Path, *options: str) -> dict[str, Any]:
    outcome = cryoflux("verify", place / "state", "--no-memory", "--json", *options)
    assert outcome.code == 0, outcome.stdout
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


def shelf_of(place: Path) -> Shelf:
    versions = Versions(place / "state")
    return Shelf(versions.folder(versions.head_digest("index_refresh") or ""))


def found(place: Path, query: str) -> list[dict[str, Any]]:
    outcome = cryoflux("search", query, "-k", "3", "--state", place / "state", "--json")
    assert outcome.code == 0, outcome.stderr
    rows: list[dict[str, Any]] = json.loads(outcome.stdout)["found"]
    return rows


def test_a_folder_is_indexed_and_a_stranger_finds_the_same_losses(begun: Path, texts: list[str]) -> None:
    assert list(shelf_of(begun).names) == sorted({digest_of(tidy(text)) for text in texts})
    report = verified(begun, "--recompute", "all")
    lines = [check for check in report["checks"] if check["number"] == 11]
    assert lines
    assert all("losses identical" in check["detail"] and "MRR" in check["detail"] for check in lines)
    said = cryoflux("receipts", "list", "--state", begun / "state").stdout
    assert "MRR" in said


def test_what_is_asked_for_is_found(begun: Path, texts: list[str]) -> None:
    rows = found(begun, texts[17])
    assert (rows[0]["rank"], rows[0]["document"]) == (1, digest_of(tidy(texts[17])).hex())
    people = cryoflux("search", texts[17], "--state", begun / "state")
    assert "pages.jsonl#18" in people.stdout


def test_nothing_is_spent_where_nothing_changed(begun: Path) -> None:
    size = (begun / "state" / "account.db").stat().st_size
    assert size
    outcome = went_on(begun)
    assert outcome.summary["attempts"] == 0
    assert "There is nothing to do" in outcome.stdout


def test_what_is_new_is_found_and_what_is_gone_is_not(place: Path, texts: list[str]) -> None:
    write_rows(place / "pages", texts[20:])
    (place / "pages" / "penguins.md").write_text(PENGUIN)
    before = planned(place)
    outcome = went_on(place)
    assert (outcome.summary["kept"], outcome.summary["rejected"]) == (1, 0)
    assert found(place, "birds that sing in winter")[0]["place"] == "penguins.md"
    shelf = shelf_of(place)
    gone = {digest_of(tidy(text)) for text in texts[:20]} - {digest_of(tidy(text)) for text in texts[20:]}
    assert not gone & set(shelf.names)
    assert shelf.manifest.pinned, "some query asked for one of the twenty"
    assert (before["documents"], before["new"], before["gone"]) == (len(shelf.names), 1, len(gone))
    assert (before["attempts_needed"], before["embeds_anew"]) == (1, False)
    after = planned(place)
    assert (after["indexed"], after["new"], after["gone"]) == (len(shelf.names), 0, 0)
    assert (after["attempts_needed"], after["embedding_joules"]) == (0, 0)
    verified(place, "--recompute", "1")


def test_a_worse_encoder_is_refused_and_the_old_index_serves_on(place: Path, tiny: Path) -> None:
    before = shelf_of(place).folder.name
    outcome = went_on(place, "--encoder", tiny, "--attempts", "1")
    (attempt,) = outcome.of("attempt")
    assert attempt["arm"].startswith("reembed-")
    assert not attempt["accepted"]
    assert shelf_of(place).folder.name == before
    (place / "pages" / "penguins.md").write_text(PENGUIN)
    went_on(place, "--encoder", tiny)  # what is new is still embedded by what embedded the rest
    assert found(place, "birds that sing in winter")[0]["place"] == "penguins.md"
    verified(place, "--recompute", "all")


def test_a_better_encoder_takes_over_wholly(tmp_path: Path, texts: list[str], tiny: Path) -> None:
    write_rows(tmp_path / "pages", texts[:200])
    # What an encoder that knows nothing finds is luck, and of other texts it is other luck: some may be lost.
    least = ("--min-delta-mrr", "0.1")
    assert went_on(tmp_path, "--encoder", tiny, *least).summary["kept"] >= 1
    poor = shelf_of(tmp_path)
    outcome = went_on(tmp_path, "--budget", "800J", *least)
    assert outcome.summary["kept"] >= 1, outcome.stdout
    better = shelf_of(tmp_path)
    assert better.manifest.encoder != poor.manifest.encoder
    assert list(better.names) == list(poor.names)
    verified(tmp_path, "--recompute", "all")


@pytest.mark.parametrize("moment", ["train:end", "merge:end", "record:end"])
def test_a_killed_run_leaves_an_index_that_serves_and_the_next_one_goes_on(
    moment: str, place: Path, texts: list[str]
) -> None:
    (place / "pages" / "penguins.md").write_text(PENGUIN)
    assert went_on(place, kill_at=moment).code == _KILLED
    assert found(place, texts[17])[0]["document"] == digest_of(tidy(texts[17])).hex()
    went_on(place)
    assert found(place, "birds that sing in winter")[0]["place"] == "penguins.md"
    verified(place, "--recompute", "1")
    assert not list((place / "state" / "models").glob(".draft-*"))


def test_a_changed_vector_is_found(place: Path) -> None:
    path = shelf_of(place).folder / "vectors.i8"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    outcome = cryoflux("verify", place / "state", "--no-memory")
    assert outcome.code == 1
    assert "vectors.i8" in outcome.stdout


def test_what_an_index_says_of_itself_is_not_believed(place: Path) -> None:
    """A rank that it claims to have kept from before, and vectors of other queries."""
    holdout = next((place / "state" / "data").glob("*/holdout.jsonl"))
    honest = shelf_of(place).folder
    forged = place / "forged"
    shutil.copytree(honest, forged)
    manifest = json.loads((forged / "index.json").read_text())
    missed = next(i for i, loss in enumerate(losses_of(place, holdout, honest)) if loss > 0)
    manifest["pinned"] = {f"holdout/{missed}": 1}
    (forged / "index.json").write_text(json.dumps(manifest))
    judge = IndexRecomputer(128, place / "state")
    judge.evaluate(honest, holdout)
    with pytest.raises(VerificationError, match="keeps the rank of query"):
        judge.evaluate(forged, holdout)
    queries = forged / "queries.i8"
    queries.write_bytes(queries.read_bytes()[::-1])
    with pytest.raises(VerificationError, match="other vectors"):
        judge.evaluate(forged, holdout)


def losses_of(place: Path, holdout: Path, index: Path) -> list[int]:
    return IndexRecomputer(128, place / "state").evaluate(index, holdout)[0]


def test_an_update_of_which_a_byte_was_changed_makes_no_index(place: Path) -> None:
    capsule = next(path.parent for path in (place / "state" / "capsules").glob("*/update.json"))
    content = bytearray((capsule / "added.i8").read_bytes())
    content[7] ^= 1
    (capsule / "added.i8").write_bytes(content)
    base = next(path.parent for path in (place / "state" / "models").glob("*/index.json"))
    (into := place / "made").mkdir()
    with pytest.raises(VerificationError, match="makes no index of its base"):
        IndexRecomputer(128, place / "state").merge(base, capsule, into)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--index", "nowhere"], "There is no folder nowhere"),
        ([], "No folder of documents is named"),
    ],
)
def test_without_documents_nothing_begins(options: list[str], what: str, tmp_path: Path) -> None:
    outcome = cryoflux(*RUN, *options, "--state", tmp_path / "state")
    assert outcome.code == 2
    assert what in outcome.stderr
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("query", ["", " \t", "\udcff"])
def test_a_query_that_says_nothing_is_named(query: str, tmp_path: Path) -> None:
    outcome = cryoflux("search", query, "--state", tmp_path)
    assert outcome.code == 2
    assert outcome.stderr.startswith("error: The query is")
    assert len(outcome.stderr.strip().splitlines()) == 3


def test_a_state_without_an_index_says_how_to_make_one(tmp_path: Path) -> None:
    outcome = cryoflux("search", "anything", "--state", tmp_path)
    assert outcome.code != 0
    assert "cryoflux run --task index_refresh" in outcome.stderr


def test_a_watched_run_that_sleeps_wakes_when_documents_come(place: Path) -> None:
    folder, log, state = place / "pages", place / "events.jsonl", place / "state"
    where = ["--task", "index_refresh", "--watch", folder, "--state", state, "--log", log]
    watching = start("run", *where, "--budget", "200J", cold=True)
    try:
        until(lambda: bool(logged(log, "waiting")), "it does not wait")
        (folder / "broken.csv").write_text("name,label\nx,y\n")
        until(lambda: "broken.csv" in told_of(log), "nobody says what is wrong")
        waited = len(logged(log, "waiting"))
        (folder / ".penguin").write_text(PENGUIN)
        (folder / ".penguin").rename(folder / "penguin.md")
        until(lambda: bool(logged(log, "attempt")), "nobody wakes")
        # What was found there is indexed, and there is nothing else to do.
        until(lambda: len(logged(log, "waiting")) > waited, "it does not wait again")
        watching.send_signal(signal.SIGTERM)
        assert ended(watching).code == 0
    finally:
        watching.kill()
    assert digest_of(tidy(PENGUIN)) in shelf_of(place).names
    assert [event["accepted"] for event in logged(log, "attempt")] == [True]
    assert told_of(log).count("broken.csv") == 1, "it is not read again until it changes"


def told_of(log: Path) -> list[str]:
    """Files that ``index_refresh`` could not read."""
    told = [event for event in logged(log, "joined") if event["task_name"] == "index_refresh"]
    return [event["file"] for event in told if "names no field called text" in event["problem"]]


def test_a_model_that_reads_little_embeds_the_beginning_of_a_text(tmp_path: Path) -> None:
    encoder = TextEncoder(make_model(tmp_path / "model"), 128)  # it has 64 positions
    long, beginning = ("cat dog " * 50).strip(), ("cat dog " * 31).strip()
    ((_, vectors),) = encoder.embed([long, beginning])
    assert vectors[0].tolist() == vectors[1].tolist()


def test_a_refusal_says_nothing_of_what_the_folder_holds_later(place: Path, texts: list[str]) -> None:
    def arms(outcome: Outcome) -> set[str]:
        return {event["arm"] for event in outcome.of("attempt") if not event["accepted"]}

    # What says the same as a query, in front of the document that it asks for.
    beginnings = [" ".join(text.split()[:16]) for text in texts]
    (place / "pages" / "first.jsonl").write_text(
        "".join(json.dumps({"text": f"{words} once"}) + "\n" for words in beginnings)
    )
    refused = went_on(place)
    assert (refused.summary["kept"], refused.summary["ended"]) == (0, "plateau")
    assert went_on(place).summary["attempts"] == 0, "it is refused for good"
    (place / "pages" / "second.jsonl").write_text(json.dumps({"text": "another one"}) + "\n")
    again = went_on(place)
    assert again.summary["attempts"] >= 1
    assert len(arms(refused) | arms(again)) == 2
