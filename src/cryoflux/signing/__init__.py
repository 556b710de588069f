"""Canonical bytes, signed envelopes and Ed25519 keys: what receipts and the meter sign with."""
