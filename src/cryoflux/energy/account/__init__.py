"""The joule account: bucket, ledger, and what was settled."""
