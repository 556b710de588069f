"""A file of peers is a witness policy with two more words, and commands leave its comments alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.errors import UsageError
from cryoflux.network.peers import parse_peers, read_peers, with_node, without_node
from cryoflux.receipts.checkpoint import KeyType, parse_verifier_key, verifier_key


def vkey(name: str, seed: int, kind: KeyType = KeyType.LOG) -> str:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key()
    return str(verifier_key(name, key, kind))


NORTH, SOUTH, OWN = vkey("log.example/n", 1), vkey("log.example/s", 2), vkey("log.example/own", 3)
WITNESS = vkey("witness.example/1", 4, KeyType.WITNESS)
WHOLE = f"""# ours
log {OWN}
witness w {WITNESS} http://witness.example
quorum w
# a friend
node north {NORTH} http://north.example/
node\tsouth  {SOUTH} https://south.example/tree
verifier north
verifier {OWN}
"""


def test_nodes_verifiers_and_the_policy_come_of_one_file() -> None:
    peers = parse_peers(WHOLE.encode())
    assert [(node.name, str(node.key), node.url) for node in peers.nodes] == [
        ("north", NORTH, "http://north.example"),
        ("south", SOUTH, "https://south.example/tree"),
    ]
    assert peers.verifier_origins == {"log.example/n", "log.example/own"}
    assert [line.key.name for line in peers.policy.logs] == [
        "log.example/own",
        "log.example/n",
        "log.example/s",
    ]
    assert peers.policy.reached({"w"})
    assert not peers.policy.reached(set())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"node north {vkey('log.example/x', 9)} http://x.example", "line 10: the name 'north' is taken"),
        (f"node x {NORTH} http://x.example", "line 10: the public key of log.example/n is listed twice"),
        (f"node x {vkey('log.example/n', 9)} http://x.example", "line 10: the log log.example/n is listed"),
        (f"node x {WITNESS} http://x.example", "line 10: witness.example/1 is not the key of a log"),
        (f"node X {vkey('log.example/x', 9)} http://x.example", "line 10: 'X' is not a name"),
        (f"node x {vkey('log.example/x', 9)} ftp://x.example", "line 10: 'ftp://x.example' is not an http"),
        (f"node x {vkey('log.example/x', 9)}", "line 10: 2 items behind 'node'; it is written node NAME"),
        ("node x nonsense http://x.example", "line 10: 'nonsense' is not a verifier key"),
        ("verifier nobody", "line 10: 'nobody' is no node"),
        ("verifier north", "line 10: log.example/n is a verifier already"),
        (f"verifier {WITNESS}", "line 10: witness.example/1 is not the key of a log"),
        ("peer x", "line 10: 'peer' is not known"),
        ("quorum w", "line 10: there is more than one quorum line"),
    ],
)  # fmt: skip
def test_what_is_half_understood_is_refused_with_its_line(line: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_peers(f"{WHOLE}{line}\n".encode(), "peers.txt")
    assert error.value.what.startswith(f"peers.txt cannot be used: {said}")


@pytest.mark.parametrize(
    ("line", "page"),
    [
        ("node x", "run-a-node.md"),
        ("verifier nobody", "run-a-node.md"),
        ("strangers 2%", "run-a-node.md"),
        ("introductions nobody", "run-a-node.md"),
        ("nodde x", "run-a-node.md"),
        ("group g all nobody", "witness-a-log.md"),
        ("witness w", "witness-a-log.md"),
    ],
)
def test_a_line_that_cannot_be_used_leads_to_the_page_that_describes_it(line: str, page: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_peers(f"{WHOLE}{line}\n".encode())
    assert f"docs/how-to/{page}" in error.value.hint


def test_a_file_is_read_as_whatever_editor_wrote_it(tmp_path: Path) -> None:
    plain = parse_peers(WHOLE.encode())
    path = tmp_path / "peers.txt"
    path.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("# ours\n", "").replace("\n", "\r\n").encode())
    assert read_peers(path) == plain
    path.write_bytes(without_node(path, "north"))
    assert [node.name for node in read_peers(path).nodes] == ["south"]


def test_the_log_itself_is_none_of_its_peers(tmp_path: Path) -> None:
    own = parse_verifier_key(OWN)
    with pytest.raises(UsageError, match="the key of this node's own log"):
        with_node(tmp_path / "peers.txt", "x", OWN, "http://x.example", own=own)
    assert with_node(tmp_path / "peers.txt", "x", KEY, "http://x.example", own=own)


def test_a_policy_alone_does_not_know_the_words_of_peers(tmp_path: Path) -> None:
    from cryoflux.witness.policy import parse_policy

    with pytest.raises(UsageError, match="'node' is not known"):
        parse_policy(WHOLE.encode())
    assert read_peers(tmp_path / "peers.txt").nodes == ()


def test_adding_and_removing_leaves_everything_else_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "peers.txt"
    path.write_text(WHOLE.removesuffix("\n"))
    new = vkey("log.example/x", 9)
    path.write_bytes(with_node(path, "east", new, "http://east.example", verifier=True))
    assert path.read_text() == f"{WHOLE}node east {new} http://east.example\nverifier east\n"
    path.write_bytes(without_node(path, "east"))
    assert path.read_text() == WHOLE
    path.write_bytes(without_node(path, "north"))
    assert path.read_text() == "".join(
        line
        for line in WHOLE.splitlines(keepends=True)
        if "node north" not in line and line != "verifier north\n"
    )


@pytest.mark.parametrize("name", ["nobody", "w", "log.example/own"])
def test_who_is_no_node_cannot_be_removed(tmp_path: Path, name: str) -> None:
    path = tmp_path / "peers.txt"
    path.write_text(WHOLE)
    with pytest.raises(UsageError, match="names no node"):
        without_node(path, name)


KEY = vkey("log.example/x", 9)


@pytest.mark.parametrize(
    ("name", "key", "url", "said"),
    [
        ("a b", KEY, "http://x.example", "'a b' is no name of a node"),
        ("East", KEY, "http://x.example", "'East' is no name of a node"),
        ("north", KEY, "http://x.example", "The name 'north' is taken"),
        ("x", f"{KEY}\nquorum w", "http://x.example", "VKEY is no key of a log"),
        ("x", KEY[:-3], "http://x.example", "VKEY is no key of a log"),
        ("x", WITNESS, "http://x.example", "VKEY is not the key of a log, but that of the witness"),
        ("x", NORTH, "http://x.example", "The log log.example/n is a node already: north"),
        ("x", KEY, "x", "URL is no http address: 'x'"),
        ("x", KEY, "http://x y", "URL is no http address"),
    ],
)
def test_an_argument_that_is_wrong_is_named_and_nothing_is_added(
    tmp_path: Path, name: str, key: str, url: str, said: str
) -> None:
    path = tmp_path / "peers.txt"
    path.write_text(WHOLE)
    with pytest.raises(UsageError) as error:
        with_node(path, name, key, url)
    assert error.value.what.startswith(said)
    assert "line" not in error.value.what
    assert error.value.why
    assert error.value.hint


def test_a_file_that_is_not_understood_is_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "peers.txt"
    path.write_text(f"{WHOLE}peer x\n")
    with pytest.raises(UsageError, match="line 10: 'peer' is not known"):
        with_node(path, "x", KEY, "http://x.example")
