"""What a notebook shows of measurements, attempts, logs, entries and verdicts: escaped, small, no colours."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import cryoflux
from cryoflux.energy.measured import Measured
from cryoflux.html_table import html_table
from cryoflux.log_view import open_log
from cryoflux.quantities import Energy, Tier
from judged_losses import base_losses, better_by
from synthetic_state import make_state

EVIL = "</td><script>alert(1)</script>\"'&\u202e\x1b"


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def log(tmp_path):
    make_state(tmp_path / "state")
    return open_log(tmp_path / "state")


def measured():
    energy = Energy(12_300_000, 5_000_000, 30_000_000, Tier.MODELLED, (EVIL,))
    return Measured(energy, energy, energy, (), 1.0, 1.0, "0" * 64, "frozen", "process tree")


def shown(value):
    text = value._repr_html_()
    found = Cells(text)
    assert found.open == []
    assert {tag for tag, _ in found.tags} <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    for _, attributes in found.tags:
        assert set(attributes) <= {"style", "scope"}
        assert not re.search("color|background|url", attributes.get("style", ""))
    assert "\u202e" not in text
    assert "\x1b" not in text
    return found.texts


def test_a_measurement_says_its_range_and_that_it_is_modelled():
    texts = shown(measured())
    assert "12.3 J [5.0, 30.0] (modelled, plausible range)" in texts


def test_an_attempt_says_its_joules_and_delta_with_both_ends(log):
    texts = shown(log[0])
    assert "kept" in texts
    assert any(re.fullmatch(r"[+-][0-9.]+ \[[+-][0-9.]+, [+-][0-9.]+\] nats", text) for text in texts)
    assert any(text.endswith("(modelled, plausible range)") for text in texts)


def test_what_others_chose_the_name_of_is_escaped(log):
    shown(replace(log[0], arm=EVIL, reason=EVIL, task_id=EVIL, unit=EVIL))


def test_an_attempt_without_a_verdict_says_that_nothing_was_measured(log):
    aborted = next(one for one in log if one.outcome == "aborted")
    assert "not measured" in shown(aborted)


def test_a_log_shows_its_newest_attempts_and_says_so(log):
    assert f"{log.state}: {len(log)} attempts; not verified" in shown(log)
    log._attempts = [log[0]] * 300
    texts = shown(log)
    assert texts[0].endswith("300 attempts, the newest 25 of them; not verified")
    assert len(log._repr_html_()) < 30_000


@pytest.mark.parametrize("place", [0, 1])
def test_an_entry_shows_what_was_signed(log, place):
    entry = list(log.entries())[place]
    texts = shown(entry)
    assert entry.leaf_hash in texts
    assert any("in-toto" in text for text in texts)


def test_a_long_text_is_cut():
    assert len(html_table("x", [("name", "y" * 10_000)])) < 1000


def test_a_verdict_on_what_others_made_says_what_it_rests_on(tmp_path):
    base = base_losses()
    judged = cryoflux.judge_losses(base, better_by(base, 0.5, 1), state=tmp_path / EVIL.replace("/", ""))
    texts = " ".join(shown(judged))
    assert texts.startswith(f"kept: {judged.why}")
    assert all(said in texts for _, said in judged.lines())
    assert "alert(1)" in texts
    assert judged.receipt[:12] in texts
