"""``cryoflux models``: what is listed and called how, who is asked before what, and what nobody may do."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from cryoflux.evaluation.cache import KnownLosses, LossCache
from cryoflux.evaluation.losses import Losses
from cryoflux.quantities import NANO
from cryoflux.state import StateFolder
from cryoflux.verification.result import Status
from running import exit_code_of
from synthetic_state import SyntheticState, open_state
from verifying import verify_target

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def made(tmp_path: Path) -> SyntheticState:
    """Four that were kept, and one that was not."""
    state = open_state(tmp_path / "state")
    state.write_origin()
    for gain in (0.05, 0.05, 0.0005, 0.05, 0.05):
        state.attempt(gain)
    state.finish()
    return state


class Typed:
    """The command, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.out = self.err = ""

    def run(self, *words: object) -> int:
        code = exit_code_of(self._monkeypatch, "models", *words)
        self.out, self.err = self._capsys.readouterr()
        return code

    def said(self, *words: object) -> dict[str, Any]:
        assert self.run(*words, "--json") == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found

    def answer(self, text: str) -> None:
        """Somebody sits there, and types this."""
        stdin = io.StringIO(text)
        self._monkeypatch.setattr(stdin, "isatty", lambda: True)
        self._monkeypatch.setattr("sys.stdin", stdin)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(monkeypatch, capsys)


def digests(made: SyntheticState) -> list[str]:
    """Version 0 and those that were kept, in order."""
    receipts = [entry.receipt for entry in made.entries if entry.receipt is not None]
    results = [receipt.result.digest for receipt in receipts if receipt.outcome.word == "kept"]
    return [receipts[0].base.digest, *results]


def test_each_version_is_called_by_many_names(made: SyntheticState, typed: Typed) -> None:
    first, one, two, four, five = digests(made)
    typed.run("alias", "mine", "#2")
    names = {
        "head": five, "champion": five, "#1": one, "#2": two, "#4": four, "head~1": four, "head~": four,
        "head~4": first, "mine": two, "mine~1": one, "#5~3": one, two[:12]: two, f"{two[:12]}~2": first,
    }  # fmt: skip
    assert {name: typed.said("show", name)["digest"] for name in names} == names
    for nothing in ("#3", "#9", "head~5", "nobody", "", "head~x", "~1", "zz"):
        assert typed.run("show", nothing) == 2, nothing
        assert "cryoflux models list" in typed.err


def lines_of(typed: Typed, digest: str) -> list[str]:
    assert typed.run("list") == 0
    return [line for line in typed.out.splitlines() if digest[:12] in line]


def test_a_version_is_one_line_of_a_narrow_screen_too_and_what_is_left_out_is_named(
    made: SyntheticState, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = digests(made)[-1]
    monkeypatch.delenv("COLUMNS", raising=False)
    assert "r8" in lines_of(typed, head)[0].split(), "its recipe, where there is room"
    assert "too narrow" not in typed.out
    for width, missing in ((80, "recipe, own"), (70, "recipe, Δ, own")):
        monkeypatch.setenv("COLUMNS", str(width))
        (line,) = lines_of(typed, head)
        assert len(line) <= width
        assert line.split()[-2:] == ["head,", "champion"]
        assert f"The screen is too narrow for: {missing}; models show has them." in " ".join(
            typed.out.split()
        )


def test_a_version_is_shown_in_words_and_short_numbers(made: SyntheticState, typed: Typed) -> None:
    assert typed.run("show", "#5") == 0
    said = dict(line.split(maxsplit=1) for line in typed.out.splitlines())
    assert said["names"] == "head, champion"
    assert said["holdout"].endswith("to its parent")
    assert not re.search(r"\d\.\d{5}|_bytes|True|None|unknown", typed.out), typed.out
    assert typed.run("show", digests(made)[0]) == 0
    assert "spent" not in typed.out, "version 0 was not made by an attempt"


def test_what_is_typed_next_names_the_state_that_was_named(
    made: SyntheticState, typed: Typed, tmp_path: Path
) -> None:
    other = made.path.rename(tmp_path / "my state")
    for words in (
        ["show", "#9"],
        ["promote", "head", "--yes"],
        ["rollback", "zz"],
        ["alias", "x", "--remove"],
    ):
        assert typed.run(*words, "--state", other) == 2
        assert f"models list --state '{other}'" in " ".join(typed.err.split()), words


def test_a_number_of_the_parent_is_said_to_be_the_parents(
    made: SyntheticState, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exit_code_of(monkeypatch, "fork", "state", "mine") == 0
    parent = (made.path / "log" / "checkpoint").read_text().partition("\n")[0]
    assert typed.run("promote", "#4", "--yes", "--state", "mine") == 2
    said = " ".join(typed.err.split())
    assert "This log has 0 attempts" in said
    assert f"What {parent} tried before this state was forked from it is counted there" in said
    assert typed.run("show", "#3") == 2
    assert "That attempt made none" in typed.err
    assert typed.run("show", "#9") == 2
    assert "This log has 5 attempts" in typed.err


def test_a_version_says_what_it_gained_and_cost_along_its_line(made: SyntheticState, typed: Typed) -> None:
    versions = typed.said("list")["versions"]
    strange = [one for one in versions if one["origin"] == "unknown"]
    first, *kept = [one for one in versions if one["origin"] != "unknown"]
    assert len(strange) == 1, "the candidate that was not kept"
    assert [one["parent"] for one in kept] == digests(made)[:-1]
    assert first["total_delta"] == 0
    totals = [sum(one["delta"] for one in kept[: n + 1]) for n in range(len(kept))]
    assert [one["total_delta"] for one in kept] == pytest.approx(totals)
    assert [one["spent"]["joules"] for one in kept] == [100.0, 200.0, 400.0, 500.0], "rejected ones cost too"
    assert {one["spent"]["tier"] for one in kept} == {"modelled"}
    assert [one["aliases"] for one in kept] == [[], [], [], ["head", "champion"]]


def test_what_the_audit_set_said_is_told_where_a_run_has_asked(made: SyntheticState, typed: Typed) -> None:
    assert typed.said("show")["audit_loss"] is None
    cache = LossCache(StateFolder(made.path).cache / "losses")
    first, *_, head = digests(made)
    for digest, loss in ((first, 2 * NANO), (head, NANO // 2)):
        losses = Losses((loss,) * made.data.audit_count, (True,) * made.data.audit_count)
        cache.put(digest, made.data.audit, 0, KnownLosses(losses, 0))
    said = typed.said("show")
    assert (said["audit_loss"], said["audit_delta"]) == (0.5, 1.5)
    assert typed.said("show", "head~1")["audit_delta"] is None


@pytest.mark.parametrize("words", [["rollback"], ["promote", "#1"], ["prune", "--keep", "1"]])
@pytest.mark.parametrize("as_json", [False, True])
def test_where_nobody_can_be_asked_nothing_is_changed(
    made: SyntheticState, typed: Typed, words: list[str], as_json: bool
) -> None:
    before = sorted(path.name for path in (made.path / "models").iterdir())
    assert typed.run(*words, *(["--json"] if as_json else [])) == 2
    assert "nobody can be asked" in typed.err
    assert f"cryoflux models {words[0]}" in typed.err
    assert "--yes" in typed.err
    if words[0] != "prune" and not as_json:
        assert typed.run(*words, "--reason", "it's bad", "--task", "lora_delta") == 2
        assert "--reason 'it'\"'\"'s bad'" in " ".join(typed.err.split()), "what is typed next says the same"
        assert "--task lora_delta" in " ".join(typed.err.split())
    assert typed.said("show")["digest"] == digests(made)[-1]
    assert sorted(path.name for path in (made.path / "models").iterdir()) == before


def test_who_says_no_changes_nothing_and_who_says_yes_does(made: SyntheticState, typed: Typed) -> None:
    *_, parent, head = digests(made)
    typed.answer("n\n")
    assert typed.run("rollback") == 0
    assert "nothing was changed" in typed.out
    assert typed.said("show")["digest"] == head
    typed.answer("y\n")
    assert typed.run("rollback", "--reason", "I do not trust it.") == 0
    assert "would become the head" in typed.err
    assert typed.said("show")["digest"] == parent
    typed.answer("n\n")
    assert typed.run("prune", "--keep", "1") == 0
    assert "nothing was freed" in typed.out


def test_what_is_no_way_back_or_no_move_is_refused(made: SyntheticState, typed: Typed) -> None:
    one, head = digests(made)[1], digests(made)[-1]
    assert typed.run("promote", "head", "--yes") == 2
    assert "is the head of lora_delta already" in typed.err
    typed.said("promote", one, "--yes")
    assert typed.run("rollback", head, "--yes") == 2
    assert "does not rest on" in typed.err
    assert f"models promote {head[:16]}" in typed.err
    typed.said("rollback", "--yes")
    assert typed.run("rollback", "--yes") == 2, "version 0 is where it ends"


@pytest.mark.parametrize("reason", ["x" * 2001, "\udcff"])
def test_a_reason_that_no_entry_can_hold_is_refused_before(
    made: SyntheticState, typed: Typed, reason: str
) -> None:
    for words in (["promote", "#1"], ["rollback"]):
        assert typed.run(*words, "--yes", "--reason", reason) == 2
        assert "--reason" in typed.err
    assert typed.said("show")["digest"] == digests(made)[-1]


def test_a_task_that_is_none_is_said_to_be_none(made: SyntheticState, typed: Typed) -> None:
    for words in (["list"], ["show", "#1"], ["promote", "#1", "--yes"], ["alias", "mine", "#1"]):
        assert typed.run(*words, "--task", "nobody") == 2, words
        assert "has no task 'nobody'" in typed.err


def test_pruning_says_what_it_would_do_and_does_that(made: SyntheticState, typed: Typed) -> None:
    _, one, two, four, five = digests(made)
    typed.said("alias", "mine", "#2")
    assert typed.run("prune", "--keep", "1", "--dry-run") == 0
    assert "2 versions would be freed" in typed.out
    planned = typed.said("prune", "--keep", "1", "--dry-run")
    assert (planned["event"], planned["pruned"], planned["by_entries"]) == ("planned", [one, four], [])
    done = typed.said("prune", "--keep", "1", "--yes")
    assert done["freed_bytes"] == planned["freed_bytes"] > 0
    assert (done["pruned"], len(done["by_entries"])) == ([one, four], 1)
    assert {v["digest"] for v in typed.said("list", "--all")["versions"] if v["pruned"]} == {one, four}
    assert {v["digest"] for v in typed.said("list")["versions"]} >= {two, five}
    assert typed.run("list") == 0
    assert "2 more are freed: cryoflux models list --all" in typed.out
    assert typed.run("promote", one, "--yes") == 2
    assert f"by entry {done['by_entries'][0]}" in typed.err
    assert "models rebuild" in typed.err
    assert typed.run("alias", "gone", one) == 2
    assert typed.run("rebuild", one) == 2, "this one was merged in another way"
    assert typed.said("diff", one, "head")["tensors"] is None


def test_pruning_says_what_an_index_needs(tmp_path: Path, typed: Typed) -> None:
    made = open_state(tmp_path / "state")
    for _ in range(4):
        made.attempt(0.05)
    _, one, two, three, _ = digests(made)
    made.begin("index_refresh")
    made.attempt(0.05)
    made.finish()
    manifest = made.path / "models" / made.head.digest / "index.json"
    manifest.write_text(json.dumps({"format": "index/v1", "version": two}))
    assert typed.run("prune", "--keep", "1", "--dry-run") == 0
    assert f"{two[:16]}… (#2, Σ Δ" in typed.out
    assert "stays: it embeds the queries of an index that stays" in typed.out
    done = typed.said("prune", "--keep", "1", "--yes")
    assert (done["pruned"], done["embedders"]) == ([one, three], [two])
    manifest.unlink()
    found = verify_target(made.path).checks
    assert not [check for check in found if check.status is Status.FAIL]
    assert any("2 older versions pruned on" in check.detail for check in found)


def test_settings_say_how_many_stay(made: SyntheticState, typed: Typed, tmp_path: Path) -> None:
    assert typed.said("prune", "--dry-run")["pruned"] == []
    (tmp_path / "cryoflux.toml").write_text("[models]\nkeep = 2\n")
    assert len(typed.said("prune", "--dry-run")["pruned"]) == 2
    (tmp_path / "cryoflux.toml").write_text("[models]\nkeep = 0\n")
    assert typed.said("prune", "--dry-run")["pruned"] == []


def test_an_alias_takes_a_version_or_is_removed(made: SyntheticState, typed: Typed) -> None:
    assert typed.run("alias", "mine") == 2
    assert typed.run("alias", "mine", "head", "--remove") == 2
    assert typed.run("alias", "mine", "--remove") == 2
    assert "There is no alias 'mine'" in typed.err
    typed.said("alias", "mine", "#1")
    typed.said("alias", "mine", "head")
    link = made.path / "aliases" / "mine"
    assert link.resolve() == (made.path / "models" / digests(made)[-1]).resolve()
    assert typed.said("alias", "mine", "--remove")["event"] == "removed"
    assert not link.is_symlink()


def test_a_state_without_a_log_lists_and_changes_nothing(made: SyntheticState, typed: Typed) -> None:
    (made.path / "receipts.db").unlink()
    (made.path / "origin.json").unlink()
    assert {one["origin"] for one in typed.said("list")["versions"]} == {"unknown"}
    for words in (["rollback", "--yes"], ["prune", "--yes"], ["alias", "mine", "head"]):
        assert typed.run(*words) == 2
        assert "holds no receipts" in typed.err
    assert typed.run("list", "--state", "nowhere") == 2


def test_all_tasks_are_listed_and_each_has_its_head(tmp_path: Path, typed: Typed) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.begin("index_refresh")
    made.attempt(0.05)
    made.finish()
    versions = typed.said("list")["versions"]
    assert [one["task_name"] for one in versions if one["head"]] == ["lora_delta", "index_refresh"]
    other = typed.said("show", "head", "--task", "index_refresh")
    assert (other["task_name"], other["attempt"]) == ("index_refresh", 2)
    assert typed.said("rollback", "--task", "index_refresh", "--yes")["task_name"] == "index_refresh"
    assert typed.said("show")["attempt"] == 1, "the other head stayed"
    assert typed.run("list") == 0
    assert "index_refresh:" in typed.out
    assert typed.run("show", "head", "--task", "nobody") == 2
