"""The script of a bundle, run where there is neither CryoFlux nor Python, against what it has to notice."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from archives import unpack
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.rules import RULES, Thresholds, Verdict, decide
from cryoflux.decision.sequential import looks
from cryoflux.digests import file_digest, sha256_hex, write_checksums
from cryoflux.errors import StateTamperedError, UsageError
from cryoflux.receipts.bundle import Extras, write_bundle
from cryoflux.receipts.merkle import leaf_hash, node_hash
from cryoflux.receipts.rotation import enrol_root, revoke_key, rotate_key
from cryoflux.receipts.schema import receipt_schema, schema_bytes
from cryoflux.receipts.statement import Bar, Base, Cause, Data, Decision, Outcome, Sha256Digest, Subject
from cryoflux.receipts.tiles import TileTree, publish_tiles
from cryoflux.signing.keys import key_id, load_public_key, public_pem
from plain_log import RULE, StoredLog, digest_of, evaluation, figure, go_on_from, model, plain_log
from shell_bundles import SCRIPT as SCRIPT_FILE
from shell_bundles import bare_tools, bundle_of, needs_tools, run_script, script_around_entries

ROOT = Ed25519PrivateKey.from_private_bytes(b"r" * 32)
NOW = "2026-11-23T02:00:00Z"
SCRIPT = SCRIPT_FILE.read_text("utf-8")
README = (Path(__file__).parents[3] / "src/cryoflux/receipts/bundle.txt").read_text("utf-8")
OLD = Path(__file__).parents[2] / "vectors" / "state-v1.tar.xz"


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but links to the tools that the script may use."""
    return bare_tools(tmp_path_factory.mktemp("bare"))


class Made(StoredLog):
    """A state with just what a bundle is made of."""

    holdout = ""
    """the digest of the holdout, where one was written down"""

    def data(self, task: str) -> Data:
        found = super().data(task)
        own = self.holdout and task == "lora_delta"
        return found.but(holdout=found.holdout.but(sha256=self.holdout)) if own else found

    def version(self, name: str) -> Base:
        """A model folder of two files."""
        folder = self.path / "models" / digest_of(name)
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode() * 4)
        (folder / "config.json").write_text("{}")
        return Base(digest=digest_of(name), files=write_checksums(folder))

    def adapter(self, name: str) -> list[Subject]:
        folder = self.path / "capsules" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(name.encode())
        (folder / "adapter_config.json").write_text("{}")
        return [
            Subject(name=path.name, digest=Sha256Digest(sha256=file_digest(path)))
            for path in sorted(folder.iterdir(), reverse=True)
        ]

    def losses(self, content: bytes) -> str:
        (self.path / "evidence").mkdir(exist_ok=True)
        digest = hashlib.sha256(content).hexdigest()
        (self.path / "evidence" / f"{digest}.bin").write_bytes(content)
        return digest

    def attempt(self) -> None:
        """One that is kept, with everything behind it."""
        self.heads["lora_delta"] = self.version("first")
        data = self.data("lora_delta")
        folder = self.path / "data" / data.digest
        folder.mkdir(parents=True)
        (folder / "holdout.jsonl").write_text("an example\n")
        holdout = data.holdout.but(sha256=file_digest(folder / "holdout.jsonl"))
        self.holdout = holdout.sha256
        intent = self.announce(data=data.but(holdout=holdout))
        second = self.version("second")
        said = evaluation(second, per_example=self.losses(b"losses"))
        self.conclude(intent, evaluation=said, result=second, subject=self.adapter("adapter"))


def make(path: Path, story: Callable[[Made], object], extras: Extras | None = None) -> Path:
    """The bundle of a log that was made as a story says."""
    made = Made(path / "state")
    story(made)
    assert not write_bundle(made.close(), path / "bundle", extras or Extras()).missing
    return path / "bundle"


def every_kind(made: Made) -> None:
    made.attempt()
    made.conclude(made.announce(), kept=False)
    made.abort(made.announce())
    other = made.announce("index_refresh", "rebuild")
    made.conclude(other, evaluation=evaluation(model(f"made by {other.index}"), hits=None))
    back = made.entries[0].intent
    assert back is not None
    made.move("lora_delta", back.base, made.entries[0])


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("original"), every_kind)


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two entries, with all artefacts."""
    return make(tmp_path_factory.mktemp("complete"), Made.attempt, Extras(True, True, True))


@pytest.fixture(scope="session")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("nothing"), lambda _: None)


def two_attempts(made: Made) -> None:
    made.conclude(made.announce())
    made.conclude(made.announce(), kept=False)


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("short"), two_attempts)


@pytest.fixture
def bundle(short: Path, tmp_path: Path) -> Path:
    """Four entries, and no artefacts."""
    return shutil.copytree(short, tmp_path / "bundle")


def flip(path: Path, at: int = 40, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= bit
    path.write_bytes(content)


def swap(bundle: Path) -> None:
    one, three = bundle / "entries/000001.json", bundle / "entries/000003.json"
    content = one.read_bytes()
    one.write_bytes(three.read_bytes())
    three.write_bytes(content)


@needs_tools
def test_a_whole_bundle_verifies_with_stock_tools_only(original: Path, complete: Path, bare: Path) -> None:
    code, said = run_script(original, bare)
    assert code == 0, said
    assert said.startswith("VERIFIED 9 entries, 4 receipts")
    assert "Not checked here" in said
    heads = (original / "heads.txt").read_text("utf-8").splitlines()
    assert [line.split()[0] for line in heads] == ["index_refresh", "lora_delta"]
    assert all(f"Head of {line.rsplit(' ', 1)[0].replace(' ', ': ')}\n" in said for line in heads)
    first = key_id(load_public_key(original / "keys" / "receipt.pub"))
    assert run_script(complete, bare, key_id(load_public_key(complete / "keys" / "receipt.pub")))[0] == 0
    code, said = run_script(complete, bare, first)
    assert (code, said.splitlines()[0].split(":")[0]) == (1, "FAILED keys/receipt.pub")
    assert said.splitlines()[-1] == "NOT VERIFIED: 1 check failed"


def fork(made: Made) -> None:
    """It goes on from two tasks, and one of them goes back to where it began here."""
    key = made.log.authority.receipt_key
    assert key is not None
    first = go_on_from(plain_log(), made, key)
    before = made.heads["lora_delta"]
    intent = made.announce()
    assert intent.intent is not None
    made.conclude(intent, evaluation=made.judged(intent.intent, 3_200_000_000))
    made.move("lora_delta", before, first)


@needs_tools
def test_a_fork_verifies_with_stock_tools_and_one_in_the_middle_does_not(tmp_path: Path, bare: Path) -> None:
    bundle = make(tmp_path / "fork", fork)
    code, said = run_script(bundle, bare)
    assert code == 0, said
    assert said.startswith("VERIFIED 4 entries, 1 receipt:")
    assert len((bundle / "heads.txt").read_text("utf-8").splitlines()) == 2

    def late(made: Made) -> None:
        fork(made)
        key = made.log.authority.receipt_key
        assert key is not None
        go_on_from(plain_log(), made, key)

    code, said = run_script(make(tmp_path / "late", late), bare)
    assert code == 1
    assert "entries/000004.json: goes on from another log" in said


@needs_tools
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_gives_the_same_verdict(complete: Path, tmp_path: Path, bare: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"not installed: {shell}")
    if shell == (bare / "sh").readlink().name:
        pytest.skip("all others are run by this shell")
    assert run_script(complete, bare, shell=shell) == run_script(complete, bare)
    changed = shutil.copytree(complete, tmp_path / "bundle")
    flip(changed / "entries/000001.json", 300)
    code, said = run_script(changed, bare, shell=shell)
    assert (code, said) == run_script(changed, bare)
    assert code == 1


@needs_tools
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda b: flip(b / "entries/000003.json", 200), "entries/000003.json"),
        (lambda b: flip(b / "log/tile/0/000.p/4"), "log/tile/0/000.p/4"),
        (lambda b: flip(b / "log/checkpoint", 32), "log/checkpoint"),
        (swap, "entries/000001.json"),
        (lambda b: (b / "entries/000002.json").unlink(), "entries"),
        (lambda b: (b / "entries/000003.json").unlink(), "log/checkpoint"),
        (lambda b: shutil.copy(b / "entries/000003.json", b / "entries/000004.json"), "entries/000004.json"),
        (lambda b: (b / "entries/note").write_text("hello"), "entries"),
        (lambda b: (b / "log/checkpoint").unlink(), "log/checkpoint"),
        (lambda b: (b / "heads.txt").unlink(), "heads.txt"),
        (lambda b: (b / f"keys/{'0' * 64}.pem").write_bytes((b / "keys/log.pub").read_bytes()), "keys/0000"),
        (lambda b: (b / "log/checkpoint").write_text("x"), "log/checkpoint"),
    ],
)
def test_whatever_is_changed_is_named(
    bundle: Path, bare: Path, change: Callable[[Path], object], named: str
) -> None:
    change(bundle)
    code, said = run_script(bundle, bare)
    assert code == 1
    assert any(line.startswith(f"FAILED {named}") for line in said.splitlines()), said
    assert "NOT VERIFIED" in said
    assert "VERIFIED 4" not in said


@needs_tools
def test_a_key_that_nobody_names_and_a_file_that_no_model_has_are_named(
    complete: Path, tmp_path: Path, bare: Path
) -> None:
    bundle = shutil.copytree(complete, tmp_path / "bundle")
    stranger = Ed25519PrivateKey.generate().public_key()
    (bundle / f"keys/{key_id(stranger)}.pem").write_bytes(public_pem(stranger))
    extra = next(bundle.glob("models/*")) / "pytorch_model.bin"
    extra.write_bytes(b"code")
    code, said = run_script(bundle, bare)
    assert (code, said.count("FAILED")) == (1, 2)
    assert "no entry names this key" in said
    assert "has other files than its SHA256SUMS" in said


UNIMPORTANT = {"verify.sh", "README.txt"}


def ends_and_between(content: bytes, dice: random.Random, between: int = 1) -> list[int]:
    """The first byte, the last one, and some between them."""
    last = len(content) - 1
    return sorted({0, last, *(dice.randrange(len(content)) for _ in range(between))})


def survivors(
    bundle: Path, bare: Path, *changes: Sequence[tuple[Path, int]], script: Path | None = None
) -> list[str]:
    """The changes of which one is not named, each by flipping a bit at one or several places at once.

    What is flipped together is named by lines of its own each: no two are of one model.
    """
    dice = random.Random(1)
    passed = []
    for places in changes:
        before = {path: path.read_bytes() for path, _ in places}
        for path, at in places:
            flip(path, at, 1 << dice.randrange(8))
        code, said = run_script(bundle, bare, bundle, script=script)
        for path, at in places:
            name = str(path.relative_to(bundle))
            line = "FAILED" if len(places) == 1 else f"FAILED {named_as(name)}[:/]"
            if code != 1 or not re.search(f"^{line}", said, re.MULTILINE):
                passed.append(f"{name} at {at}")
            path.write_bytes(before[path])
    return passed


def named_as(file: str) -> str:
    """By what a file is named that is not as it was: one of a model by its folder."""
    return re.escape(str(Path(file).parent) if file.startswith("models/") else file)


def together(*some: Sequence[tuple[Path, int]]) -> list[list[tuple[Path, int]]]:
    """One place of each at a time, until all had their turn; shorter ones begin anew."""
    return [[one[number % len(one)] for one in some] for number in range(max(map(len, some)))]


@needs_tools
def test_no_byte_of_keys_and_checkpoint_can_be_another(nothing: Path, tmp_path: Path, bare: Path) -> None:
    """Every ninth, shown to the parts of the script that read these; the next test has the whole."""
    bundle = shutil.copytree(nothing, tmp_path / "bundle")
    parts = script_around_entries(tmp_path / "verify.sh", 0, hashlib.sha256().digest())
    for script in (None, parts):
        assert run_script(bundle, bare, bundle, script=script)[0] == 0
    changes = []
    for path in (*sorted(bundle.glob("keys/*")), bundle / "log/checkpoint"):
        size = path.stat().st_size
        changes += [[(path, at)] for at in sorted({*range(0, size, 9), size - 1})]
    assert len(changes) > 60
    assert survivors(bundle, bare, *changes, script=parts) == []


@needs_tools
def test_no_byte_of_any_file_can_be_another(complete: Path, tmp_path: Path, bare: Path) -> None:
    """What lies under others, as entries do under the tree and keys under entries, is changed alone."""
    bundle, dice = shutil.copytree(complete, tmp_path / "bundle"), random.Random(3)
    alone, apart = list[list[tuple[Path, int]]](), dict[str, list[tuple[Path, int]]]()
    for path in sorted(path for path in bundle.glob("**/*") if path.is_file()):
        name = str(path.relative_to(bundle))
        if name in UNIMPORTANT:
            continue
        places = [(path, at) for at in ends_and_between(path.read_bytes(), dice)]
        if name.startswith(("entries/", "keys/", "receipt.schema.json")):
            alone += [[place] for place in places]
        else:
            apart.setdefault(named_as(name), []).extend(places)
    assert len(apart) == 4 + 2 + 2 + 2, "artefacts, models, tiles, heads and checkpoint"
    assert survivors(bundle, bare, *together(*apart.values()), *alone) == []


@needs_tools
def test_what_does_not_matter_is_listed_and_does_not(complete: Path, tmp_path: Path, bare: Path) -> None:
    bundle = shutil.copytree(complete, tmp_path / "bundle")
    listed = README.split("These do not matter:\n")[1].split("\n\n")[0]
    for name in (*sorted(UNIMPORTANT), "log/checkpoint"):
        assert f"  {name} " in listed
    flip(bundle / "README.txt")
    checkpoint = bundle / "log/checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes() + "\N{EM DASH} witness.example AAAAAAAAAAA=\n".encode())
    artefact = next(bundle.glob("artefacts/*/holdout.jsonl"))
    artefact.rename(artefact.with_name("other name"))
    assert run_script(bundle, bare)[0] == 0


@needs_tools
def test_a_key_that_is_not_the_signers_fails(complete: Path, tmp_path: Path, bare: Path) -> None:
    bundle = shutil.copytree(complete, tmp_path / "bundle")
    other = Ed25519PrivateKey.generate().public_key()
    (bundle / "keys/receipt.pub").write_bytes(public_pem(other))
    (bundle / f"keys/{key_id(other)}.pem").write_bytes(public_pem(other))
    code, said = run_script(bundle, bare)
    assert code == 1
    assert said.count("is not signed by the valid key") == 2
    assert "FAILED log/checkpoint" in said


def kept_without_need(made: Made) -> None:
    intent = made.announce()
    weak = evaluation(model(f"made by {intent.index}"), 64_000)
    made.conclude(intent, evaluation=weak)


def out_of_order(made: Made) -> None:
    made.announce()
    made.abort(made.announce())


def another_rule(made: Made) -> None:
    intent = made.announce()
    rule = RULE.but(name="whitepaper/v1")
    made.conclude(
        intent, decision=Decision(rule=rule, bar=Bar(looks=0, kept=0, needed_milli=0), accepted=True)
    )


def another_hold(made: Made) -> None:
    intent = made.announce()
    made.conclude(intent, holdout=made.data("lora_delta").holdout.but(sha256=digest_of("mine")))


def moved_to_what_was_never_kept(made: Made) -> None:
    intent = made.announce()
    receipt = made.conclude(intent, kept=False)
    made.move("lora_delta", model(f"made by {intent.index}"), receipt)


def moved_by_another(made: Made) -> None:
    intent = made.announce()
    made.conclude(intent)
    made.move("lora_delta", made.entries[0].intent.base, made.entries[1])


def another_base(made: Made) -> None:
    made.conclude(made.announce())
    made.announce(base=model("another"))


def another_name(made: Made) -> None:
    made.announce()
    said = made.entries[0].intent
    assert said is not None
    made.conclude(made.entries[0])
    made.announce(task=said.task)


def another_metric(made: Made) -> None:
    intent = made.announce()
    judged = evaluation(model(f"made by {intent.index}"))
    made.conclude(intent, evaluation=judged.but(metric=judged.metric.but(unit="bits")))


def twice(made: Made) -> None:
    intent = made.announce()
    made.abort(intent)
    made.abort(intent)


@needs_tools
@pytest.mark.parametrize(
    ("story", "complaint"),
    [
        (lambda m: m.conclude(m.announce(), energy=figure(lo_microjoules=10**9)), "energy interval"),
        (lambda m: m.conclude(m.announce(), energy=figure(lo_microjoules=-1)), "gave energy back"),
        (lambda m: m.conclude(m.announce(), outcome=Outcome.REJECTED), "outcome and decision disagree"),
        (lambda m: m.conclude(m.announce(), result=model("other")), "result is another model"),
        (lambda m: m.abort(m.announce(), Cause.NONE), "a cause is there"),
        (lambda m: m.conclude(m.announce(), cause=Cause.FAILED), "a cause is there"),
        (
            lambda m: m.conclude(m.announce(), energy=figure(reserved_microjoules=1)),
            "reserved something else",
        ),
        (lambda m: m.conclude(m.announce(), intent=digest_of("none")), "closes no attempt that is open"),
        (another_name, "its id does not end in its place"),
        (another_metric, "measures something else"),
        (twice, "closes no attempt that is open"),
        (kept_without_need, "decision: evidence/v2 gives false, not true"),
        (out_of_order, "is announced and has no receipt"),
        (another_rule, "another rule than was announced"),
        (another_hold, "another holdout than was announced"),
        (another_base, "its base is not the head"),
        (moved_to_what_was_never_kept, "moves a head to a version"),
        (moved_by_another, "moves a head to a version"),
        (lambda m: m.conclude(m.announce()) and m.session(attempts=0), "does not count the attempts"),
        (lambda m: m.conclude(m.announce()) and m.session() and m.session(attempts=1), "does not count the"),
        (
            lambda m: m.conclude(m.announce()) and m.session(id="session/1_7"),
            "its id does not end in its place",
        ),
    ],
)
def test_a_signed_lie_is_found_too(
    tmp_path: Path, bare: Path, story: Callable[[Made], object], complaint: str
) -> None:
    code, said = run_script(make(tmp_path, story), bare)
    assert code == 1
    assert complaint in said


@needs_tools
def test_attempts_may_be_open_at_once_where_that_was_announced(tmp_path: Path, bare: Path) -> None:
    def side_by_side(made: Made) -> None:
        first = made.announce(slots=2)
        second = made.announce("index_refresh", "rebuild", slots=2)
        made.abort(first)
        made.conclude(second)
        made.announce(slots=2)

    code, said = run_script(make(tmp_path, side_by_side), bare)
    assert (code, said[:31]) == (0, "VERIFIED 5 entries, 2 receipts:"), said


@needs_tools
@pytest.mark.parametrize("slots", [1, 2])
def test_none_is_open_once_its_session_is_told(tmp_path: Path, bare: Path, slots: int) -> None:
    def forgotten(made: Made) -> None:
        made.conclude(made.announce(slots=slots))
        made.announce(slots=slots)
        made.session()
        made.conclude(made.announce(slots=slots))

    code, said = run_script(make(tmp_path, forgotten), bare)
    assert (code, said.count("its result was left out")) == (1, 1), said
    assert "entries/000002.json: is announced and has no receipt" in said


@needs_tools
def test_sessions_are_followed(tmp_path: Path, bare: Path) -> None:
    def two_runs(made: Made) -> None:
        made.conclude(made.announce())
        made.session()
        made.abort(made.announce())
        made.conclude(made.announce())
        made.session()
        made.session()

    code, said = run_script(make(tmp_path, two_runs), bare)
    assert (code, said[:31]) == (0, "VERIFIED 9 entries, 3 receipts:"), said


@needs_tools
def test_a_state_of_the_first_form_verifies(tmp_path: Path, bare: Path) -> None:
    unpack(OLD, tmp_path)
    assert not write_bundle(tmp_path / "state-v1", tmp_path / "bundle", Extras(True, True, True)).missing
    code, said = run_script(tmp_path / "bundle", bare)
    assert (code, said[:33]) == (0, "VERIFIED 28 entries, 13 receipts:"), said


@needs_tools
def test_rotations_are_followed_and_an_old_key_is_refused(tmp_path: Path, bare: Path) -> None:
    made = Made(tmp_path / "state")
    made.conclude(made.announce())
    enrol_root(made.log, made.path, ROOT.public_key(), NOW)
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.read_again()
    made.conclude(made.announce())
    revoke_key(made.log, ROOT, made.log.authority.reigns[-1].keyid, "", NOW)
    rotate_key(made.log, made.path, ROOT, "", NOW)
    made.read_again()
    made.conclude(made.announce(), kept=False)
    first, second, _ = (reign.keyid for reign in made.log.authority.reigns)
    write_bundle(made.close(), tmp_path / "bundle", Extras())
    code, said = run_script(tmp_path / "bundle", bare)
    assert (code, said[:20]) == (0, "VERIFIED 10 entries,"), said
    shutil.copy(tmp_path / f"bundle/keys/{first}.pem", tmp_path / f"bundle/keys/{second}.pem")
    code, said = run_script(tmp_path / "bundle", bare)
    assert code == 1
    assert "FAILED entries/000004.json" in said


VECTORS = Path(__file__).parents[2] / "vectors"
LOGS = json.loads((VECTORS / "logs.json").read_text("utf-8"))
LOG_V2 = (VECTORS / "log-v2.jsonl").read_bytes().splitlines()
assert LOG_V2 in [[base64.b64decode(entry) for entry in case["entries"]] for case in LOGS["cases"]]


@needs_tools
def test_the_first_log_that_was_kept_verifies(tmp_path: Path, bare: Path) -> None:
    entries = (VECTORS / "log-evidence-v1.jsonl").read_bytes().splitlines()
    key = load_public_key(VECTORS / "log-evidence-v1.pub")
    code, said = run_script(bundle_of(tmp_path, entries, key), bare)
    assert code == 0, said


def part(title: str) -> str:
    """A part of the script, without the line that begins it."""
    return SCRIPT.split(f"# ---- {title} ")[1].split("\n", 1)[1].split("\n# ---- ")[0]


@needs_tools
@pytest.mark.parametrize("count", [1, 2, 3, 255, 256, 257, 259, 600])
def test_the_tree_of_the_script_is_the_tree_of_the_log(count: int, tmp_path: Path, bare: Path) -> None:
    """The functions of the script alone, beyond one tile."""
    entries = [b"%d" % i for i in range(count)]
    tree = TileTree(entries)
    publish_tiles(tmp_path / "log", tree.contents())
    begun = SCRIPT.split("bad=0\n")[1].split("# ---- ")[0]
    before = f"t=$PWD/t; bad=0; mkdir $t; cat hashes > $t/nodes\n{begun}"
    after = f"check_tree {count}\necho $bad $root\n"
    (tmp_path / "tree.sh").write_text(f"{before}{part('The tree')}\n{after}")
    (tmp_path / "hashes").write_text("".join(f"{leaf_hash(entry).hex()}\n" for entry in entries))

    def said() -> list[str]:
        command = [bare / "sh", "tree.sh"]
        done = subprocess.run(
            command, cwd=tmp_path, env={"PATH": str(bare)}, capture_output=True, text=True, check=True
        )
        assert not done.stderr
        shutil.rmtree(tmp_path / "t")
        return done.stdout.split()

    assert said() == ["0", tree.root().hex()]
    highest = max((tmp_path / "log/tile").glob("[0-9]/**/*"))
    flip(highest)
    assert said()[:2] == ["FAILED", f"{highest.relative_to(tmp_path)}:"]


def test_the_places_of_tiles_are_those_of_the_specification(tmp_path: Path) -> None:
    from cryoflux.receipts.tiles import Tile

    function = part("The tree").split("place() {")[1].split("\n}\n")[0]
    counts = [1, 255, 256, 257, 256_000, 256_001, 256 * 1000 * 1000 + 3, 256 * 1_234_567]
    calls = "".join(f"place 0 {count}; echo\n" for count in counts)
    done = subprocess.run(
        ["sh"], input=f"place() {{{function}\n}}\n{calls}", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        f"log/{Tile(0, (count - 1) // 256, (count - 1) % 256 + 1).path}" for count in counts
    ]


FUNCTIONS = "".join(SCRIPT.split(f"{name}='\n")[1].split("\n'\n")[0] + "\n" for name in ("bytes", "reading"))
FUNCTIONS = FUNCTIONS.split("\n# What is wrong with an entry,")[0]
"""of the script in jq"""


def test_the_script_decides_as_the_rules_do() -> None:
    """Its arithmetic in jq against the rules in Python, with numbers beyond 64 bits."""
    program = (
        f"{FUNCTIONS}\n.predicate as $p | $p.decision as $d | ($d.rule | rule) as $r"
        "| ($d.rule as $old | $d.bar | bar($old)) as $bar"
        "| ($p.evaluation | sums(.read // $p.holdout.count)) as $e"
        '| {possible: [possible($e; "holdout")], verdict: verdict($r; $bar.neededMilli; $e; "nats")}'
    )
    draw = random.Random(5)
    documents = [document(draw) for _ in range(400)]
    given = [*("--argjson", "schema", "[]"), *("--arg", "in_toto", "")]
    done = subprocess.run(
        ["jq", "-c", *given, program],
        input="\n".join(json.dumps(found) for found, _ in documents),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == 400
    for answer, (found, due) in zip(said, documents, strict=True):
        reason = {"code": due.reason.code, "numbers": due.reason.numbers}
        assert answer["verdict"] == {"kept": due.accepted, **reason}, found
        assert not [words for words in answer["possible"] if "too large" not in words], found
    assert 50 < sum(due.accepted for _, due in documents) < 350
    assert len({due.reason.code for _, due in documents}) >= 9


def document(draw: random.Random) -> tuple[dict[str, object], Verdict]:
    """A receipt that says it was accepted, and what its rule gives."""
    count = draw.choice([2, 64, 1000, 100_000])
    base = draw.randrange(10 ** draw.randrange(6, 15))
    delta = draw.randrange(-base - 1, 10**13) // draw.choice([1, 1, 10**4]) if base else 0
    delta = min(delta, base)
    squared = max(delta**2 // count + 1, 1) * draw.choice([1, 1, 2, 10, 10**3])
    squared += (squared - delta) % 2
    correct = draw.randrange(count + 1)
    gained = draw.randrange(count - correct + 1)
    lost = draw.randrange(correct + 1)
    hits = {"base": correct, "new": correct + gained - lost, "gained": gained, "lost": lost}
    known = draw.random() < 0.8
    name = draw.choice(sorted(RULES))
    right = (correct, hits["new"], gained, lost) if known else (0, 0, 0, 0)
    evidence = Evidence(count, base, base - delta, squared, *right, hits=known)
    thresholds = Thresholds(2_000_000, 10_000, draw.choice([1000, 3090]), draw.choice([1500, 20_000]))
    due = decide(name, evidence, thresholds)
    sums = {"base": base, "new": base - delta, "delta": delta}
    if draw.random() < 0.5 or not known:
        return second_form(name, thresholds, sums, squared, hits if known else None, count), due
    return first_form(name, thresholds, sums, squared, hits, count), due


def first_form(
    name: str, t: Thresholds, sums: dict[str, int], squared: int, hits: dict[str, int], count: int
) -> dict[str, object]:
    judged = {f"{field}LossNanoNatSum": sums[field] for field in ("base", "new")}
    judged |= {"baseCorrect": hits["base"], "newCorrect": hits["new"]}
    judged |= {"gained": hits["gained"], "lost": hits["lost"], "deltaNanoNatSum": sums["delta"]}
    rule = {"name": name, "minDeltaNanoNat": t.min_delta, "minAccuracyGainPpm": t.min_accuracy_gain_ppm}
    rule |= {"zMilli": t.z_milli, "neededMilli": t.needed_milli}
    evaluation = {**judged, "deltaSquaredNanoNatSum": str(squared), "candidate": {}}
    return receipt("v1", evaluation, {"rule": rule, "accepted": True}, count)


def second_form(
    name: str, t: Thresholds, sums: dict[str, int], squared: int, hits: dict[str, int] | None, count: int
) -> dict[str, object]:
    judged = {
        "baseLossSum": sums["base"],
        "newLossSum": sums["new"],
        "deltaSum": sums["delta"],
        "read": count,
    }
    rule = {"name": name, "minDelta": t.min_delta, "minAccuracyGainPpm": t.min_accuracy_gain_ppm}
    decision = {
        "rule": {**rule, "zMilli": t.z_milli},
        "bar": {"neededMilli": t.needed_milli},
        "accepted": True,
    }
    evaluation = {**judged, "deltaSquaredSum": str(squared), "candidate": {}}
    return receipt("v2", evaluation | ({"hits": hits} if hits else {}), decision, count)


def receipt(version: str, evaluation: object, decision: object, count: int) -> dict[str, object]:
    predicate = {
        "sequence": 1,
        "task": {"name": "lora_delta"},
        "outcome": "accepted",
        "holdout": {"count": count},
        "evaluation": evaluation,
        "decision": decision,
        "energy": {},
    }
    return {"predicateType": f"https://cryoflux.dev/receipt/{version}", "predicate": predicate}


@needs_tools
@pytest.mark.parametrize("count", [1, 63, 64, 65, 100, 511, 512, 513, 1000, 4096, 100_000])
def test_the_script_knows_when_a_look_is_due(count: int) -> None:
    command = [
        "jq",
        "-nc",
        "--argjson",
        "schema",
        "[]",
        "--arg",
        "in_toto",
        "",
        f"{FUNCTIONS}\nlooks({count})",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == looks(count)[:-1]


DIGEST = re.compile(r"`([0-9a-f]{64})`")


@pytest.mark.parametrize("page", ["how-to/check-a-receipt-without-us.md", "reference/receipts.md"])
def test_the_digest_that_is_published_is_that_of_the_script(page: str) -> None:
    (published,) = DIGEST.findall((SCRIPT_FILE.parents[3] / "docs" / page).read_text("utf-8"))
    assert published == file_digest(SCRIPT_FILE), "write it there: sha256sum src/cryoflux/receipts/verify.sh"


def test_the_schema_that_the_script_goes_by_is_the_one_of_the_code() -> None:
    assert f"schema_digest={sha256_hex(schema_bytes())}\n" in SCRIPT, (
        "write it into the script, and its own into docs"
    )


KEYWORDS = {
    "type",
    "enum",
    "not",
    "anyOf",
    "pattern",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
}
KEYWORDS |= {
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "patternProperties",
    "allOf",
    "items",
    "$ref",
}
KEYWORDS |= {"title", "description", "default"}


def test_the_script_knows_every_word_of_the_schema() -> None:
    def words(schema: dict[str, Any]) -> Iterator[str]:
        yield from schema
        inner = [*schema.get("properties", {}).values(), *schema.get("patternProperties", {}).values()]
        inner += [*schema.get("anyOf", []), *schema.get("allOf", [])]
        inner += [schema[name] for name in ("items", "additionalProperties") if schema.get(name)]
        for part in inner:
            yield from words(part)

    said = {word for definition in receipt_schema()["$defs"].values() for word in words(definition)}
    assert said <= KEYWORDS
    functions = SCRIPT.split("def fits(")[1].split("\ndef kinds")[0]
    assert not {word for word in said - {"title", "description", "default"} if word not in functions}


def test_a_bundle_is_only_written_into_an_empty_folder_and_of_what_was_signed(tmp_path: Path) -> None:
    made = Made(tmp_path / "state")
    made.attempt()
    state = made.close()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        write_bundle(state, tmp_path / "full", Extras())
    shutil.rmtree(state / "capsules")
    made_of = write_bundle(state, tmp_path / "bundle", Extras(adapters=True))
    assert len(made_of.missing) == 2
    assert made_of.heads == {"lora_delta": digest_of("second")}
    (state / "receipts.db").write_bytes(b"no database at all")
    with pytest.raises(StateTamperedError):
        write_bundle(state, tmp_path / "another", Extras())


def test_a_node_of_the_tree_is_what_the_script_says() -> None:
    assert node_hash(bytes(32), bytes(32)) == hashlib.sha256(b"\x01" + bytes(64)).digest()
