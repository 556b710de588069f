"""A server that shows a log which is not the one that was signed, and the browser that checks it."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Browser

from browser import dashboard, look, open_browser
from cryoflux.receipts.checkpoint import Checkpoint, parse_note, sign_checkpoint
from cryoflux.receipts.merkle import leaf_hash, root_hash
from cryoflux.receipts.reading import read_entries
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.signing.envelope import pae
from cryoflux.signing.keys import key_id, load_key, load_public_key, public_pem
from rewriting import flip_signature, rewrite, without_triggers
from synthetic_state import make_state, open_state

NOW = "2026-11-23T02:00:00Z"
ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
Found = dict[int, tuple[str, str]]
"""number of a check → its status and what it says"""
NOTHING_GIVEN = 8
ROWS = """
(rows) => rows.map((row) =>
  [row.querySelector(".number").innerText, row.className, row.querySelector("div").innerText])
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_state(tmp_path_factory.mktemp("honest") / "state").path


@pytest.fixture
def state(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "state", symlinks=True))


def checked(browser: Browser, state: Path, *, known: str = "", before: str = "") -> tuple[str, Found]:
    """The verdict of the browser, and each of its checks.

    Args:
        browser: it.
        state: what the server shows.
        known: what whoever checks knows from elsewhere.
        before: script that makes another browser of it.
    """
    with dashboard(state) as running, look(browser) as seen:
        if before:
            seen.page.add_init_script(before)
        seen.page.goto(running.url + "/receipts")
        seen.page.fill("#known", known)
        seen.page.click("#check-form button")
        seen.page.wait_for_selector("#check-result h3")
        rows = seen.page.locator("#check-result .check").evaluate_all(ROWS)
        found = {int(number): (style.split()[-1], said) for number, style, said in rows}
        return seen.page.locator("#check-result h3").inner_text(), found


def failures(found: Found) -> set[int]:
    return {number for number, (status, _) in found.items() if status == "fail"}


def swap(state: Path) -> None:
    one, other = (read_entries(state)[index].envelope for index in (1, 3))
    rewrite(state, 1, lambda _: other)
    rewrite(state, 3, lambda _: one)


def cut(state: Path) -> None:
    with closing(without_triggers(state)) as connection:
        connection.execute("DELETE FROM entries WHERE idx > 5")


def cut_and_sign_again(state: Path) -> None:
    """Without the last attempt, under a head that a stranger signed; it names the right log."""
    cut(state)
    note = parse_note((state / "log/checkpoint").read_bytes())
    root = root_hash([bytes.fromhex(entry.leaf_hash) for entry in read_entries(state)])
    shorter = Checkpoint(note.checkpoint.origin, 6, root)
    (state / "log/checkpoint").write_bytes(sign_checkpoint(shorter, STRANGER))


def foreign_receipt_key(state: Path) -> None:
    (state / "keys/receipt.pub").write_bytes(public_pem(STRANGER.public_key()))


def foreign_log_key(state: Path) -> None:
    note = parse_note((state / "log/checkpoint").read_bytes())
    (state / "log/checkpoint").write_bytes(sign_checkpoint(note.checkpoint, STRANGER))
    (state / "keys/log.pub").write_bytes(public_pem(STRANGER.public_key()))


def no_head(state: Path) -> None:
    (state / "log/checkpoint").unlink()


def a_line_break(state: Path) -> None:
    rewrite(state, 2, lambda envelope: envelope[:40] + b"\n" + envelope[40:])


def flipped(state: Path) -> None:
    rewrite(state, 3, lambda envelope: envelope[:60] + bytes([envelope[60] ^ 1]) + envelope[61:])


@pytest.mark.parametrize(
    ("lie", "numbers", "says"),
    [
        (flipped, {2, 3, 5}, "entry 3 (receipt): the signature does not match the payload"),
        (
            lambda state: flip_signature(state, 3),
            {2, 3, 5},
            "entry 3 (receipt): the signature does not match",
        ),
        (swap, {2, 3, 6}, "entry 1 (receipt): says that it is number 3"),
        (cut, {3}, "the signed head covers 8 entries, and only 6 are here"),
        (foreign_receipt_key, {4, 5}, "entry 0 (intent): names key"),
        (foreign_log_key, {4}, "is another one than the first entry vouches for"),
        (no_head, {3, 4}, "is missing, or no signed note"),
        (cut_and_sign_again, {4}, "is signed by another key than the log key"),
        (a_line_break, {1, 2, 3, 6}, "has a line break in it"),
    ],
)
def test_a_browser_names_what_is_not_as_it_was_signed(
    browser: Browser, state: Path, lie: Callable[[Path], None], numbers: set[int], says: str
) -> None:
    lie(state)
    verdict, found = checked(browser, state)
    assert verdict.startswith("✗ It does not hold")
    assert failures(found) == numbers
    assert says in " ".join(said for _, said in found.values())


def test_an_honest_log_holds_and_whose_it_is_stays_open_until_somebody_says(
    browser: Browser, honest: Path
) -> None:
    verdict, found = checked(browser, honest)
    assert verdict == "Nothing wrong was found; 1 of 8 questions stays open (?)."
    assert [number for number, (status, _) in found.items() if status != "ok"] == [NOTHING_GIVEN]
    note = parse_note((honest / "log/checkpoint").read_bytes())
    for known in (key_id(load_public_key(honest / "keys/receipt.pub")), note.checkpoint.origin):
        assert checked(browser, honest, known=known)[0] == "✓ All 8 checks hold, for 8 entries."


def signed_again(state: Path, spell: Callable[[int, dict[str, Any]], str]) -> None:
    """The same log with other words, hashed and signed again with its owner's own keys.

    Args:
        state: of the log.
        spell: gives the text of an entry's payload, by its place and what it said.
    """
    envelopes = [entry.envelope for entry in read_entries(state)]
    leaves: list[bytes] = []
    for index, envelope in enumerate(envelopes):
        outer = json.loads(envelope)
        said = json.loads(base64.b64decode(outer["payload"]))
        predicate = said["predicate"]
        predicate["prev"] = leaves[-1].hex() if leaves else predicate["prev"]
        if "intent" in predicate:  # each attempt here ends before the next begins
            predicate["intent"] = predicate["prev"]
        payload = spell(index, said).encode()
        outer["payload"] = base64.b64encode(payload).decode()
        signature = load_key(state / "keys", "receipt", create=False).sign(pae(payload))
        outer["signatures"][0]["sig"] = base64.b64encode(signature).decode()
        content = json.dumps(outer, separators=(",", ":"), sort_keys=True).encode()
        leaves.append(leaf_hash(content))
        rewrite(state, index, lambda _, content=content: content)  # type: ignore[misc]
    origin = parse_note((state / "log/checkpoint").read_bytes()).checkpoint.origin
    head = Checkpoint(origin, len(leaves), root_hash(leaves))
    note = sign_checkpoint(head, load_key(state / "keys", "log", create=False))
    (state / "log/checkpoint").write_bytes(note)


def spelt(said: dict[str, Any]) -> str:
    """As an entry is spelt."""
    return json.dumps(said, separators=(",", ":"), sort_keys=True)


def under_other_names(index: int, said: dict[str, Any]) -> str:
    """In forms that nobody knows."""
    named = said["predicateType"].replace("/receipt/", "/receipts/").replace("/intent/", "/i/")
    return spelt({**said, "predicateType": named})


def edited(index: int, change: Callable[[dict[str, Any]], object]) -> Callable[[int, dict[str, Any]], str]:
    """One entry with another predicate."""

    def spell(place: int, said: dict[str, Any]) -> str:
        if place == index:
            change(said["predicate"])
        return spelt(said)

    return spell


def respelt(index: int, old: str, new: str) -> Callable[[int, dict[str, Any]], str]:
    """One entry in another spelling."""

    def spell(place: int, said: dict[str, Any]) -> str:
        text = spelt(said)
        assert place != index or len(re.findall(old, text)) >= 1
        return re.sub(old, new, text, count=1) if place == index else text

    return spell


BEYOND = 2**53 + 1
"""a whole number that a browser's own reading of JSON gives as 2**53"""


@pytest.mark.parametrize(
    ("spell", "number", "says"),
    [
        (edited(1, lambda said: said["evaluation"].pop("deltaSum")), 7, "Σδ is missing, or no integer"),
        (edited(1, lambda said: said["evaluation"].pop("deltaSquaredSum")), 7, "Σδ² is missing"),
        (edited(1, lambda said: said["evaluation"].update(deltaSquaredSum="")), 7, "Σδ² is missing"),
        (edited(1, lambda said: said["evaluation"].update(deltaSquaredSum="0x99")), 7, "Σδ² is missing"),
        (edited(1, lambda said: said["evaluation"].update(deltaSum=None)), 7, "Σδ is missing, or no integer"),
        (edited(1, lambda said: said["evaluation"].update(read=0)), 7, "sums are no integers"),
        (edited(1, lambda said: said.pop("evaluation")), 7, "was kept, and says no losses"),
        (edited(1, lambda said: said.pop("energy")), 7, "says no joules"),
        (edited(1, lambda said: said["energy"].update(microjoules=BEYOND)), 1, "whose digits a browser"),
        (edited(1, lambda said: said["holdout"].update(count=BEYOND)), 1, "whose digits a browser"),
        (edited(1, lambda said: said["holdout"].update(count=2**53)), 1, "whose digits a browser"),
        (edited(1, lambda said: said["holdout"].update(count=0.5)), 1, "whose digits a browser"),
        (respelt(1, r'"read":(\d+)', r'"read":\1.0'), 1, "not in its one spelling"),
        (respelt(1, r'"read":(\d+)', r'"read":\1e0'), 1, "not in its one spelling"),
        (respelt(1, r'"read":(\d+)', r'"read":9,"read":\1'), 1, "not in its one spelling"),
        (respelt(1, r'"read":', r'"read": '), 1, "not in its one spelling"),
        (respelt(1, r'"read":\d+', r'"read":' + "[" * 9000 + "]" * 9000), 1, "entry 1"),
        (respelt(1, r"^.*$", "null"), 1, "entry 1: cannot be read"),
        (
            respelt(1, r'"predicate":\{.*\},"predicateType"', '"predicate":null,"predicateType"'),
            1,
            "says nothing",
        ),
    ],
)
def test_what_an_owner_leaves_out_or_spells_so_that_a_browser_misreads_it_does_not_hold(
    browser: Browser, state: Path, spell: Callable[[int, dict[str, Any]], str], number: int, says: str
) -> None:
    signed_again(state, spell)
    verdict, found = checked(browser, state)
    assert verdict.startswith("✗ It does not hold")
    assert found[number][0] == "fail"
    assert says in found[number][1]


def test_the_same_words_signed_again_hold(browser: Browser, state: Path) -> None:
    """The innocent twin."""
    signed_again(state, lambda _, said: spelt(said))
    verdict, found = checked(browser, state)
    assert verdict == "Nothing wrong was found; 1 of 8 questions stays open (?)."
    assert found[7][0] == "ok"


ENDLESS = """
const real = globalThis.fetch;
const never = (chunk) => new ReadableStream({ async pull(to) { CHUNK; } });
globalThis.fetch = async (url, ...rest) => {
  if (!String(url).includes("/receipts/entries")) return real(url, ...rest);
  ANSWER;
};
"""
FIRST_AGAIN = "const answer = await real(String(url).replace(/from=.*/, 'from=0'), ...rest); return answer"
HANGS = """
  const signal = rest[0].signal;
  const start = (to) => signal.addEventListener("abort", () => to.error(signal.reason));
  setTimeout(() => soon.abort(new DOMException("late", "TimeoutError")), 100);
  return new Response(new ReadableStream({ start }), { headers: { "X-Entries": "1" } })"""
TIMED = """
const soon = new AbortController();
AbortSignal.timeout = () => AbortSignal.any([soon.signal]);
"""


@pytest.mark.parametrize(
    ("answer", "chunk", "before", "says"),
    [
        (FIRST_AGAIN, "", "", "goes on with entries after 10008, beyond the 8 that it has by its own word"),
        (
            "return new Response(never(), { headers: { 'X-Entries': '1' } })",
            "to.enqueue(new Uint8Array(65536))",
            "",
            "more than 8 MB, and was not read on",
        ),
        (
            HANGS,
            "",
            TIMED,
            "did not end its answer within 120 s",
        ),
        ("return new Response('x', { headers: { 'X-Entries': '0.5' } })", "", "", "does not say how many"),
        ("return new Response('x', { headers: { 'X-Entries': '1e400' } })", "", "", "does not say how many"),
        ("return new Response('x')", "", "", "does not say how many"),
        ("return new Response('x', { headers: { 'X-Entries': '9007199254740991' } })", "", "", "cut off"),
    ],
)
def test_a_server_that_never_ends_is_left_with_a_sentence(
    browser: Browser, honest: Path, answer: str, chunk: str, before: str, says: str
) -> None:
    script = before + ENDLESS.replace("ANSWER", answer).replace("CHUNK", chunk)
    verdict, found = checked(browser, honest, before=script)
    assert verdict.startswith("✗ It does not hold")
    assert says in found[1][1]


def test_a_log_of_forms_that_nobody_knows_is_not_said_to_hold(browser: Browser, state: Path) -> None:
    signed_again(state, under_other_names)
    name = parse_note((state / "log/checkpoint").read_bytes()).checkpoint.origin
    verdict, found = checked(browser, state, known=name)
    assert not failures(found)
    assert verdict.startswith("Nothing wrong was found; 1 of 8 questions stays open")
    assert found[1][0] == "unknown"
    assert "is of a form that is not known here" in found[1][1]


def test_a_head_that_is_known_from_before_has_to_be_continued(browser: Browser, tmp_path: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    earlier = (made.path / "log/checkpoint").read_text()
    made.attempt(0.02)
    made.finish()
    verdict, found = checked(browser, made.path, known=earlier)
    assert verdict.startswith("✓ All 8")
    assert "this log continues the head of 2 entries" in found[NOTHING_GIVEN][1]
    forged = earlier.splitlines()
    forged[2] = "A" * 43 + "="
    for known in ("\n".join(forged) + "\n", "0" * 64, earlier.replace("\n2\n", "\n99\n")):
        verdict, found = checked(browser, made.path, known=known)
        assert verdict.startswith("✗")
        assert failures(found) == {NOTHING_GIVEN}


def test_a_log_whose_keys_changed_holds_and_one_under_a_retired_key_does_not(
    browser: Browser, tmp_path: Path
) -> None:
    made = open_state(tmp_path / "state")
    made.policy = "uniform/v1"
    made.attempt(0.05)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    rotate_key(made.log, made.path, ROOT, "a new machine", NOW)
    made.entries[:] = read_entries(made.path)
    for entry in made.entries[2:]:
        made.memory.take(entry)
    made.attempt(0.02)
    first = key_id(load_public_key(made.path / "keys/receipt.pub"))
    revoke_key(made.log, ROOT, first, "lost", NOW)
    made.finish()
    verdict, found = checked(browser, made.path, known=first)
    assert verdict.startswith("✓ All 8 checks hold")
    assert "1 that followed by rotation" in found[5][1]
    rewrite(made.path, 3, lambda _: read_entries(made.path)[2].envelope)  # the rotation is left out
    verdict, found = checked(browser, made.path)
    assert {2, 3, 5} <= failures(found)


NO_ED25519 = """
const real = crypto.subtle.importKey.bind(crypto.subtle);
crypto.subtle.importKey = (form, raw, name, ...rest) => String(name.name ?? name) === "Ed25519"
  ? Promise.reject(new DOMException("no", "NotSupportedError")) : real(form, raw, name, ...rest);
"""
BELIEVES_ALL = "crypto.subtle.verify = async () => true;"


@pytest.mark.parametrize("lacking", [NO_ED25519, BELIEVES_ALL])
def test_a_browser_that_cannot_check_signatures_passes_none(
    browser: Browser, honest: Path, lacking: str
) -> None:
    verdict, found = checked(browser, honest, before=lacking)
    assert verdict.startswith("Nothing wrong was found; 3 of 8 questions stay open")
    assert {found[number][0] for number in (4, 5)} == {"unknown"}
    assert found[3][0] == "ok"


def test_where_a_browser_may_not_check_it_says_what_to_type(browser: Browser, honest: Path) -> None:
    with dashboard(honest) as running, look(browser) as seen:
        seen.page.add_init_script("Object.defineProperty(crypto, 'subtle', { value: undefined });")
        seen.page.goto(running.url + "/receipts")
        assert f"cryoflux verify {honest}" in seen.page.locator("#check-result").inner_text()
        assert seen.page.locator("#check-form button").is_disabled()
