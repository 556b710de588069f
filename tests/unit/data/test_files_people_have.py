"""A collection of small files as people have them, each with what is expected of it.

Made after what is asked again and again where texts are classified: which file was meant, why it is refused,
why the labels are wrong. ``READ`` are read, with how it is said; ``REFUSED`` are refused, with the reason.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cryoflux.data.columns import Wishes
from cryoflux.data.formats import open_examples, read_arrived
from cryoflux.data.found import FileFound
from cryoflux.errors import CryoFluxError, ExitCode

ROWS = [
    ("I loved it, all of it", "pos"),
    ("Not my kind of film", "neg"),
    ("So-so; the end is weak", "neutral"),
    ("Would see it again", "pos"),
    ("Fell asleep twice", "neg"),
    ("A film like many others", "neutral"),
    ("The music alone is worth it", "pos"),
    ("Two hours that I want back", "neg"),
    ("Fine for a rainy evening", "neutral"),
    ("My children laughed a lot", "pos"),
]
WITH_ACCENTS = [(f"{text}, café très agréable – déjà vu", label) for text, label in ROWS]
GERMAN = [(f"{text}. Die Größe paßt überhaupt nicht", label) for text, label in ROWS]
POLISH = [(f"{text}. Zażółć gęślą jaźń, świetny film", label) for text, label in ROWS]
RUSSIAN = [(f"Отличный фильм, очень понравилось {at}", "да" if at % 2 else "нет") for at in range(10)]
JAPANESE = [(f"とても良い映画でした。また見たいです{at}", "良" if at % 2 else "悪") for at in range(10)]
FRENCH = "\n".join(["text,label", *(f'"{text}",{label}' for text, label in WITH_ACCENTS)]) + "\n"


def csv_of(head: str, separator: str = ",", quote: str = '"', rows: Any = ROWS, end: str = "\n") -> str:
    lines = [separator.join([f"{quote}{text}{quote}", label]) for text, label in rows]
    return end.join([*([head] if head else []), *lines, ""])


def jsonl_of(**names: str) -> str:
    return "".join(json.dumps({names["text"]: t, names["label"]: k}) + "\n" for t, k in ROWS)


def array_of(rows: list[Any], **dumped: Any) -> str:
    return json.dumps(rows, **dumped)


@dataclass(frozen=True)
class Case:
    name: str
    content: bytes | str
    said: str
    """a part of what is said of it, or of why it is refused"""
    first: tuple[str, str] = ROWS[0]
    count: int = len(ROWS)
    wishes: Wishes = field(default_factory=Wishes)


def labels_first(separator: str) -> str:
    return "".join(f"{label}{separator}{text}\n" for text, label in ROWS)


TSV = "".join(f"{text}\t{label}\n" for text, label in ROWS)
PAIRS = [{"premise": t, "hypothesis": f"It says: {t}", "label": k} for t, k in ROWS]
NESTED = [{"id": i, "data": {"text": t}, "annotation": {"choice": k}} for i, (t, k) in enumerate(ROWS)]
IN_A_DATABASE = [f'{i},{k},"{t}",2024-01-01' for i, (t, k) in enumerate(ROWS)]

READ = [
    Case("exact.csv", csv_of("text,label"), "CSV, commas between columns, UTF-8"),
    Case("no header.csv", csv_of(""), "no header"),
    Case("windows.csv", csv_of("text,label", end="\r\n"), "text is text"),
    Case("old mac.csv", csv_of("text,label", end="\r"), "text is text"),
    Case("excel.csv", b"\xef\xbb\xbf" + csv_of("text,label").encode(), "UTF-8"),
    Case("excel semicolons.csv", csv_of("Text;Label", ";"), "semicolons between columns"),
    Case("excel says so.csv", "sep=;\r\n" + csv_of("text;label", ";"), "semicolons between columns"),
    Case("bars.txt", csv_of("text|label", "|"), "bars between columns"),
    Case("tabs.tsv", "text\tlabel\n" + TSV, "TSV, tabs between columns"),
    Case("tabs.csv", "sentence\tlabel\n" + TSV, "TSV, tabs between columns"),
    Case("tabs, no header.tsv", TSV, "no header"),
    Case(
        "glue.tsv",
        "index\tsentence\tlabel\n" + "".join(f"{i}\t{t}\t{k}\n" for i, (t, k) in enumerate(ROWS)),
        "sentence",
    ),
    Case(
        "stray quotes.tsv",
        "sentence\tlabel\n" + "".join(f'"{text}\t{label}\n' for text, label in ROWS),
        "TSV",
        first=(f'"{ROWS[0][0]}', "pos"),
    ),
    Case("spam.tsv", labels_first("\t"), "text is column 2, label is column 1"),
    Case("label first.csv", "label,text\n" + "".join(f'{k},"{t}"\n' for t, k in ROWS), "by name"),
    Case("fast.txt", "".join(f"__label__{k} {t}\n" for t, k in ROWS), "fastText lines"),
    Case("kaggle.csv", csv_of("review,sentiment"), "text is review, label is sentiment (by name)"),
    Case("intents.csv", csv_of("utterance,intent"), "text is utterance, label is intent"),
    Case("news.csv", csv_of("headline,category"), "text is headline, label is category"),
    Case("tweets.csv", csv_of("Tweet,Target"), "text is Tweet, label is Target"),
    Case("comments.csv", csv_of("comment_text,class"), "text is comment_text, label is class"),
    Case("other label.csv", csv_of("message,is_spam"), "text is message, label is is_spam"),
    Case(
        "pandas.csv",
        ",content,label\n" + "".join(f'{i},"{t}",{k}\n' for i, (t, k) in enumerate(ROWS)),
        "text is content",
    ),
    Case(
        "database.csv",
        "id,stars_word,review_body,date\n" + "\n".join(IN_A_DATABASE) + "\n",
        "text is review_body, label is stars_word (asked for)",
        wishes=Wishes(label_column="stars_word"),
    ),
    Case(
        "asked.csv",
        csv_of("quelle,ziel"),
        "text is quelle, label is ziel (asked for)",
        wishes=Wishes("quelle", "ziel"),
    ),
    Case(
        "by number.csv",
        "".join(f'{i},{k},"{t}"\n' for i, (t, k) in enumerate(ROWS)),
        "text is column 3, label is column 2 (asked for)",
        wishes=Wishes("3", "2"),
    ),
    Case("extra commas.csv", "text,label\n" + "".join(f'"{t}",{k},,\n' for t, k in ROWS), "text is text"),
    Case(
        "latin.csv",
        FRENCH.replace("–", "-").encode("latin-1"),
        "cp1252 (a guess",
        (WITH_ACCENTS[0][0].replace("–", "-"), "pos"),
    ),
    Case("windows 1252.csv", FRENCH.encode("cp1252"), "cp1252 (a guess", WITH_ACCENTS[0]),
    Case(
        "named.csv",
        FRENCH.encode("mac_roman"),
        "mac_roman",
        WITH_ACCENTS[0],
        wishes=Wishes(encoding="mac_roman"),
    ),
    Case("unicode.csv", FRENCH.encode("utf-16"), "utf-16", WITH_ACCENTS[0]),
    Case("no mark.csv", FRENCH.encode("utf-16-le"), "utf-16-le (a guess", WITH_ACCENTS[0]),
    Case("four bytes.csv", FRENCH.encode("utf-32"), "utf-32", WITH_ACCENTS[0]),
    Case("german.csv", csv_of("text,label", rows=GERMAN).encode("cp1252"), "cp1252 (a guess", GERMAN[0]),
    Case("polish.csv", csv_of("text,label", rows=POLISH).encode("cp1250"), "cp1250 (a guess", POLISH[0]),
    Case("russian.csv", csv_of("", ";", rows=RUSSIAN).encode("cp1251"), "cp1251 (a guess", RUSSIAN[0]),
    Case(
        "japanese.csv",
        csv_of("text,label", rows=JAPANESE).encode("shift_jis"),
        "shift_jis (a guess",
        JAPANESE[0],
    ),
    Case("exact.jsonl", jsonl_of(text="text", label="label"), "JSONL"),
    Case("hub.jsonl", jsonl_of(text="sentence", label="label"), "text is sentence"),
    Case(
        "list.jsonl",
        "".join(json.dumps({"text": t, "labels": [k]}) + "\n" for t, k in ROWS),
        "label is labels",
    ),
    Case("array.json", array_of([{"text": t, "label": k} for t, k in ROWS]), "JSON array"),
    Case("pretty.json", array_of([{"text": t, "label": k} for t, k in ROWS], indent=4), "JSON array"),
    Case("array.jsonl", array_of([{"text": t, "label": k} for t, k in ROWS]), "JSON array"),
    Case(
        "in an object.json",
        array_of({"version": 1, "data": [{"text": t, "label": k} for t, k in ROWS]}, indent=1),
        "'data'",
    ),
    Case(
        "nested.json", array_of(NESTED), "annotation.choice", wishes=Wishes("data.text", "annotation.choice")
    ),
    Case(
        "half nested.json",
        array_of(NESTED),
        "text is data.text",
        wishes=Wishes(label_column="annotation.choice"),
    ),
    Case("packed.csv.gz", gzip.compress(csv_of("text,label").encode()), "packed by gzip"),
    Case("packed.jsonl.gz", gzip.compress(jsonl_of(text="text", label="label").encode()), "packed by gzip"),
    Case("packed in secret.csv", gzip.compress(csv_of("text,label").encode()), "packed by gzip"),
    Case(
        "pairs.jsonl",
        "".join(json.dumps(row) + "\n" for row in PAIRS),
        "text is premise and hypothesis joined by ' | '",
        first=(f"{ROWS[0][0]} | It says: {ROWS[0][0]}", "pos"),
    ),
    Case(
        "questions.csv",
        "qid,question1,question2,label\n"
        + "".join(f'{i},"{t}","Why {i}?",{k}\n' for i, (t, k) in enumerate(ROWS)),
        "question1 and question2",
        first=(f"{ROWS[0][0]} | Why 0?", "pos"),
    ),
    Case(
        "own pairs.csv",
        "a,b,c\n" + "".join(f'"{t}",more,{k}\n' for t, k in ROWS),
        "text is a and b joined",
        first=(f"{ROWS[0][0]} | more", "pos"),
        wishes=Wishes("a,b", "c"),
    ),
    Case(
        "numbers.jsonl",
        "".join(json.dumps({"text": t, "label": 1.0}) + "\n" for t, _ in ROWS),
        "JSONL",
        (ROWS[0][0], "1.0"),
    ),
    Case(
        "formulas.csv",
        "text,label\n=cmd|' /C calc'!A0,pos\n@SUM(1+1),neg\n+1,pos\n-2,neg\n",
        "text is text",
        first=("=cmd|' /C calc'!A0", "pos"),
        count=4,
    ),
    Case(
        "some missing.csv",
        csv_of("text,label", rows=ROWS * 3) + '"",pos\n',
        "1 of 31 rows without a text left out: line 32",
        count=30,
    ),
    Case(
        "some unlabelled.jsonl",
        jsonl_of(text="text", label="label") * 3 + '{"text": "never labelled", "label": null}\n',
        "1 of 31 rows without a label left out: line 31",
        count=30,
    ),
    Case(
        "some ragged.csv",
        csv_of("text,label", rows=ROWS * 3) + "not, quoted, pos\n",
        "of another width",
        count=30,
    ),
    Case(
        "some of several.txt",
        "".join(f"__label__{k} {t}\n" for t, k in ROWS) * 3 + "__label__pos __label__neg Both at once\n",
        "1 of 31 rows with several labels left out",
        count=30,
    ),
]

REFUSED = [
    Case("nothing.csv", b"", "is empty"),
    Case("blank.csv", b" \n \n", "is empty"),
    Case("only a header.csv", "text,label\n", "holds no example"),
    Case("only texts.txt", "I loved it\nNot my kind\n", "1 columns instead of 2"),
    Case("three columns.csv", "1,good,x y\n2,bad,x z\n", "3 columns instead of 2"),
    Case("unknown names.csv", csv_of("satz,klasse"), "is that line a header?"),
    Case(
        "more unknown names.csv",
        "a1,b1,c1\n" + "".join(f'"{t}",{k},3\n' for t, k in ROWS),
        "'a1', 'b1', 'c1'",
    ),
    Case("not there.csv", csv_of("text,label"), "has no column 'review'", wishes=Wishes("review")),
    Case(
        "only an id.csv",
        "id,text\n" + "".join(f'{i},"{t}"\n' for i, (t, _) in enumerate(ROWS)),
        "is that line a header?",
    ),
    Case("twice.csv", "text,label,label\na,x,y\n", "names a column twice"),
    Case("half said.csv", TSV, "has no header", wishes=Wishes("1")),
    Case("number too high.csv", TSV, "has no header", wishes=Wishes("1", "3")),
    Case(
        "half empty.csv",
        csv_of("text,label") + '"",pos\n' * 5,
        "line 12: the text is empty, or not a text; 5 of 15",
    ),
    Case("many labels.jsonl", '{"text": "a", "labels": ["x", "y"]}\n' * 5, "the row has 2 labels"),
    Case("no labels.jsonl", '{"text": "a"}\n' * 5, "has no classes"),
    Case("strings.json", '["a", "b"]', "no object with fields"),
    Case("broken.json", '[{"text": "a", "label": "x"}, {"text"', "row 2: this is not a JSON object"),
    Case("cut off.json", '[{"text": "a", "label": "x"}', "the array does not end"),
    Case("two encodings.csv", FRENCH.encode() + FRENCH.encode("latin-1", "replace"), "though"),
    Case("noise.csv", bytes(range(1, 256)) * 40, "nor text in any other encoding"),
    Case("zeros.csv", b"text,label\nabc\0,x\n", "binary"),
    Case("wrong name.csv", csv_of("text,label"), "no encoding 'utf-99'", wishes=Wishes(encoding="utf-99")),
    Case("no text encoding.csv", csv_of("text,label"), "no encoding 'hex'", wishes=Wishes(encoding="hex")),
    Case("not that one.csv", FRENCH.encode("utf-8"), "not ascii text", wishes=Wishes(encoding="ascii")),
    Case("archive.zip", b"PK\x03\x04" + b"\x14" * 40, "zip archive"),
    Case("sheet.xlsx", b"PK\x03\x04" + b"[Content_Types].xml", "spreadsheet"),
    Case("old sheet.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 40, "old Office file"),
    Case("table.sqlite", b"SQLite format 3\0" + b"\0" * 40, "SQLite"),
    Case("frame.pkl", b"\x80\x04\x95" + b"\0" * 40, "pickle"),
    Case("paper.pdf", b"%PDF-1.7 " + b"\xff" * 40, "a PDF"),
    Case("packed.csv.bz2", b"BZh91AY" + b"\xff" * 40, "bzip2"),
    Case("packed.csv.xz", b"\xfd7zXZ\0" + b"\xff" * 40, "xz"),
    Case("packed.csv.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "zstd"),
    Case("tape.tar", b"data.csv".ljust(257, b"\0") + b"ustar\0" + b"\0" * 300, "tar archive"),
    Case("broken.csv.gz", gzip.compress(csv_of("text,label").encode())[:-12], "cannot be unpacked"),
    Case("false.csv.gz", b"\x1f\x8b\x08\x00" + b"\xff" * 60, "cannot be unpacked"),
    Case("false.parquet", b"PAR1" + b"\xff" * 60 + b"PAR1", "no parquet file"),
]


def read(folder: Path, case: Case) -> tuple[list[tuple[str, str]], FileFound]:
    path = folder / case.name
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    opened = open_examples(path, case.wishes)
    rows = [(one.text, one.label) for _, one in opened]
    arrived = read_arrived(path, case.wishes)  # of a watched folder
    assert rows == [(one.text, one.label) for _, one in arrived.numbered]
    assert arrived.left_out == opened.found.left_out
    return rows, opened.found


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", READ, ids=named)
def test_it_is_read_and_it_is_said_how(tmp_path: Path, case: Case) -> None:
    rows, found = read(tmp_path, case)
    said = "\n".join(found.lines())
    assert case.said in said
    assert rows[0] == case.first
    assert (len(rows), found.kept) == (case.count, case.count)
    assert json.loads(json.dumps(found.document()))["examples"] == case.count


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_it_is_refused_with_what_to_do_next(tmp_path: Path, case: Case) -> None:
    with pytest.raises(CryoFluxError, match=re.escape(case.said)) as caught:
        read(tmp_path, case)
    error = caught.value
    assert str(tmp_path / case.name) in error.what
    assert error.why
    assert error.hint
    assert error.exit_code is ExitCode.USAGE


def test_the_collection_is_as_large_as_it_says() -> None:
    assert len(READ) >= 40
    assert len({case.name for case in READ + REFUSED}) == len(READ) + len(REFUSED)
    assert sum(case.first == ROWS[0] for case in READ) > 30


def test_a_file_that_is_exact_has_nothing_to_say(tmp_path: Path) -> None:
    exact = [
        case for case in READ if case.name in {"exact.csv", "exact.jsonl", "no header.csv", "windows.csv"}
    ]
    assert [read(tmp_path, case)[1].plain for case in exact] == [True] * 4
    others = [
        case for case in READ if case.name in {"latin.csv", "tabs.tsv", "kaggle.csv", "some missing.csv"}
    ]
    assert [read(tmp_path, case)[1].plain for case in others] == [False] * 4
