"""How many planted paraphrases the leak guard finds, and how many honest texts it takes for one.

Docstrings of the standard library, each put in other words by hand, are looked for among all docstrings, the
ones that were paraphrased included. Honest texts are docstrings that are looked for among all others.
Beside it what the lexical search (near/v1) finds of both.

    python benchmarks/leak_guard.py
    python benchmarks/leak_guard.py --honest 1000
"""

from __future__ import annotations

import argparse
import json
import random
from typing import Any

import numpy as np

_THRESHOLDS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
_PLANTED = {
    "Set the current event loop policy. If policy is None": "Installs an event loop policy; passing None "
    "brings back the one used by default.",
    "Optional method which writes data (bytes) to a file path": "May be implemented to store bytes "
    "in the file of the given name, which makes saving bytecode possible.",
    "Stop only at breakpoints or when finished. If there are no": "Run on until a breakpoint or the end is "
    "reached; with no breakpoint set, tracing is switched off.",
    "Ask a question; return true if the answer is yes": "Pose a question to the user, giving a true value "
    "for yes and None where it was dismissed.",
    "Just like self.assertTrue(a not in b)": "Equivalent to asserting that b does not contain a, only "
    "the message on failure is more readable.",
    "Modify or query scale options. Setting a value for": "Change or read the settings of a slider. An event "
    "that its range changed is fired if one of its limits is set.",
    "Checks whether the element has an attribute": "Tells if an attribute of that name is present on the "
    "element: true if it is there, false if not.",
    "Store name and value in the model without modification": "Keep both the name and its value in the model "
    "exactly as given. Meant for parsers only, since it is internal.",
    "Complete either attribute names or file names": "Offers candidates for names of attributes or of "
    "files, on request or a chosen time after a trigger key was pressed.",
    "Return the function for the operation, or None": "Gives the operation's function, None where there is "
    "none; removing it from the instance reveals the class's own.",
    "If the name represents a directory, return that name": "A name that stands for a folder is given back "
    "with a slash appended.",
    "Get the request and client address from the socket": "Obtain from the socket what was asked and who is "
    "asking; subclasses can replace it.",
    "Reads the defaults passed in the initializer": "Takes the default values given at construction and "
    "turns each into a string; for the sake of older code nothing is interpolated.",
    "True if all counts in self are a subset of those": "Whether no element occurs more often here than in "
    "the other counter.",
    "Do whatever it takes to actually log": "Emits the log record that is handed in. Here it only raises "
    "NotImplementedError, for subclasses have to supply it.",
    "If alive then mark as dead and return": "Calls the function with its arguments once, marking the "
    "object dead; gives None if that has happened before.",
    "Return the y-position of the topmost pixel of the menu": "How far down the upper edge of the menu "
    "entry with that index lies, vertically.",
    "Send a value into the generator. Return next": "Resume the generator with a value and give what it "
    "yields next, raising StopIteration at its end.",
    "Return a dictionary of scheme -> proxy server URL": "Maps each protocol to the address of its proxy, "
    "as found out from the system configuration of a Mac.",
    "Process new custom theme selection": "Handles that the user picked another theme of his own: it is "
    "noted among what changed and shown in the sample.",
}


def measure(honest: int) -> dict[str, Any]:
    """Recall of planted paraphrases and false alarms among honest texts, by threshold."""
    from cryoflux.data import stdlib_docs
    from cryoflux.data.near import find_near
    from cryoflux.tasks.index.encoding import TextEncoder
    from cryoflux.tasks.index.leaks import nearest_texts
    from cryoflux.tasks.lora.base_model import EMBEDDED, resolve

    texts = [example.text for example in stdlib_docs.build(lambda *_: None)]
    originals = {start: next(t for t in texts if t.startswith(start)) for start in _PLANTED}
    chosen = random.Random(0).sample(range(len(texts)), honest)  # noqa: S311 - a draw, no secret
    apart = set(chosen)
    train = [text for at, text in enumerate(texts) if at not in apart or text in originals.values()]
    encoder = TextEncoder(resolve(EMBEDDED), 128)

    def vectors(some: list[str]) -> Any:
        found = np.zeros((len(some), encoder.dimensions), np.int8)
        for batch, those in encoder.embed(some):
            found[batch] = those
        return found

    planted, innocent = list(_PLANTED.values()), [texts[at] for at in chosen]
    among = vectors(train)
    found = nearest_texts(vectors(planted), among)
    hits = [
        score for (row, score), start in zip(found, _PLANTED, strict=True) if train[row] == originals[start]
    ]
    alarms = [score for _, score in nearest_texts(vectors(innocent), among)]
    return {
        "planted": len(planted),
        "nearest_is_the_original": len(hits),
        "honest": len(innocent),
        "found": {str(t): sum(score >= t for score in hits) for t in _THRESHOLDS},
        "alarms": {str(t): sum(score >= t for score in alarms) for t in _THRESHOLDS},
        "near_v1_found": len(find_near(planted, train).near),
        "near_v1_alarms": len(find_near(innocent, train).near),
    }


def main() -> None:
    """Print one JSON line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--honest", type=int, default=500, help="honest texts that are looked for")
    print(json.dumps(measure(parser.parse_args().honest)))


if __name__ == "__main__":
    main()
