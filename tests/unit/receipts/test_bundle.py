"""The script of a bundle, run where there is neither CryoFlux nor Python, against what it has to notice."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import RULES, Thresholds, decide
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.receipts.bundle import Extras, write_bundle
from cryoflux.receipts.merkle import leaf_hash, node_hash
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.receipts.statement import Outcome
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.keys import key_id, load_public_key, public_pem
from synthetic_parts import decision, figure
from synthetic_state import SyntheticState, make_state, open_state

OTHERS = ["base64", "cat", "cut", "head", "mktemp", "rm", "tail", "wc"]
TOOLS = ["sh", "openssl", "jq", "sha256sum", "xxd", *OTHERS]
missing = [tool for tool in TOOLS if shutil.which(tool) is None]
needs_tools = pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")
ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
NOW = "2026-11-23T02:00:00Z"
SCRIPT = (Path(__file__).parents[3] / "src/cryoflux/receipts/verify.sh").read_text("utf-8")


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but links to the tools that the script may use."""
    folder = tmp_path_factory.mktemp("bare")
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    if dash := shutil.which("dash"):
        (folder / "sh").unlink()
        (folder / "sh").symlink_to(dash)
    return folder


@pytest.fixture(scope="session")
def original(pristine: SyntheticState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "bundle"
    assert not write_bundle(pristine.path, folder, Extras(True, True, True)).missing
    return folder


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "bundle")


def run(bundle: Path, bare: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of the script, with an empty environment."""
    done = subprocess.run(
        [bare / "sh", bundle / "verify.sh", *arguments],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
        cwd=bundle.parent,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def flip(path: Path, at: int = 40) -> None:
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)


def swap(bundle: Path) -> None:
    three, five = bundle / "entries/000003.json", bundle / "entries/000005.json"
    content = three.read_bytes()
    three.write_bytes(five.read_bytes())
    five.write_bytes(content)


@needs_tools
def test_a_whole_bundle_verifies_with_stock_tools_only(original: Path, bare: Path) -> None:
    code, said = run(original, bare)
    assert code == 0
    assert said.startswith("VERIFIED 8 entries, 4 receipts")
    assert "Not checked here" in said
    first = key_id(load_public_key(original / "keys" / "receipt.pub"))
    assert run(original, bare, first)[0] == 0
    code, said = run(original, bare, "0" * 64)
    assert (code, said.splitlines()[0].split(":")[0]) == (1, "FAILED keys/receipt.pub")


@needs_tools
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda b: flip(b / "entries/000003.json", 200), "entries/000003.json"),
        (lambda b: flip(b / "entries/000003.json", -20), "entries/000003.json"),
        (lambda b: flip(b / "log/tile/0/000.p/8"), "log/tile/0/000.p/8"),
        (lambda b: flip(b / "log/tile/entries/000.p/8"), "log/tile/entries/000.p/8"),
        (lambda b: flip(b / "log/checkpoint", 32), "log/checkpoint"),
        (lambda b: flip(b / "log/checkpoint", -20), "log/checkpoint"),
        (lambda b: flip(b / "keys/log.pub", 60), "log/checkpoint"),
        (swap, "entries/000003.json"),
        (lambda b: (b / "entries/000004.json").unlink(), "log/checkpoint"),
        (lambda b: (b / "entries/000007.json").unlink(), "log/checkpoint"),
        (lambda b: shutil.copy(b / "entries/000007.json", b / "entries/000008.json"), "entries/000008.json"),
        (lambda b: flip(next(b.glob("artefacts/*/adapter_model.safetensors"))), "artefacts/"),
        (lambda b: flip(next(b.glob("artefacts/*/holdout.jsonl"))), "artefacts/"),
        (lambda b: flip(next(b.glob("models/*/model.safetensors")), -1), "models/"),
        (lambda b: (b / "log/checkpoint").unlink(), "log/checkpoint"),
    ],
)
def test_whatever_is_changed_is_named(
    bundle: Path, bare: Path, change: Callable[[Path], object], named: str
) -> None:
    change(bundle)
    done = subprocess.run(
        [bare / "sh", "verify.sh"],
        cwd=bundle,
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert any(line.startswith(f"FAILED {named}") for line in done.stdout.splitlines()), done.stdout
    assert "NOT VERIFIED" in done.stdout
    assert "VERIFIED 8" not in done.stdout


@needs_tools
def test_a_key_that_is_not_the_signers_fails(bundle: Path, bare: Path) -> None:
    other = Ed25519PrivateKey.generate().public_key()
    (bundle / "keys/receipt.pub").write_bytes(public_pem(other))
    (bundle / f"keys/{key_id(other)}.pem").write_bytes(public_pem(other))
    code, said = run(bundle, bare)
    assert code == 1
    assert said.count("is not signed by the valid key") == 8
    assert "FAILED log/checkpoint" in said


@needs_tools
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"energy": figure().model_copy(update={"lo_microjoules": 10**9})}, "energy interval"),
        ({"outcome": Outcome.REJECTED}, "outcome and decision disagree"),
        ({"sequence_gap": True}, "does not come right after its intent"),
    ],
)
def test_a_signed_lie_is_found_too(
    tmp_path: Path, bare: Path, changes: dict[str, object], complaint: str
) -> None:
    made = open_state(tmp_path / "state")
    if changes.pop("sequence_gap", False):
        intent = made.announce()
        made.announce()
        made.abort(intent)
    else:
        made.attempt(0.05, **changes)
    write_bundle(made.finish(), tmp_path / "bundle", Extras())
    code, said = run(tmp_path / "bundle", bare)
    assert code == 1
    assert complaint in said


@needs_tools
def test_a_decision_that_its_rule_does_not_give_is_found(tmp_path: Path, bare: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    intent = made.announce()
    lie = decision(accepted=True, rule=intent.statement.predicate.rule)
    made.conclude_attempt(intent, 0.0005, decision=lie, outcome=Outcome.ACCEPTED)
    write_bundle(made.finish(), tmp_path / "bundle", Extras())
    code, said = run(tmp_path / "bundle", bare)
    assert code == 1
    assert "decision: evidence/v2 gives false, not true" in said


@needs_tools
def test_an_older_log_and_an_empty_one_verify(tmp_path: Path, bare: Path) -> None:
    old = make_state(tmp_path / "old", old=True)
    write_bundle(old.path, tmp_path / "old bundle", Extras())
    assert run(tmp_path / "old bundle", bare)[0] == 0
    write_bundle(open_state(tmp_path / "empty").finish(), tmp_path / "nothing", Extras())
    assert run(tmp_path / "nothing", bare)[0] == 0


@needs_tools
def test_rotations_are_followed_and_an_old_key_is_refused(tmp_path: Path, bare: Path) -> None:
    made = open_state(tmp_path / "state")
    made.attempt(0.05)
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.attempt(0.02)
    revoke_key(made.log, ROOT, made.log.authority.reigns[-1].keyid, "", NOW)
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.attempt(0.0005)
    first, second, _ = (reign.keyid for reign in made.log.authority.reigns)
    write_bundle(made.finish(), tmp_path / "bundle", Extras())
    code, said = run(tmp_path / "bundle", bare)
    assert (code, said[:20]) == (0, "VERIFIED 10 entries,")
    shutil.copy(tmp_path / f"bundle/keys/{first}.pem", tmp_path / f"bundle/keys/{second}.pem")
    code, said = run(tmp_path / "bundle", bare)
    assert code == 1
    assert "FAILED entries/000004.json" in said


@needs_tools
def test_the_tree_of_the_script_is_the_tree_of_the_log_beyond_one_tile(tmp_path: Path, bare: Path) -> None:
    """The functions of the script alone: a whole bundle of two tiles takes stock tools half a minute."""
    functions = SCRIPT.split("checks='")[0].split("\n", 3)[3]
    entries = [b"%d" % i for i in range(259)]
    tree = TileTree(entries)
    publish_tiles(tmp_path / "log", tree.contents())
    (tmp_path / "hashes").write_text("".join(f"{leaf_hash(entry).hex()}\n" for entry in entries))
    loop = 't=$PWD/t; bad=0; while read -r h; do grow 0 "$h"; done < hashes; '
    loop += "tile 1 t/1 1; tile 0 t/0 259; echo $bad $s1 $s0"
    (tmp_path / "t").mkdir()
    (tmp_path / "tree.sh").write_text(f"{functions}\n{loop}\n")

    def said() -> list[str]:
        command = [bare / "sh", "tree.sh"]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(bare)}, capture_output=True, text=True, check=True
        )
        shutil.rmtree(tmp_path / "t")
        (tmp_path / "t").mkdir()
        return done.stdout.split()

    bad, whole, pair, last = said()
    assert bad == "0"
    assert node_hash(bytes.fromhex(whole), node_hash(bytes.fromhex(pair), bytes.fromhex(last))) == tree.root()
    flip(tmp_path / "log/tile/1/000.p/1")
    assert said()[:2] == ["FAILED", "log/tile/1/000.p/1:"]


def test_the_script_decides_as_the_rules_do(tmp_path: Path) -> None:
    """Its arithmetic in jq against the rules in Python, with numbers beyond 64 bits."""
    program = SCRIPT.split("checks='")[1].split("'\n")[0]
    draw = random.Random(5)
    documents = [document(draw) for _ in range(400)]
    done = subprocess.run(
        ["jq", "-c", "--argjson", "i", "1", "--arg", "prev", "0" * 64, "--arg", "head", "", f"[{program}]"],
        input="\n".join(json.dumps(found) for found, _ in documents),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 400
    for complaints, (found, accepted) in zip(said, documents, strict=True):
        wrong = [c for c in complaints if c.startswith("decision")]
        assert bool(wrong) != accepted, found
    assert 50 < sum(accepted for _, accepted in documents) < 350


def document(draw: random.Random) -> tuple[dict[str, object], bool]:
    """A receipt that says it was accepted, and whether its rule would have."""
    count = draw.choice([2, 64, 1000, 100_000])
    base = draw.randrange(10 ** draw.randrange(6, 15))
    delta = draw.randrange(-base - 1, 10**13) // draw.choice([1, 1, 10**4]) if base else 0
    delta = min(delta, base)
    squared = max(delta**2 // count + 1, 1) * draw.choice([1, 1, 2, 10, 10**3])
    correct = draw.randrange(count + 1)
    gained = draw.randrange(count - correct + 1)
    lost = draw.randrange(correct + 1)
    name = draw.choice(sorted(RULES))
    evidence = Evidence(count, base, base - delta, squared, correct, correct + gained - lost, gained, lost)
    thresholds = Thresholds(2_000_000, 10_000, draw.choice([1000, 3090]), draw.choice([1500, 20_000]))
    evaluation = {
        "baseLossNanoNatSum": base,
        "newLossNanoNatSum": base - delta,
        "deltaNanoNatSum": delta,
        "deltaSquaredNanoNatSum": str(squared),
        "baseCorrect": correct,
        "newCorrect": correct + gained - lost,
        "gained": gained,
        "lost": lost,
        "candidate": {},
    }
    rule = {
        "name": name,
        "minDeltaNanoNat": thresholds.min_delta,
        "minAccuracyGainPpm": thresholds.min_accuracy_gain_ppm,
        "zMilli": thresholds.z_milli,
        "neededMilli": thresholds.needed_milli,
    }
    predicate = {
        "sequence": 1,
        "outcome": "accepted",
        "holdout": {"count": count},
        "evaluation": evaluation,
        "decision": {"rule": rule, "accepted": True},
        "energy": {},
    }
    found = {"predicateType": "https://cryoflux.dev/receipt/v1", "predicate": predicate}
    return found, decide(name, evidence, thresholds).accepted


def test_a_bundle_is_only_written_into_an_empty_folder_and_of_what_was_signed(
    state: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_bundle(state, tmp_path / "full", Extras())
    shutil.rmtree(state / "capsules")
    assert write_bundle(state, tmp_path / "bundle", Extras(adapters=True)).missing
    (state / "receipts.db").write_bytes(b"no database at all")
    with pytest.raises(StateTamperedError):
        write_bundle(state, tmp_path / "another", Extras())


def test_the_script_is_short_and_needs_nothing_else() -> None:
    assert len(SCRIPT.splitlines()) <= 80
    assert SCRIPT.startswith("#!/bin/sh\n")
