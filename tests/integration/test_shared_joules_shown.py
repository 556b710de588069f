"""Joules of several meters, wherever receipts are shown or added up: nothing of a part is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from browser import dashboard, look, open_browser
from cryoflux.attempt.metered_parts import lost_part
from cryoflux.cli.main import app
from cryoflux.energy.interface import SESSION
from cryoflux.quantities import MICRO, SO_FAR, Energy, Tier
from cryoflux.queries.followed import Followed
from cryoflux.queries.joules import JoulesFold
from cryoflux.queries.tracked import tracked_attempts
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.reading import read_entries
from cryoflux.report.entry_words import entry_sentence
from cryoflux.report.trust_words import trust_in
from cryoflux.signing.keys import key_id
from shared_joules import OWN_UJ, TRAINED_UJ, Fleet
from synthetic_parts import RESERVED_UJ, digest_of

RUN = f"{SESSION}1_0"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """One attempt that a worker trained, one whose worker was lost, and the session of both."""
    found = Fleet.of(tmp_path_factory.mktemp("fleet"))
    intent = found.made.announce()
    found.conclude(intent, found.parts(intent))
    intent = found.made.announce()
    lost = lost_part("w2", RESERVED_UJ // 2, boot="", baseline=digest_of("baseline"))
    found.lose(intent, [found.parts(intent)[0], lost])
    found.session([found.part("", 9 * MICRO, RUN), found.part("w1", 4 * MICRO, RUN)], RUN)
    found.made.finish()
    return found


@pytest.fixture(scope="module")
def state(fleet: Fleet) -> Path:
    return fleet.made.path


def printed(*arguments: object) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_receipt_is_shown_with_each_part_its_key_and_its_machine(fleet: Fleet, state: Path) -> None:
    (own, trained) = (key_id(key)[:12] for key in fleet.keys("w1"))
    said = " ".join(printed("receipts", "show", "#1", "--state", state).split())
    assert f"coordinator 20.0 J [18.0, 22.0], modelled, by key {own}…, boot boot…" in said
    assert f"w1 80.0 J [72.0, 88.0], modelled, by key {trained}…, boot boot…" in said
    document = json.loads(printed("receipts", "show", "#1", "--state", state, "--json"))
    assert [(part["worker"], part["joules"]) for part in document["parts"]] == [(None, 20.0), ("w1", 80.0)]
    assert document["joules_spent"] == 100.0
    session = json.loads(printed("receipts", "show", "4", "--state", state, "--json"))
    assert [(part["worker"], part["joules"]) for part in session["parts"]] == [(None, 9.0), ("w1", 4.0)]
    assert "worker-lost" in printed("receipts", "show", "#2", "--state", state)


def test_an_export_says_what_the_meters_of_workers_charged(state: Path, tmp_path: Path) -> None:
    target = tmp_path / "attempts.jsonl"
    printed("export", "--state", state, "--format", "jsonl", "-o", target)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [(row["joules"], row["workers"], row["worker_joules"]) for row in rows] == [
        (100.0, "w1", 80.0),
        (20.0, "w2", 0.0),
    ]


def test_the_joules_of_a_log_have_those_of_workers_and_all_of_their_keys(fleet: Fleet, state: Path) -> None:
    followed = Followed(state)
    followed.refresh()
    found = followed.joules()
    assert found.told is not None
    assert found.workers is not None
    assert found.told.uj == 2 * OWN_UJ + TRAINED_UJ + 13 * MICRO
    assert found.workers.uj == TRAINED_UJ + 4 * MICRO
    assert (found.charges, found.meters, found.unsigned) == (6, 2, 1)
    names = {row.name: row.charges for row in found.sources}
    assert names == {"cpu": 3, "w1/cpu": 2}
    assert ("worker-lost", 1) in found.flags
    page = " ".join(_energy_page(state).split())
    assert '84.0 <span class="unit">J</span> was by the meters of workers' in page
    assert "1 of 6 charges have no statement of a meter" in page


def _energy_page(state: Path) -> str:
    with dashboard(state) as running:
        return running.get("/energy").text


def test_what_others_drew_is_told_of_the_machine_of_the_coordinator_alone(tmp_path: Path) -> None:
    """A worker on the same machine is none of the others there; one elsewhere drew nothing there."""
    others = []
    for boot in ("boot", "elsewhere"):
        fleet = Fleet.of(tmp_path / boot)
        intent = fleet.made.announce()
        own, trained = fleet.parts(intent)
        fleet.conclude(intent, [own, trained.but(boot=boot)])
        fleet.session([fleet.part("", 9 * MICRO, RUN, machine_uj=500 * MICRO)], RUN)
        fold = JoulesFold()
        fold.take(fleet.made.entries)
        others.append(fold.joules(fleet.made.path).others)
    here, elsewhere = others
    assert here is not None
    assert elsewhere is not None
    assert here.uj == 500 * MICRO - 9 * MICRO - OWN_UJ - TRAINED_UJ
    assert elsewhere.uj == 500 * MICRO - 9 * MICRO - OWN_UJ


def test_a_tracker_gets_what_the_sources_of_every_meter_counted(state: Path) -> None:
    judged, lost = tracked_attempts(state)
    assert [(one.source, one.joules) for one in judged.gross] == [("cpu", 44.0), ("w1/cpu", 176.0)]
    assert lost.gross == ()


def test_words_say_whose_meters_they_were(state: Path) -> None:
    entries = read_entries(state)
    assert "of which 80.0 J by 1 worker with a meter of its own" in entry_sentence(entries[1], 1)
    judged, lost = (entry.receipt for entry in (entries[1], entries[3]))
    assert judged is not None
    assert lost is not None
    assert "each meter signed its part" in trust_in(judged, losses_here=True).attested[0]
    assert "of a worker that was lost, no meter told" in trust_in(lost, losses_here=True).attested[0]
    with dashboard(state) as running:
        assert "coordinator 20.0 J" in running.get("/attempts/1").text


def test_what_was_not_told_to_its_end_is_claimed_as_modelled(tmp_path: Path) -> None:
    fleet = Fleet.of(tmp_path)
    intent = fleet.made.announce()
    counted = {"tier": Tier.COUNTER, "curve": ""}
    request, leaf = intent.intent.task.id, intent.leaf_hash
    own = fleet.part("", OWN_UJ, request, leaf, **counted)
    word = fleet.part("w1", TRAINED_UJ, request, leaf, **counted, flags=[SO_FAR])
    said = EnergyFigure.of_parts([own, word])
    assert (said.tier, said.known_tier) == (Tier.COUNTER, Tier.MODELLED)
    assert said.energy == Energy.total([own.energy, word.energy])


# ---- In a browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def checked(browser: Browser, state: Path) -> str:
    with dashboard(state) as running, look(browser) as seen:
        seen.page.goto(running.url + "/receipts")
        seen.page.click("#check-form button")
        seen.page.wait_for_selector("#check-result h3")
        return seen.page.locator("#check-result").inner_text()


def test_the_check_in_a_browser_adds_parts_up(browser: Browser, tmp_path: Path) -> None:
    fleet = Fleet.of(tmp_path)
    intent = fleet.made.announce()
    fleet.conclude(intent, fleet.parts(intent))
    fleet.made.finish()
    assert "parts" not in checked(browser, fleet.made.path)


def test_and_finds_a_part_that_says_less(browser: Browser, tmp_path: Path) -> None:
    fleet = Fleet.of(tmp_path)
    intent = fleet.made.announce()
    own, trained = fleet.parts(intent)
    said = EnergyFigure.of_parts([own, trained])
    fleet.conclude(intent, [own, trained], said.but(parts=[own, trained.but(microjoules=TRAINED_UJ - 1)]))
    fleet.made.finish()
    assert "parts do not add up to what was charged and reserved" in checked(browser, fleet.made.path)
