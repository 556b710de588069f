"""Which columns of a table are text and label: by the names that are asked for, by usual ones, or by place.

The only place that decides it. A name is compared without regard to case, and to what parts its words.
"""

from __future__ import annotations

__all__ = [
    "PAIR_MARK",
    "TakenColumns",
    "Wishes",
    "by_place",
    "columns_named",
    "columns_of",
    "is_of_documents",
    "is_usual_label",
]

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from cryoflux.errors import DataError
from cryoflux.settings import DataSettings

PAIR_MARK = " | "
"""between the texts of a pair"""
_TEXTS = (
    *(
        "text",
        "sentence",
        "review",
        "content",
        "comment",
        "message",
        "body",
        "tweet",
        "utterance",
        "document",
    ),
    *("reviewtext", "textcontent", "commenttext", "reviewbody", "sms", "post", "statement", "passage"),
    *("article", "abstract", "headline", "query", "question", "input", "title", "description", "phrase"),
)
"""what a column of texts is usually called, the first of them before the others"""
_LABELS = (
    *(
        "label",
        "labels",
        "sentiment",
        "category",
        "class",
        "intent",
        "target",
        "labeltext",
        "topic",
        "emotion",
    ),
    *("tag", "polarity", "classification", "labelname", "categories", "intents", "classname", "y", "output"),
    *("rating", "stars", "score"),
)
_NO_LABELS = {
    "",
    "group",
    "id",
    "ids",
    "idx",
    "index",
    "uid",
    "uuid",
    "guid",
    "no",
    "number",
    "row",
    "unnamed:0",
    "date",
    "url",
}
_PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("texta", "textb"),
    ("text1", "text2"),
    ("sentencea", "sentenceb"),
    ("question", "sentence"),
    ("question", "passage"),
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the settings say of a file; empty and 0 for what it says itself."""

    text_column: str = ""
    """with a comma between the two of a pair"""
    label_column: str = ""
    encoding: str = ""
    most_dropped: float = 0.05
    """share of the rows that may be left out for lacking a text or a label"""

    @classmethod
    def of(cls, said: DataSettings) -> Wishes:
        """What the settings say."""
        return cls(said.text_column, said.label_column, said.encoding, said.most_dropped)

    @property
    def texts(self) -> tuple[str, ...]:
        """The names of the text columns, one by one."""
        return tuple(name.strip() for name in self.text_column.split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class TakenColumns:
    """What was taken for text and label."""

    texts: tuple[str, ...]
    """one; two of a pair"""
    label: str
    how: str
    """``asked for``, ``by name``, ``by place`` or ``fastText``"""
    places: tuple[int, ...] = ()
    """where they stand, the label last; empty where rows are looked up by name"""
    others: tuple[str, ...] = ()
    """names that are not read"""


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _-.\ufeff")


def is_of_documents(names: Sequence[str]) -> bool:
    """Whether names are those of documents for a language model, which have no label."""
    there = {*names}
    return {"prompt", "completion"} <= there or "messages" in there or "text" in there <= {"text", "group"}


def is_usual_label(name: str) -> bool:
    """Whether a column of labels is often called so."""
    return _plain(name.rpartition(".")[2]) in _LABELS


def columns_of(where: str, names: Sequence[str], wishes: Wishes, *, tabular: bool) -> TakenColumns:
    """The columns of a table whose names are known.

    Args:
        where: the file, for errors.
        names: of its columns.
        wishes: which ones to take.
        tabular: whether rows are looked up by place, else by name.

    Raises:
        DataError: a column that is asked for is missing or there twice, or no usual name is there.
    """
    found = columns_named(names, wishes)
    if found is None or (missing := [name for name in (*found.texts, found.label) if name not in names]):
        wanted = [*wishes.texts, *filter(None, [wishes.label_column])] if found is None else missing
        raise _not_found(where, names, wishes, wanted)
    if not tabular:
        return found
    for name in (*found.texts, found.label):
        if [other.casefold() for other in names].count(name.casefold()) > 1:
            raise DataError(
                f"{where}, line 1: the header names a column twice: {', '.join(names)}.",
                why="It is not clear which of them is the text or the label.",
                hint="Leave one column text and one column label.",
            )
    places = tuple(names.index(name) for name in (*found.texts, found.label))
    return TakenColumns(found.texts, found.label, found.how, places, found.others)


def columns_named(names: Sequence[str], wishes: Wishes) -> TakenColumns | None:
    """What would be taken of columns with such names; none where that is not both text and label."""
    plain = {_plain(name.rpartition(".")[2]): name for name in reversed(names) if "." in name}
    plain |= {_plain(name): name for name in reversed(names)}
    exact = {name.strip().casefold(): name for name in reversed(names)} | {name: name for name in names}
    if wishes.texts:
        texts = tuple(exact.get(name) or plain.get(_plain(name), "") for name in wishes.texts)
    else:
        texts = _usual_texts(plain, exact, _plain(wishes.label_column))
    taken = {_plain(name) for name in texts}
    if wishes.label_column:
        label = exact.get(wishes.label_column) or plain.get(_plain(wishes.label_column), "")
    else:
        label = exact.get("label") or next((plain[n] for n in _LABELS if n in plain and n not in taken), "")
        label = label or _last_left(names, texts)
    if not texts or not all(texts) or not label:
        return None
    how = "asked for" if wishes.texts or wishes.label_column else "by name"
    others = tuple(name for name in names if name not in {*texts, label})
    return TakenColumns(texts, label, how, (), others)


def _usual_texts(plain: dict[str, str], exact: dict[str, str], label: str) -> tuple[str, ...]:
    if "text" in exact and label != "text":
        return (exact["text"],)
    for one, other in _PAIRS:
        if one in plain and other in plain and label not in {one, other}:
            return plain[one], plain[other]
    return next(((plain[name],) for name in _TEXTS if name in plain and name != label), ())


def _last_left(names: Sequence[str], texts: tuple[str, ...]) -> str:
    """Of two columns the one that is no text."""
    left = [name for name in names if name not in texts and _plain(name) not in _NO_LABELS]
    return left[0] if len(texts) == 1 and len(names) == 2 and len(left) == 1 else ""


def by_place(where: str, width: int, wishes: Wishes, *, label_first: bool) -> TakenColumns:
    """The columns of a table without a header: text, label; or those whose numbers are asked for.

    Raises:
        DataError: there are other columns than two and nobody says which, or no such columns.
    """
    if wishes.texts or wishes.label_column:
        asked = [*wishes.texts, *filter(None, [wishes.label_column])]
        if not all(name.isascii() and name.isdecimal() and 1 <= int(name) <= width for name in asked):
            raise DataError(
                f"{where} has no header that names {', '.join(map(repr, asked))}.",
                why="Without one, columns are named by their numbers.",
                hint=f"Give both by number, from 1 to {width}: --text-column 1 --label-column 2.",
            )
        if not wishes.texts or not wishes.label_column:
            raise DataError(
                f"{where} has no header, and only one of text and label is said.",
                why="It is not clear which column is the other.",
                hint="Give both: --text-column 1 --label-column 2.",
            )
        places = tuple(int(name) - 1 for name in asked)
        return TakenColumns(
            tuple(f"column {p + 1}" for p in places[:-1]), f"column {places[-1] + 1}", "asked for", places
        )
    first, second = (1, 0) if label_first else (0, 1)
    return TakenColumns((f"column {first + 1}",), f"column {second + 1}", "by place", (first, second))


def _not_found(where: str, names: Sequence[str], wishes: Wishes, wanted: Sequence[str]) -> DataError:
    shown = ", ".join(repr(name)[:60] for name in names[:12]) + (", …" if len(names) > 12 else "")
    asked = [name for name in wanted if _plain(name) not in {_plain(other) for other in names}]
    if asked:
        return DataError(
            f"{where} has no column {asked[0]!r}; it has {shown}.",
            why="An example needs a text and a label.",
            hint="Name columns that are there: --text-column NAME --label-column NAME.",
        )
    if is_of_documents(names):
        return DataError(
            f"{where} has no classes; it has {shown}.",
            why="It looks like documents for a language model, which are learned without any.",
            hint="If so: --task causal-lm, of JSONL with one document a line; else name the columns: "
            "--text-column NAME --label-column NAME.",
        )
    free = [name for name in names if name.strip()]
    some, other = next(((a, b) for a, b in product(free, free) if a != b), ("TEXT", "LABEL"))
    text = wishes.text_column if wishes.texts else repr(some)
    return DataError(
        f"{where}: no column of texts and of labels is found by its name among {shown}.",
        why="A wrong column would be learned in the place of the right one.",
        hint=f"Say which they are, for example: --text-column {text} --label-column {other!r}.",
    )
