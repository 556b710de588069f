"""What every test may use, and which tests are slow.

A synthetic state is made once and copied; a tiny model and its data are made once. Markers are put here, by
folder and file; ``--quick`` passes over all that has one.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two workers on two cores are enough threads
os.environ.pop("COLUMNS", None)  # a worker of xdist has it; output that is searched has whole lines

import pytest
from hypothesis import settings

import tiny
from cryoflux.energy.sources import rapl, zeusd
from synthetic_state import SyntheticState, make_state
from thorough import passed_over
from waiting import watch, watch_no_longer

# A busy machine is slow, not wrong; and the same examples every time make a failure one that stays.
settings.register_profile("cryoflux", deadline=None, database=None, derandomize=True)
settings.register_profile("quick", settings.get_profile("cryoflux"), max_examples=20)

TESTS = Path(__file__).parent
MARKED = {
    "process": (
        "integration",
        "e2e",
        "attacks/test_invented_joules.py",
        "attacks/test_trained_on_the_holdout.py",
        "unit/decoder/test_decoder_exact.py",
        "unit/evaluation/test_identity.py",
        "unit/test_zygote.py",
    ),
    "slow": (
        "attacks/test_account_under_fire.py",
        "attacks/test_flipped_bytes.py",
        "attacks/test_malicious_weights.py",
        "attacks/test_shell_verdicts.py",
        "unit/data/test_stdlib_docs.py",
        "unit/decoder",
        "unit/encoder",
        "unit/energy/account/test_bucket.py",
        "unit/energy/account/test_ledger.py",
        "unit/energy/test_children_coverage.py",
        "unit/energy/test_coverage.py",
        "unit/energy/test_fault_matrix.py",
        "unit/energy/test_idle_noise.py",
        "unit/energy/test_schedules.py",
        "unit/energy/test_tenants.py",
        "unit/evaluation",
        "unit/receipts/test_bundle.py",
        "unit/registry",
        "unit/tasks/causal",
        "unit/tasks/lora",
        "unit/test_benchmark_commands.py",
        "unit/test_errors.py",
        "unit/test_imports.py",
    ),
}
"""marker → folders and files whose tests have it"""
MEMORY = Path("/dev/shm")
"""a place for the files of tests: all that they write is synced, which on a disk takes minutes"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="pass over what has a marker, and draw fewer examples"
    )
    parser.addoption("--all", action="store_true", help="also run what tests/thorough.py lists")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell's background job ignores Ctrl-C, and so would every process that a test interrupts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()  # while all is imported: nothing of that is garbage, and looking through it takes as long
    quick = config.getoption("quick")
    settings.load_profile("quick" if quick else "cryoflux")
    needed = 2 * 10**9 if quick else 6 * 10**9
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > needed:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a test process was lost: a signal's number tells a crash from a kill."""
    if error:
        code = node.gateway._io.popen.wait()
        node.config.get_terminal_writer().line(f"\n{node.gateway.id} ended with {code}")


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(settings: Any) -> bool:
    watch(settings.timeout)
    return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer() -> bool:
    watch_no_longer()
    return True


def markers_of(path: Path) -> list[str]:
    place = path.relative_to(TESTS)
    within = {str(place), *map(str, place.parents)}
    return [marker for marker, places in MARKED.items() if within.intersection(places)]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # What is not imported costs nothing: the training libraries alone take seconds.
    inside = collection_path.is_relative_to(TESTS)
    return (config.getoption("quick") and inside and bool(markers_of(collection_path))) or None


def pytest_collection_finish() -> None:
    gc.freeze()  # what all tests have from now on is not looked through at each collection
    gc.enable()


def runs_everything(config: pytest.Config) -> bool:
    """Whether nothing is passed over: a test that is named is run, and whole."""
    return config.getoption("all") or any("::" in named for named in config.args)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for marker in markers_of(item.path):
            item.add_marker(marker)
    if runs_everything(config):
        return
    over = passed_over(items)
    items[:] = [item for item in items if item not in over]
    config.hook.pytest_deselected(items=over)


@pytest.fixture(scope="session")
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether a test that does one thing many times over does it as often as in `make test-all`."""
    return runs_everything(pytestconfig)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> SyntheticState:
    """The synthetic state; nobody changes it without changing it back."""
    return make_state(tmp_path_factory.mktemp("pristine") / "state")


@pytest.fixture
def state(pristine: SyntheticState, tmp_path: Path) -> Path:
    """A copy of the synthetic state that a test may ruin."""
    return shutil.copytree(pristine.path, tmp_path / "state", symlinks=True)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a tiny model and a training file."""
    folder = tmp_path_factory.mktemp("inputs")
    model = tiny.make_model(folder / "model")
    train = tiny.write_csv(folder / "train.csv", tiny.sentences(500, 1))
    return ["--model", str(model), "--train", str(train)]


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(autouse=True)
def home(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test remembers heads or baselines where whoever runs the tests keeps theirs."""
    monkeypatch.setenv("XDG_STATE_HOME", mkdtemp(dir=homes))


@pytest.fixture(autouse=True)
def static_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters that are turned by hand stand still in between, and are counters all the same."""
    for sources in (rapl, zeusd):
        monkeypatch.setattr(sources, "standing_still", lambda *_: frozenset())
