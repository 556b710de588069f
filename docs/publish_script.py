"""Writes what follows from the form of entries: schema, and the digests of it and of both scripts.

Run it from the root of the repository after a change of the form or of the script:
``python docs/publish_script.py``.
Tests hold each of them to the others.
"""

from __future__ import annotations

import re
from pathlib import Path

from cryoflux.digests import file_digest, sha256_hex
from cryoflux.receipts.schema import schema_bytes

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "src/cryoflux/receipts/verify.sh"
BROWSER_SCRIPT = ROOT / "src/cryoflux/pages/static/check.js"
BROWSER_PAGE = ROOT / "docs/how-to/check-in-a-browser.md"
PAGES = ("docs/how-to/check-a-receipt-without-us.md", "docs/reference/receipts.md")


def put(path: Path, pattern: str, said: str) -> None:
    """The one place of a file that a pattern finds says something else."""
    text, found = re.subn(pattern, said, path.read_text("utf-8"))
    if found != 1:
        raise ValueError(f"{path.name} has {found} places for it")
    path.write_text(text, "utf-8")


def main() -> None:
    """Write all of them."""
    schema = schema_bytes()
    (ROOT / "docs/reference/receipt.schema.json").write_bytes(schema)
    put(SCRIPT, r"schema_digest=[0-9a-f]{64}\n", f"schema_digest={sha256_hex(schema)}\n")
    put(BROWSER_PAGE, r"`[0-9a-f]{64}`", f"`{file_digest(BROWSER_SCRIPT)}`")
    for page in PAGES:
        put(ROOT / page, r"`[0-9a-f]{64}`", f"`{file_digest(SCRIPT)}`")


if __name__ == "__main__":
    main()
