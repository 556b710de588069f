"""Writes run.txt, dev.txt, llm.txt and docs.txt: what pyproject.toml asks for, at versions that pip finds.

Run it with ``make lock``. It resolves in throw-away environments, so nothing here is touched.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
TORCH = "torch==2.13.0"
HEADER = "# Written by requirements/lock.py (make lock): edit pyproject.toml instead.\n"


def resolve(wanted: list[str], given: list[str], *, torch: str = TORCH) -> list[str]:
    """Pins for ``wanted`` and all they need, with ``given`` pins kept."""
    first = [*filter(None, [torch]), *given]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        if first:
            subprocess.run([*pip, "install", *first], check=True)
        subprocess.run([*pip, "install", *wanted, *given], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    # a local version such as +cpu names the build that was at hand, which other machines may lack
    return [re.sub(r"\+\w+$", "", line) for line in frozen.split() if "==" in line]


def main() -> None:
    """Write the files."""
    document = tomllib.loads((HERE.parent / "pyproject.toml").read_text())
    project = document["project"]
    extras = project["optional-dependencies"]
    build = [*document["build-system"]["requires"], "editables"]
    run = resolve(
        [*project["dependencies"], *extras["train"], *extras["index"], *extras["report"], *build], []
    )
    (HERE / "run.txt").write_text(HEADER + "\n".join(run) + "\n")
    dev = resolve(document["dependency-groups"]["dev"], run)
    added = [pin for pin in dev if pin not in run]
    (HERE / "dev.txt").write_text(HEADER + "-r run.txt\n" + "\n".join(added) + "\n")
    llm = [pin for pin in resolve(extras["llm"], run) if pin not in run]
    (HERE / "llm.txt").write_text(HEADER + "-r run.txt\n" + "\n".join(llm) + "\n")
    docs = resolve(document["dependency-groups"]["docs"], [], torch="")
    (HERE / "docs.txt").write_text(HEADER + "\n".join(docs) + "\n")


if __name__ == "__main__":
    main()
