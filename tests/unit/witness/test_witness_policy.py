from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cryoflux.errors import UsageError
from cryoflux.receipts.checkpoint import KeyType, verifier_key
from cryoflux.witness.policy import parse_policy, read_policy


def vkey(name: str, seed: int, kind: KeyType) -> str:
    return str(
        verifier_key(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key(), kind)
    )


LOG = vkey("log.example/1", 1, KeyType.LOG)
W = [vkey(f"witness.example/{n}", 10 + n, KeyType.WITNESS) for n in range(6)]
NESTED = f"""# two operators
log {LOG} https://log.example/1/

witness X1 {W[0]} https://x1.example
\twitness  X2\t{W[1]}
witness X3 {W[2]}
group X 2 X1 X2 X3
witness Y1 {W[3]}
witness Y2 {W[4]}
group Y any Y1 Y2
group both all X Y
quorum both
"""


def test_a_policy_of_two_levels_is_read_as_the_specification_writes_it() -> None:
    policy = parse_policy(NESTED.encode())
    assert [str(line.key) for line in policy.logs] == [LOG]
    assert [(line.name, line.url) for line in policy.witnesses][:2] == [
        ("X1", "https://x1.example"),
        ("X2", ""),
    ]
    assert policy.reached({"X1", "X3", "Y2"})
    assert not policy.reached({"X1", "X2", "X3"})
    assert not policy.reached({"X1", "Y1", "Y2"})


def test_nobody_is_needed_where_the_policy_says_none() -> None:
    assert parse_policy(b"quorum none\n").reached(set())


def test_a_name_that_is_no_witness_does_not_count() -> None:
    policy = parse_policy(f"witness a {W[0]}\nwitness b {W[1]}\ngroup g 2 a b\nquorum g\n".encode())
    assert not policy.reached({"a", "c", "zzz"})


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(0, 50), max_size=5), st.integers(1, 5))
def test_the_time_of_a_quorum_is_that_of_its_kth_newest_member(times: dict[str, int], needed: int) -> None:
    lines = [f"witness {name} {W[place]}" for place, name in enumerate("abcde")]
    policy = parse_policy("\n".join([*lines, f"group g {needed} a b c d e", "quorum g"]).encode())
    newest_first = sorted(times.values(), reverse=True)
    expected = newest_first[needed - 1] if len(times) >= needed else None
    assert policy.reached_at(times) == expected
    assert policy.seen_by(times) == (sorted(times.values())[needed - 1] if len(times) >= needed else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG}",
        f"log {LOG}\nquorum none\nquorum none",
        f"log {LOG}\nlog {LOG}\nquorum none",
        f"witness a {LOG}\nquorum a",
        f"log {W[0]}\nquorum none",
        f"quorum a\nwitness a {W[0]}",
        f"witness a {W[0]}\nwitness a {W[1]}\nquorum a",
        f"witness a {W[0]}\nwitness b {W[0]}\nquorum a",
        f"witness none {W[0]}\nquorum none",
        f"witness a {W[0]}\ngroup g 2 a\nquorum g",
        f"witness a {W[0]}\ngroup g 0 a\nquorum g",
        f"witness a {W[0]}\ngroup g 01 a\nquorum g",
        f"witness a {W[0]}\ngroup g -1 a\nquorum g",
        f"witness a {W[0]}\ngroup g any\nquorum g",
        f"witness a {W[0]}\ngroup g any a a\nquorum g",
        f"witness a {W[0]}\ngroup g any a\ngroup h any a\nquorum h",
        f"witness a {W[0]}\ngroup g any g\nquorum g",
        f"witness a {W[0]}\ngroup g any none\nquorum g",
        f"witness a {W[0]} https://a.example more\nquorum a",
        f"witness a {W[0]}\nquorum a b",
        f"witness a {W[0][:-4]}\nquorum a",
        f"witness a {W[0].replace('+', '-', 1)}\nquorum a",
        f"unknown\nwitness a {W[0]}\nquorum a",
        f"witness a {W[0]}\r\nquorum a",
        f"\ufeffwitness a {W[0]}\nquorum a",
        f"witness a {W[0]}\nquorum a\x00",
        "#" * 300_000 + "\nquorum none",
        "\n" * 2000 + "quorum none",
    ],
)
def test_what_is_not_a_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be used"):
        parse_policy(text.encode())


def test_a_log_cannot_be_its_own_witness() -> None:
    own = vkey("witness.example/own", 1, KeyType.WITNESS)
    with pytest.raises(UsageError, match="listed twice"):
        parse_policy(f"log {LOG}\nwitness a {own}\nquorum a\n".encode())


def test_a_key_of_a_type_that_is_not_known_is_refused_and_not_ignored() -> None:
    with pytest.raises(UsageError, match=r"line 1: The key of w\.example has type 06"):
        parse_policy(b"witness a w.example+00000000+BgAA\nquorum a\n")


def test_names_may_hold_any_octets() -> None:
    policy = parse_policy(f"witness \N{KELVIN SIGN} {W[0]}\nquorum ".encode() + "\N{KELVIN SIGN}".encode())
    assert not policy.reached({"K"})
    assert parse_policy(b"witness \xff " + W[0].encode() + b"\nquorum \xff").witnesses


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_policy(tmp_path / "none")
    (tmp_path / "p").write_text(NESTED)
    assert read_policy(tmp_path / "p") == parse_policy(NESTED.encode())
