"""The pages of attempts, as the application answers them."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import json
import re
import time
from pathlib import Path

import httpx2
import pytest

from cryoflux.attempt.watch import Step
from cryoflux.decision.reason import Reason
from cryoflux.energy.derived import Rates
from cryoflux.pages.app import create_app, site_of
from cryoflux.pages.attempts import signature
from cryoflux.pages.scene import Scene
from cryoflux.quantities import Energy, Tier
from cryoflux.queries.attempt_detail import attempt_detail
from cryoflux.queries.followed import Followed
from cryoflux.queries.side_by_side import side_by_side
from cryoflux.receipts.statement import Cause
from cryoflux.runs.activity_form import NOW, ROWS, SampleRow, pack_row
from cryoflux.state import StateFolder
from rolled_back import WORSE, Rollback, three_heads
from synthetic_state import SyntheticState, open_state


def got(state: Path, path: str) -> httpx2.Response:
    """What the application answers."""

    async def ask() -> httpx2.Response:
        app = create_app(site_of([state], Rates(), asyncio.Event()))
        transport = httpx2.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return asyncio.run(ask())


def text_of(answer: httpx2.Response) -> str:
    """Words of a page with single spaces."""
    body = answer.text.partition("<main")[2]
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def of_all_kinds(path: Path) -> SyntheticState:
    """Kept, rejected, aborted, kept, stopped by the screen, rejected, failed; the eighth is announced."""
    state = open_state(path)
    state.attempt(0.05)
    state.attempt(0.0005)
    state.abort(state.announce())
    state.attempt(0.02)
    state.screen_out()
    state.attempt(-0.3)
    failed = Reason(code="failed", numbers={"what": "<b>it</b> \u202efell\x1b[31m " + "x" * 300})
    state.abort(state.announce(), cause=Cause.FAILED, reason=failed)
    state.announce()
    return state


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return of_all_kinds(tmp_path_factory.mktemp("attempts") / "state").finish()


@pytest.fixture
def followed(state: Path) -> Followed:
    found = Followed(state)
    found.refresh()
    return found


def rows(answer: httpx2.Response) -> list[int]:
    """Numbers of the attempts in the table, from above."""
    return [int(one) for one in re.findall(r'<th scope="row" class="num"><a [^>]*>#(\d+)<', answer.text)]


def test_all_are_listed_newest_first_and_what_goes_on_is_said(state: Path) -> None:
    answer = got(state, "/attempts")
    assert rows(answer) == [7, 6, 5, 4, 3, 2, 1]
    words = text_of(answer)
    assert "7 attempts" in words
    assert "#8 was announced and has no receipt yet." in words
    assert "The best deal was #1 : +0.055 nats" in words


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=delta", [1, 4, 2, 6, 7, 5, 3]),
        ("sort=delta&order=rising", [6, 2, 4, 1, 7, 5, 3]),
        ("sort=number&order=rising", [1, 2, 3, 4, 5, 6, 7]),
        ("outcome=kept", [4, 1]),
        ("outcome=stopped-by-the-screen", [5]),
        ("outcome=screened", [5]),
        ("outcome=rejected&sort=eta", [2, 6]),
        ("task=nothing", []),
    ],
)
def test_they_are_sorted_and_chosen_by_the_address(state: Path, query: str, expected: list[int]) -> None:
    assert rows(got(state, f"/attempts?{query}")) == expected


def test_the_column_that_sorts_says_so(state: Path) -> None:
    answer = got(state, "/attempts?sort=eta&order=rising").text
    assert re.search(r'aria-sort="ascending"><a href="/attempts\?sort=eta">', answer)
    assert answer.count("aria-sort") == 1


def test_what_is_shown_can_be_had_as_a_table(state: Path, followed: Followed) -> None:
    link = re.search(r'href="(/attempts.csv[^"]*)"', got(state, "/attempts?sort=eta&outcome=kept").text)
    assert link is not None
    answer = got(state, html.unescape(link[1]))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["number"]) for row in table] == [1, 4]
    deltas = [one.delta for number in (1, 4) if (one := followed.attempt(number)) is not None]
    assert [float(row["delta"]) for row in table] == deltas
    assert len(list(csv.DictReader(io.StringIO(got(state, "/attempts.csv").text)))) == 7


def test_what_a_state_says_stays_text_and_turns_nothing_round(state: Path) -> None:
    for path in ("/attempts", "/attempts/7", "/attempts?compare=6,7"):
        answer = got(state, path)
        assert answer.status_code == 200
        assert "<b>it" not in answer.text
        assert not {"\u202e", "\x1b"} & set(answer.text)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "Kept: +0.055 nats for 100.0 J."),
        (2, "Rejected: +0.001 nats for 100.0 J."),
        (3, "Aborted after 100.0 J: somebody stopped it."),
        (5, "Stopped by the screen after 100.0 J."),
        (6, "Rejected: \N{MINUS SIGN}0.330 nats for 100.0 J."),
        (7, "Aborted after 100.0 J: it came to nothing usable."),
    ],
)
def test_each_kind_says_in_a_sentence_what_became_of_it(state: Path, number: int, said: str) -> None:
    words = text_of(got(state, f"/attempts/{number}"))
    assert said in words
    assert f"cryoflux receipts show '#{number}' --state {state}" in words


def test_one_that_was_judged_shows_its_examples_and_what_can_be_checked(state: Path) -> None:
    words = text_of(got(state, "/attempts/1"))
    assert "64 examples got better, 0 worse, 0 hardly moved" in words
    assert "On 64 examples that no training saw, the loss fell" in words
    assert "more than" in words
    assert "newly right" in words
    assert f"cryoflux verify {state} --recompute all" in words
    assert "reserved 120.0 J , 20.0 J of it went back" in words


def test_one_that_was_not_judged_claims_nothing_of_the_holdout(state: Path) -> None:
    screened, aborted = text_of(got(state, "/attempts/5")), text_of(got(state, "/attempts/3"))
    assert "The holdout was not read" in screened
    assert "hardly moved" not in screened
    assert "--recompute" not in screened + aborted
    assert "Nothing: no update was made." in aborted


def test_losses_that_are_not_here_are_said_to_be_missing(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    entry = state.attempt(0.05)
    state.finish()
    StateFolder(state.path).losses(entry.receipt.evaluation.per_example).unlink()  # type: ignore[union-attr]
    words = text_of(got(state.path, "/attempts/1"))
    assert "It cannot be drawn: the per-example losses are missing or unreadable." in words
    assert "The losses of single examples are not at hand" in words


def test_one_without_a_receipt_says_what_comes_next(state: Path) -> None:
    words = text_of(got(state, "/attempts/8"))
    assert "Attempt #8 has no receipt." in words
    assert "most likely its run died" in words
    assert got(state, "/attempts/9").status_code == 404


def test_one_that_is_tried_now_says_how_far_it_is(tmp_path: Path) -> None:
    state = of_all_kinds(tmp_path / "state").finish()
    activity = StateFolder(state).activity
    activity.mkdir()
    steps = [{"step": "sample", "began_at": 1.0, "ended_at": 2.0}, {"step": "train", "began_at": 2.0}]
    training = {"step": 12, "planned": 300, "loss": 1.5, "spent_uj": 7, "reserved_uj": 9}
    attempt = {"number": 8, "began_at": 1.0, "steps": steps, "spent_uj": 7_000_000, "training": training}
    nobody = {"pid": 0, "start_ticks": 0, "boot_id": "another machine", "namespace": ""}
    said = {"schema": "cryoflux.activity/1", "written_at": time.time(), "process": nobody, "began_at": 1.0}
    (activity / NOW).write_text(json.dumps({**said, "phase": "attempting", "attempt": attempt}))
    words = text_of(got(state, "/attempts/8"))
    assert "Attempt #8 goes on." in words
    assert "7.0 J spent of 120.0 J reserved; step 12 of about 300." in words
    stale = {**said, "written_at": 1.0, "phase": "attempting", "attempt": attempt}
    (activity / NOW).write_text(json.dumps(stale))
    assert "most likely its run died" in text_of(got(state, "/attempts/8"))


def test_the_power_while_it_was_tried_is_drawn_with_its_gaps(tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    made.finish()
    activity = StateFolder(made.path).activity
    activity.mkdir()
    seconds = [*range(10), *range(30, 40)]
    energies = [Energy(5 * 10**6 * at, 4 * 10**6 * at, 8 * 10**6 * at, Tier.MODELLED) for at in seconds]
    told = [
        SampleRow(
            sequence=place + 1,
            at_us=10**15 + at * 10**6,
            first=place == 0,
            attempt=1,
            step=Step.TRAIN if at < 20 else Step.EVALUATE,
            net=energy,
            gross=energy,
            bucket_uj=0,
        )
        for place, (at, energy) in enumerate(zip(seconds, energies, strict=True))
    ]
    (activity / ROWS).write_bytes(b"".join(map(pack_row, told)))
    answer = got(made.path, "/attempts/1")
    assert answer.text.count('class="power"') == 2, "the line is cut where nothing is known"
    assert answer.text.count('class="gap"') == 1
    assert "it is no evidence, the receipt is" in text_of(answer)


def test_a_kept_update_that_was_taken_back_says_so(tmp_path: Path) -> None:
    made = three_heads(tmp_path / "state")
    first = made.memory.tasks[made.task].before_head()[0].version
    assert "Taken back" not in text_of(got(made.path, "/attempts/2"))
    Rollback(made, WORSE, [loss - 10**9 for loss in WORSE], first).write()
    made.finish()
    for number in (1, 2):
        words = text_of(got(made.path, f"/attempts/{number}"))
        assert "Taken back since: a rollback found a later head to be worse" in words
        assert "(entry 4," in words


def test_one_that_was_chosen_again_is_not_taken_back_any_more(tmp_path: Path) -> None:
    made = three_heads(tmp_path / "state")
    head, first = made.head, made.memory.tasks[made.task].before_head()[0].version
    made.move(first)
    made.move(head)
    made.finish()
    followed = Followed(made.path)
    followed.refresh()
    detail = attempt_detail(followed, 2)
    assert detail is not None
    assert detail.taken_back is None


def test_what_differs_from_the_recipe_of_the_kept_one_is_marked(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    state.recipe = {**state.recipe, "rank": 99, "new_one": "yes"}
    state.attempt(0.02)
    state.finish()
    followed = Followed(state.path)
    followed.refresh()
    detail = attempt_detail(followed, 2)
    assert detail is not None
    assert detail.kept_before is not None
    assert detail.kept_before.number == 1
    changed = {row.name: (row.before, row.value) for row in detail.recipe if row.changed}
    assert changed["new_one"] == (None, "yes")
    assert changed["rank"][1] == 99
    words = text_of(got(state.path, "/attempts/2"))
    assert "What differs from the recipe of #1 , kept before it" in words


def test_some_are_compared_and_what_is_unfair_about_it_is_said(state: Path, followed: Followed) -> None:
    found = side_by_side(followed, [4, 2, 99])
    assert [one.number for one in found.attempts] == [2, 4]
    assert not found.unlike, "both set out from the same version"
    (gap,) = found.gaps
    assert (gap.better, gap.worse) == (4, 2)
    receipts = [followed.receipt_of(number)[1].evaluation for number in (2, 4)]  # type: ignore[index]
    sums = [one.new_loss_sum for one in receipts if one is not None]
    assert gap.mean == pytest.approx((sums[0] - sums[1]) / 64 / 1e9)
    assert gap.shown
    words = text_of(got(state, "/attempts?compare=2,4"))
    assert "A fair comparison" in words
    unfair = text_of(got(state, "/attempts?compare=&n1=on&n4=on&n5=on"))
    assert "they set out from different versions" in unfair
    assert "not all of them were judged on the holdout" in unfair


@pytest.mark.parametrize(
    "query", ["compare=", "compare=1", "compare=1,1", "compare=99,98", "compare=1,2,3,4,5,6"]
)
def test_what_cannot_be_compared_is_refused_with_what_to_do(state: Path, query: str) -> None:
    answer = got(state, f"/attempts?{query}")
    assert answer.status_code == 404
    assert "Tick two to 5 under Attempts." in text_of(answer)


def test_a_picture_is_drawn_once_until_there_is_something_new(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state")
    state.attempt(0.05)
    followed = Followed(state.path)
    look = Scene(followed, "state", "", ("state",), Rates(), {}, "", 0.0)
    followed.refresh()
    first = signature(look, followed.attempts)
    assert signature(look, followed.attempts) is first
    state.attempt(0.02)
    state.finish()
    followed.refresh()
    after = signature(look, followed.attempts)
    assert dict(after).keys() == {state.task}
    assert after[0][1].kinds == (("kept", "kept", 2),)
