"""Whether Python packages of others accept a kit: ``python python_packages.py PACKAGE KIT.json``.

It imports nothing of CryoFlux, so that it runs in an environment that has only the package.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

Case = dict[str, Any]
Checks = dict[str, Callable[[Case], object]]


def _raw(text: str) -> bytes:
    return base64.b64decode(text)


def _require(holds: bool) -> None:  # noqa: FBT001
    if not holds:
        raise ValueError("does not hold")


def securesystemslib() -> Checks:
    """DSSE envelopes."""
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    def envelope(case: Case) -> None:
        public: Any = load_pem_public_key(case["pem"].encode())
        key = SSlibKey.from_crypto(public, keyid=case["keyid"])
        _require(bool(Envelope.from_dict(json.loads(_raw(case["envelope"]))).verify([key], 1)))

    return {"envelope": envelope}


def in_toto_attestation() -> Checks:
    """Statements, read as the protobuf message and validated."""
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    def statement(case: Case) -> None:
        read = json_format.Parse(_raw(case["payload"]), statement_pb2.Statement())
        Statement.copy_from_pb(read).validate()

    return {"statement": statement}


def sigstore() -> Checks:
    """Statements, read by the model of a client."""
    from sigstore.dsse import Statement

    return {"statement": lambda case: Statement(_raw(case["payload"]))}


def tlog_scales() -> Checks:
    """Notes, cosignatures, tiles and proofs of C2SP."""
    from tlog_scales import backend, reader, signing, tlog

    def note(case: Case) -> None:
        read = tlog.Checkpoint.from_text(case["note"])
        read.verify(signing.Vkey.from_string(case["vkey"]))
        _require((read.size, read.root_hash) == (case["size"], _raw(case["root"])))

    def tree(case: Case) -> None:
        tiles = reader.TilesReader(backend.LocalBackend(Path(case["folder"])))
        tiles.set_size(case["size"])
        _require(tiles.calculate_root_hash() == _raw(case["root"]))
        for index in range(case["size"]):  # the root alone is read off the tiles above the leaves
            leaf = hashlib.sha256(b"\0" + tiles.get_entry(index)).digest()
            tiles.get_inclusion_proof(index, case["size"]).check(leaf, _raw(case["root"]))

    def inclusion(case: Case) -> None:
        proof = tlog.InclusionProof(case["index"], case["size"], [_raw(text) for text in case["hashes"]])
        proof.check(_raw(case["leaf"]), _raw(case["root"]))

    def consistency(case: Case) -> None:
        proof = tlog.ConsistencyProof(case["old"], case["size"], [_raw(text) for text in case["hashes"]])
        proof.check(_raw(case["oldRoot"]), _raw(case["root"]))

    return {
        "note": note,
        "cosignature": note,
        "tree": tree,
        "inclusion": inclusion,
        "consistency": consistency,
    }


def pymerkle() -> Checks:
    """The root of an RFC 6962 tree over the entries, and proofs from it."""
    from pymerkle import InmemoryTree

    def tree(case: Case) -> None:
        grown = InmemoryTree(algorithm="sha256")
        for entry in case["entries"]:
            grown.append_entry(_raw(entry))
        _require(grown.get_root() == _raw(case["root"]))

    return {"tree": tree}


def openssl() -> Checks:
    """Signatures over DSSE's encoding and over a note's text, by the command line."""

    def signed(pem: str, message: bytes, signature: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            key, said, signs = (Path(folder) / name for name in ("key", "message", "signature"))
            key.write_text(pem)
            said.write_bytes(message)
            signs.write_bytes(signature)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(key), "-rawin"]
            subprocess.run([*command, "-in", said, "-sigfile", signs], check=True, capture_output=True)

    def envelope(case: Case) -> None:
        read = json.loads(_raw(case["envelope"]))
        payload, kind = _raw(read["payload"]), read["payloadType"]
        said = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
        signed(case["pem"], said, _raw(read["signatures"][0]["sig"]))

    def note(case: Case) -> None:
        text, _, lines = case["note"].partition("\n\n")
        _require(text.split("\n")[1:] == [str(case["size"]), case["root"]])
        signed(case["pem"], f"{text}\n".encode(), _raw(lines.split("\n")[0].split(" ")[2])[4:])

    return {"envelope": envelope, "note": note}


PACKAGES: dict[str, Callable[[], Checks]] = {
    "securesystemslib": securesystemslib,
    "in-toto-attestation": in_toto_attestation,
    "sigstore": sigstore,
    "tlog-scales": tlog_scales,
    "pymerkle": pymerkle,
    "openssl": openssl,
}


def verdicts(package: str, kit: list[Case]) -> dict[str, bool]:
    """Case → whether the package accepts it, for the cases that it can check."""
    checks = PACKAGES[package]()
    found = {}
    for case in kit:
        if (check := checks.get(case["check"])) is None:
            continue
        try:
            found[case["id"]] = check(case) is not False
        except Exception as error:  # noqa: BLE001 - however a package says no
            found[case["id"]] = False
            if case["twin"] == "honest":
                print(case["id"], repr(error), file=sys.stderr)
    return found


def version_of(package: str) -> str:
    """The version that is installed here."""
    if package != "openssl":
        return version(package)
    done = subprocess.run(["openssl", "version"], check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


if __name__ == "__main__":
    wanted, file = sys.argv[1:]
    said = verdicts(wanted, json.loads(Path(file).read_text("utf-8")))
    print(json.dumps({"version": version_of(wanted), "verdicts": said}))
