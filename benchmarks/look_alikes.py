"""Makes ``src/cryoflux/data/look_alikes.txt`` from Unicode's ``confusables.txt``.

    python benchmarks/look_alikes.py confusables.txt > src/cryoflux/data/look_alikes.txt

Kept are characters of the scripts that are mistaken for Latin in running text, and punctuation, which look
like one ASCII character. Left out are those that NFKC makes ASCII anyhow, and scripts whose own readers
would tell the letters apart (Arabic, Hebrew, Chinese and their like).
"""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from pathlib import Path

SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "CHEROKEE", "COPTIC", "ARMENIAN", "LISU", "DESERET", "CANADIAN")
PUNCTUATION = {"Pd", "Pi", "Pf", "Po", "Ps", "Pe"}
HEAD = Path(__file__).with_name("look_alikes_head.txt")


def is_kept(character: str, like: str) -> bool:
    """Whether one character that looks like ``like`` belongs into the table."""
    if character.isascii() or len(like) != 1 or not like.isascii():
        return False
    if unicodedata.normalize("NFKC", character).isascii():
        return False
    if unicodedata.category(character) in PUNCTUATION:
        return 0x2000 <= ord(character) < 0x3000 and not like.isalnum()
    return like.isalnum() and unicodedata.name(character, "").startswith(SCRIPTS)


def read(path: Path) -> tuple[str, dict[str, str]]:
    """The version of the file, and ASCII character → what looks like it."""
    version, found = "", defaultdict(str)
    for line in path.read_text("utf-8-sig").splitlines():
        if line.startswith("# Version:"):
            version = line.partition(":")[2].strip()
        fields = line.partition("#")[0].split(";")
        if len(fields) < 3:
            continue
        source, like = ("".join(chr(int(code, 16)) for code in field.split()) for field in fields[:2])
        if len(source) == 1 and is_kept(source, like):
            found[like] += source
    return version, found


def main() -> None:
    """Print the table."""
    version, found = read(Path(sys.argv[1]))
    print(HEAD.read_text().replace("VERSION", version), end="")
    for like in sorted(found):
        print(like, " ".join(sorted(found[like])))


if __name__ == "__main__":
    main()
