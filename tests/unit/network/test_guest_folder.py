"""A guest holdout on the disk: secret, whole, and told from any other."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cryoflux.data.examples import Example
from cryoflux.data.prepared import example_line
from cryoflux.errors import StateTamperedError
from cryoflux.network.folder import NetworkFolder
from cryoflux.network.guest import enter_guest, open_guest
from cryoflux.signing.canonical import canonical_bytes

LINES = [example_line(Example(f"text {number} \u2028 \r ü", "a")) for number in range(20)]


@pytest.fixture
def network(tmp_path: Path) -> NetworkFolder:
    return NetworkFolder.of(tmp_path)


def test_what_is_entered_is_read_back(network: NetworkFolder) -> None:
    entered = enter_guest(network, LINES)
    assert open_guest(network, entered.root) == entered
    assert entered.examples == tuple(LINES)


def test_an_example_is_hashed_as_its_canonical_bytes() -> None:
    assert LINES[0] == canonical_bytes({"label": "a", "text": "text 0 \u2028 \r ü"})


def test_nobody_else_on_the_machine_reads_it(network: NetworkFolder) -> None:
    entered = enter_guest(network, LINES)
    assert stat.S_IMODE(entered.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in entered.path.iterdir()} == {0o600}


def test_two_entries_of_the_same_examples_have_nothing_in_common(network: NetworkFolder) -> None:
    assert enter_guest(network, LINES).root != enter_guest(network, LINES).root


@pytest.mark.parametrize("name", ["examples.jsonl", "key"])
def test_another_one_under_its_name_is_refused(network: NetworkFolder, name: str) -> None:
    entered, other = enter_guest(network, LINES), enter_guest(network, LINES[1:])
    (entered.path / name).write_bytes((other.path / name).read_bytes())
    with pytest.raises(StateTamperedError, match="guest holdout that the log names"):
        open_guest(network, entered.root)
