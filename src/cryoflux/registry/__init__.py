"""MERGE: keeps model versions and adapters by digest, and says which version is the head."""
