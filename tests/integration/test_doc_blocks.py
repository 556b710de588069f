"""Every block of code in README and docs is run, or says why not.

A page's blocks are typed one after the other into one shell, in a folder that holds what the pages speak of:
a state, labelled examples, documents. ``cryoflux run`` learns with a tiny model there, under a small budget.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import tiny
from cryoflux.data import stdlib_docs
from cryoflux.receipts.parts import Outcome
from cryoflux.receipts.reading import read_entries
from reference_from.blocks import LANGUAGES, ROOT, Block, blocks_of, pages_with_code
from running import ended, environment, python
from synthetic_state import SyntheticState
from typed_commands import TypedShell, shortened

TOOLS = ("bash", "jq", "openssl", "xxd", "xz")
BESIDE_A_STATE = {
    "docs/how-to/check-a-receipt-without-us.md": ["✓ PROVEN", "included"],
    "docs/how-to/versions.md": ["is the head of lora_delta now, by entry", "pruned on", "✓ VERIFIED"],
    "docs/how-to/claim-a-result.md": ["✓ CLAIM HOLDS", "Signature Verified Successfully", "joules_estimate"],
    "docs/reference/receipts.md": ["Signature Verified Successfully", "config.json: OK"],
}
"""pages that look at a state of four attempts, made by hand → what has to be seen there"""
STATES = {"docs/how-to/keep-it-running.md": "another", "docs/how-to/witness-a-log.md": "my-state"}
"""pages that do not speak of ``state`` → under which name it lies there"""
DOCTESTS = {"docs/reference/python-api.md"}
"""its examples are run, with what they show, by tests/unit/test_python_api.py"""
BEFORE = "import cryoflux\ndef train(): return sum(range(1000))\n"
"""what an example in Python goes on from"""
TYPED = {"sh", "console"}
SHORT_REASON = 8


def run_of(page: Path) -> list[Block]:
    """The blocks that are run, or written to a file for those."""
    return [block for block in blocks_of(page) if block.language != "text" and not block.not_run]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


PAGES = [p for p in pages_with_code() if any(b.language in {*TYPED, "python"} for b in run_of(p))]
ALL = [block for page in pages_with_code() for block in blocks_of(page)]
stock_tools = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")


# Folders


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, inputs: list[str]) -> Path:
    """A folder with what the pages speak of, and a state that a tiny model was trained in."""
    folder = tmp_path_factory.mktemp("typed") / "folder"
    for made in ("notes", "in"):
        (folder / made).mkdir(parents=True)
    for name, count, seed in (("mine", 400, 3), ("fresh", 90, 5), ("reviews", 400, 7)):
        tiny.write_csv(folder / f"{name}.csv", tiny.sentences(count, seed))
    tiny.write_csv(folder / "in/new.csv", tiny.sentences(60, 11))
    documents = [example.text for example in stdlib_docs.build(lambda *_: None)][:250]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
    (folder / "notes/notes.jsonl").write_text(lines)
    (folder / "train.py").write_text("print(sum(range(10**6)))\n")
    first = ["run", "--budget", "200J", "--train", "mine.csv", "--attempts", "2"]
    for seed in range(5):  # pages speak of #1 as kept, and a busy machine may train by other arithmetic
        begun = ended(
            python("-m", "cryoflux", *first, "--seed", seed, cwd=folder, env=environment(**settings(inputs)))
        )
        assert begun.code == 0, begun.stderr
        one = next(entry.receipt for entry in read_entries(folder / "state") if entry.receipt is not None)
        if one.outcome is Outcome.ACCEPTED:
            return folder
        shutil.rmtree(folder / "state")
    raise AssertionError("five seeds in a row made nothing that was kept")


def settings(inputs: list[str]) -> dict[str, str]:
    model = {"CRYOFLUX_MODEL": inputs[1], "CRYOFLUX_RESERVE": "40J"}
    return {**model, "CRYOFLUX_RECIPES": "prefix-1", "CRYOFLUX_LEARNING_RATE": "0.01"}


# What is run


@stock_tools
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_tells_one_to_type_works(
    page: Path, trained: Path, pristine: SyntheticState, inputs: list[str], tmp_path: Path
) -> None:
    name, folder = name_of(page), tmp_path / "folder"
    by_hand = name in BESIDE_A_STATE
    if by_hand:
        shutil.copytree(pristine.path, folder / "state", symlinks=True)
    else:
        shutil.copytree(trained, folder, symlinks=True)
        (folder / "state").rename(folder / STATES.get(name, "state"))
    (tmp_path / "home").mkdir()
    home = {"HOME": str(tmp_path / "home")}
    with TypedShell(**home, **({} if by_hand else settings(inputs))) as shell:
        done = shell.run(script(run_of(page), name), folder)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    for words in BESIDE_A_STATE.get(name, []):
        assert words in done.stdout, said
    for block in run_of(page):
        if block.language == "console" and not block.varies:
            assert missing(block, shown_of(done.stdout, block)) == [], f"{block.name}\n{said}"


def script(blocks: list[Block], page: str) -> str:
    """All of them as one script; each console block between two lines that tell its output from the rest."""
    lines = []
    for block in blocks:
        if block.file:
            lines.append(f"cat >> {block.file} <<'END OF {block.name}'\n{block.text}END OF {block.name}")
        elif block.language == "sh":
            lines.append(block.text)
        elif block.language == "console":
            commands = "\n".join(command for command, _ in typed(block))
            lines.append(
                f"echo {shlex.quote('<<' + block.name)}\n{commands}\necho {shlex.quote('>>' + block.name)}"
            )
        elif block.language == "python" and page not in DOCTESTS:
            lines.append(f"cryoflux-python {shlex.quote(BEFORE + block.text)}")
    return "\n".join(lines)


def typed(block: Block) -> Iterator[tuple[str, list[str]]]:
    """The commands of a console, each with the lines that it shows."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip("\n").split("\n")
        yield command, shown


def shown_of(output: str, block: Block) -> list[str]:
    return output.partition(f"<<{block.name}\n")[2].partition(f">>{block.name}\n")[0].splitlines()


def missing(block: Block, found: list[str]) -> list[str]:
    """The lines that a console shows and that did not come, in this order; of a recorded one, its labels."""
    expected = [line for _, shown in typed(block) for line in shown]
    if block.recorded:
        labels = {label(line) for line in found}
        return [line for line in expected if label(line) and label(line) not in labels]
    rest = iter(found)
    return [line for line in expected if line != "…" and not any(like(line, other) for other in rest)]


def label(line: str) -> str:
    """What a line is about: its first word that is no sign; empty where that is an attempt, or it goes on."""
    word = next((word for word in line.split() if word not in {"✓", "✗", "?", "·", "…"}), "")
    return "" if line.startswith((" ", "#")) or not word[0:1].isalpha() else word


def like(line: str, other: str) -> bool:
    """Whether a line is as it is shown; ``…`` in it stands for anything."""
    return (
        re.fullmatch(".*".join(re.escape(part) for part in line.rstrip().split("…")), other.rstrip())
        is not None
    )


# What is held of all blocks


def test_every_block_says_its_language_and_none_is_only_indented() -> None:
    assert len(ALL) > 60
    assert [block.name for block in ALL if block.language not in LANGUAGES] == []
    for page in pages_with_code():
        fenceless = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert re.findall(r"(?<=\n\n)    \S.*", fenceless) == [], f"{name_of(page)}: put it between fences"


def test_what_is_not_run_has_a_reason_and_nothing_else_is_passed_over() -> None:
    marks = ("not run:", "file:", "output varies", "docs:", "generated")
    assert [b.name for b in ALL if b.said and not b.said.startswith(marks)] == []
    assert [b.name for b in ALL if b.said.startswith("not run") and len(b.not_run) < SHORT_REASON] == []
    passed = [b for b in ALL if b.language in {*TYPED, "python"} and not b.not_run]
    assert {b.page for b in passed} == {name_of(page) for page in PAGES}
    assert {b.page for b in ALL if b.language == "python" and ">>>" in b.text} <= DOCTESTS


def test_no_block_that_is_run_asks_whoever_listens_on_this_machine() -> None:
    asks = re.compile(r"(curl|--agent|--connect).*(localhost|127\.0\.0\.1)")
    assert [
        b.name for b in ALL if b.language in {*TYPED, "python"} and not b.not_run and asks.search(b.text)
    ] == []


@pytest.mark.parametrize("block", [b for b in ALL if b.language in {"json", "toml"}], ids=lambda b: b.name)
def test_what_is_data_can_be_read(block: Block) -> None:
    assert (json.loads if block.language == "json" else tomllib.loads)(block.text)


def test_a_console_is_compared_with_what_came() -> None:
    text = "$ a\none\n…\nt…ree\n$ b\nfour\n"
    assert list(typed(Block("p", 1, "console", text, ""))) == [("a", ["one", "…", "t…ree"]), ("b", ["four"])]
    block = Block("p", 1, "console", text, "")
    assert missing(block, ["one", "two", "three", "four"]) == []
    assert missing(block, ["one", "four", "three"]) == ["four"]
    recorded = Block("p", 1, "console", "$ run\n✓ kept  5\n…\nlost 3 J\n", "docs: run")
    assert missing(recorded, ["✓ kept  7"]) == ["lost 3 J"]


def test_only_runs_are_shortened_and_what_never_ends_gets_an_end() -> None:
    assert shortened(["run", "--budget", "2kJ", "--watch", "in"]) == [
        *("run", "--budget", "200J", "--watch", "in", "--attempts", "1"),
    ]
    assert shortened(["claim", "joules <= 2 kJ"]) == ["claim", "joules <= 2 kJ"]
    assert shortened(["run", "--budget", "300J"]) == ["run", "--budget", "300J", "--attempts", "4"]


def test_a_command_that_fails_ends_the_script(tmp_path: Path) -> None:
    with TypedShell() as shell:
        done = shell.run("cryoflux receipts show '#1' --state nowhere\necho went on", tmp_path)
        assert shell.run("make no-such-target", tmp_path).returncode != 0
        assert shell.run("make quick | cat", tmp_path).returncode == 0
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "went on" not in done.stdout
