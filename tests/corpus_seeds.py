"""Writes the seeds of the fuzzer: ``python tests/corpus_seeds.py``, from the test vectors and small files."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cryoflux.claims.evidence import pack
from cryoflux.claims.making import ClaimScope, make_claim
from cryoflux.energy.account.charge import Charge
from cryoflux.energy.account.settlement import sign_settlement
from cryoflux.energy.interface import Counter, Reservation
from cryoflux.quantities import Energy, Tier
from cryoflux.signing.envelope import parse_envelope
from synthetic_parts import tiny_safetensors
from synthetic_state import make_state

HERE = Path(__file__).parent
POLICY = "log {key}\nwitness one {witness}\nwitness two {witness}\ngroup g 1 one two\nquorum g\n"


def seeds() -> dict[str, list[bytes]]:
    """Target → small inputs that it accepts, or nearly does."""
    entries = json.loads((HERE / "vectors" / "entries.json").read_bytes())
    notes = json.loads((HERE / "vectors" / "checkpoints.json").read_bytes())
    proofs = json.loads((HERE / "vectors" / "proofs.json").read_bytes())
    log = (HERE / "vectors" / "log-v2.jsonl").read_bytes().splitlines()
    envelopes = [base64.b64decode(case["envelope"]) for case in entries["cases"][:2]]
    with tempfile.TemporaryDirectory() as place:
        made = make_state(Path(place) / "state")
        holdout = (made.path / "data" / made.data.digest / "holdout.jsonl").read_bytes()[:600]
        losses = next((made.path / "evidence").iterdir()).read_bytes()
        sums = (made.path / "data" / made.data.digest / "SHA256SUMS").read_bytes()
        database = (made.path / "receipts.db").read_bytes()
        account = (made.path / "account.db").read_bytes()
        claim = make_claim(made.path, "joules >= 1 J", ClaimScope()).content
        key = (made.path / "keys" / "receipt.pub").read_bytes()
    tile = b"".join(len(line).to_bytes(2, "big") + line for line in (b"x" * 300, b"y" * 300))
    adapter = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q"], "bias": "none"}
    tokenizer = {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}]},
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": " {2,}"}},
        "post_processor": None,
        "decoder": {"type": "ByteLevel"},
        "model": {"type": "WordLevel", "vocab": {"a": 0}},
    }
    return {
        "envelope": envelopes,
        "entry": [log[0], log[1]],
        "statement": [parse_envelope(line).payload for line in log[:2]],
        "checkpoint": [case["note"].encode() for case in notes["cases"][:2]],
        "verifier-key": [notes["logVerifierKey"].encode()],
        "proof": [case["proof"].encode() for case in proofs["cases"][:1]],
        "packed": [pack(log[:3])],
        "expression": [b"joules <= 1 J and eta >= 1000 nats/J and tier == counter"],
        "tile": [tile, b"tile/0/x001/067.p/3"],
        "policy": [POLICY.format(key=notes["logVerifierKey"], witness=notes["logVerifierKey"]).encode()],
        "safetensors": [tiny_safetensors([1.0, 2.0])],
        "adapter-config": [json.dumps(adapter).encode()],
        "tokenizer": [json.dumps(tokenizer).encode()],
        "export": [b"\n".join(log[:2]) + b"\n"],
        "losses": [losses],
        "examples": [holdout, json.dumps({"text": "a" + "\u0300\u0316" * 40, "label": "b"}).encode()],
        "checksums": [sums],
        "key": [key],
        "database": [database, account],
        "claim": [claim],
        "settlement": [settlement()],
    }


def settlement() -> bytes:
    """What a meter signs."""
    energy = Energy(100, 90, 110, Tier.COUNTER)
    counters = (Counter("cpu", 5, 250_000_005, "boot/0", "boot/0"),)
    charge = Charge(energy, energy, ("cpu",), "0" * 64, "concave/v1", 12, window_ns=20, counters=counters)
    key = Ed25519PrivateKey.from_private_bytes(b"m" * 32)
    return sign_settlement(Reservation("r-a", "a", 1000), charge, "boot", key).encode()


def main() -> None:
    """Write them."""
    for target, contents in seeds().items():
        folder = HERE / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(contents):
            (folder / f"seed-{number}").write_bytes(content)


if __name__ == "__main__":
    main()
