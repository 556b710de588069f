"""Whoever signs a log names its arms and data: such a name is text in every document, whatever it holds."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from cryoflux.cli.console import visible
from cryoflux.energy.derived import Rates
from cryoflux.log_view import Log, open_log
from cryoflux.pages.document import results_html
from cryoflux.queries.card import card_facts
from cryoflux.queries.results import results_of
from cryoflux.queries.rows import ATTEMPT_COLUMNS, RowColumn, attempt_rows
from cryoflux.report.card import CardNames, card_front_matter, write_card
from cryoflux.report.exporting import csv_text, write_csv
from cryoflux.report.made import Reported
from cryoflux.report.markdown import markdown_text, write_markdown
from cryoflux.report.results_words import results_report
from cryoflux.runs.catalogue import read_catalogue
from cryoflux.runs.version_names import find_version
from cryoflux.state import StateFolder
from synthetic_parts import ARMS
from synthetic_state import open_state

yaml = pytest.importorskip("yaml")
HOSTILE = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\x1b]0;owned\x07\x1b[2J",
    "[click](https://evil.example) https://evil.example www.evil.example",
    "a | b | c\n| --- |\n# heading\n```\n",
    "![](https://evil.example/x.png) **bold** <!-- --> &amp;",
    "x: {y: [1]}\n---\nlicense: mit",
    "$\\frac{1}{0}$ %s {0} \\x",
    "\u202eevil\u0000 \ufeff",
]
RATES = Rates(carbon_g_per_kwh=300.0, carbon_source="<b>=1+1</b>\nlicense: mit")


@pytest.fixture(params=HOSTILE, ids=range(len(HOSTILE)))
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Log]:
    """A state whose arm, data set and model bear that name."""
    text = request.param
    name = text.replace("\0", "\x01")  # no signed text has a NUL
    state = open_state(tmp_path / "state")
    state.data = state.data.but(name=name)
    state.arms = [ARMS[0].but(name=name)]
    state.conclude_attempt(state.announce(arm=name), 0.05)
    state.session()
    state.write_origin()
    origin = json.loads((state.path / "origin.json").read_text("utf-8"))
    origin["tasks"]["lora_delta"]["model_name"] = name
    (state.path / "origin.json").write_text(json.dumps(origin))
    return name, open_log(state.finish())


class Tags(HTMLParser):
    """What of a page is markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def innocent(tmp_path: Path) -> Log:
    state = open_state(tmp_path / "innocent")
    state.attempt(0.05)
    state.session()
    state.write_origin()
    return open_log(state.finish())


def html_of(log: Log) -> Tags:
    found = Tags()
    found.feed(results_html(results_of(log, RATES), RATES))
    return found


def test_html_has_the_tags_of_an_innocent_report(hostile: tuple[str, Log], tmp_path: Path) -> None:
    name, log = hostile
    found, twin = html_of(log), html_of(innocent(tmp_path))
    assert found.tags == twin.tags
    assert "script" not in found.tags
    assert not [value for key, value in found.attributes if key.startswith("on") or key == "src"]
    links = [value for key, value in found.attributes if key in {"href", "action"}]
    assert all(str(value).startswith("#") for value in links)
    assert " ".join(name.split())[:20].strip() in " ".join(found.text.split()) or not name.isprintable()


def test_markdown_has_no_link_no_html_and_no_row_more(hostile: tuple[str, Log], tmp_path: Path) -> None:
    _, log = hostile
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")

    def shape(text: str) -> list[str]:
        tokens = reader.parse(text)
        inner = [child.type for token in tokens for child in token.children or ()]
        assert not {"link_open", "image", "html_inline"} & set(inner)
        return [token.type for token in tokens]

    logs = (log, innocent(tmp_path))
    texts = [write_markdown(results_report(results_of(one, RATES), RATES)) for one in logs]
    assert shape(texts[0]) == shape(texts[1])
    assert "html_block" not in shape(texts[0])
    assert not re.search(r"(?<!\\)://|(?i:(?<![\w\\])www\.)", texts[0])
    assert all(line.isprintable() for line in texts[0].replace("\N{NO-BREAK SPACE}", "").splitlines())


def test_csv_has_no_formula_and_nothing_that_a_terminal_obeys(hostile: tuple[str, Log]) -> None:
    name, log = hostile
    stream = io.BytesIO()
    write_csv(stream, ATTEMPT_COLUMNS, attempt_rows([log.state]))
    text = stream.getvalue().decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert row["arm"].removeprefix("'").replace("|'", "|").replace(";'", ";") == visible(name).replace(
        "|'", "|"
    )
    assert row["arm"][:1] not in set('=+-@"')
    assert all(line.replace("\N{NO-BREAK SPACE}", "").isprintable() for line in text.split("\r\n"))


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
@pytest.mark.parametrize(
    "text",
    [
        "x;=1+1;y",
        "x; \t=1+1",
        "x|@SUM(1)|y",
        'x;"=1+1;y',
        "x\t=1+1\ty",
        "x\r\n=1+1\n=1+1",
        "x;\uff1d1+1",
        "=1+1",
    ],
)
def test_no_spreadsheet_finds_a_formula_at_whatever_it_begins_cells(separator: str, text: str) -> None:
    columns = [RowColumn("a", "text", "", ""), RowColumn("b", "text", "", "")]
    stream = io.BytesIO()
    write_csv(stream, columns, [{"a": "plain", "b": text}])
    for row in csv.reader(io.StringIO(stream.getvalue().decode(), newline=""), delimiter=separator):
        assert not any(cell.strip(' "')[:1] in set("=+-@\uff1d") for cell in row if cell.strip(' "'))


def test_an_innocent_text_is_the_same_in_a_cell() -> None:
    for text in ("prefix-1,lean", "a; b | c", "[+0.1, -0.2]", "x = 1; y = 2", 'say "so"; then'):
        assert csv_text(text) == text


def test_pictures_are_well_formed_and_run_nothing(hostile: tuple[str, Log]) -> None:
    pytest.importorskip("matplotlib")
    _, log = hostile
    for figure in ("attempts", "progress"):
        picture = ET.fromstring(Reported([log], RATES).svg(figure, 2))
        tags = {element.tag.rpartition("}")[2] for element in picture.iter()}
        assert not tags & {"script", "a", "image", "foreignObject", "iframe"}
        links = [v for element in picture.iter() for k, v in element.attrib.items() if k.endswith("href")]
        assert all(link.startswith(("#", "http://purl.org/")) for link in links)


def test_pdf_says_what_it_is_about_and_no_more(hostile: tuple[str, Log]) -> None:
    pytest.importorskip("matplotlib")
    _, log = hostile
    content = Reported([log], RATES).pdf()
    assert content.startswith(b"%PDF-")
    assert content.count(b"/Type /Catalog") == 1
    assert not re.search(rb"/JavaScript|/Launch|/OpenAction|/URI|/AA\b", content)


def test_the_hub_reads_a_card_and_finds_only_what_we_said(hostile: tuple[str, Log]) -> None:
    name, log = hostile
    catalogue = read_catalogue(StateFolder(log.state))
    facts = card_facts(log, catalogue, find_version(catalogue, "head"), RATES)
    text = write_card(facts, CardNames(name=name, location=name))
    front, _, body = text.removeprefix("---\n").partition("\n---\n")
    found = yaml.safe_load(front)
    assert found == card_front_matter(facts, CardNames(name=name, location=name))
    assert found["license"] == "unknown"
    assert found["co2_eq_emissions"]["geographical_location"] == visible(name)
    assert "base_model" not in found
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    inner = {child.type for token in tokens for child in token.children or ()}
    assert not {"link_open", "image", "html_inline"} & inner
    assert "html_block" not in {token.type for token in tokens}


def test_our_own_intervals_stay_readable() -> None:
    assert markdown_text("Δ [+0.1, +0.2] a_b [x](y)") == r"Δ [+0.1, +0.2] a\_b \[x\](y)"
