"""Pictures for papers: drawn by matplotlib, one or two columns wide, saved with a title and words.

Letters are drawn as outlines, so that a picture looks the same wherever it is shown; what it shows is said in
its ``title`` and ``desc``, for who cannot see it. No text is read as a formula: strangers have written some.
"""

from __future__ import annotations

__all__ = ["GREY", "INK", "ONE_COLUMN", "TWO_COLUMNS", "Picture", "drawing", "one_line", "saved", "shown"]

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any
from xml.sax.saxutils import escape

from cryoflux.errors import UsageError
from cryoflux.report.layout import visible

ONE_COLUMN = 3.5
"""inches"""
TWO_COLUMNS = 7.2
INK = "#222222"
GREY = "#8a8a8a"
_STYLE = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.5,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "cryoflux",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.major.width": 0.6,
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawn figure with what it says to who cannot see it."""

    figure: Any
    title: str
    description: str


@contextmanager
def drawing() -> Iterator[None]:
    """The style of all pictures, for as long as one is drawn and saved.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise UsageError(
            "matplotlib is not installed.",
            why="It draws pictures and PDF.",
            hint="Install it: pip install 'cryoflux[report]'.",
        ) from error
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font lacks is shown as a box; nobody is warned of what a stranger has written.
        warnings.filterwarnings("ignore", module="matplotlib")
        yield


def shown(text: str) -> str:
    """A text as a picture can have it: no control character, and no letter that its font lacks."""
    known = _letters()
    return "".join(c if ord(c) in known else "\N{REPLACEMENT CHARACTER}" for c in visible(text))


def one_line(text: str, most: int) -> str:
    """The same, cut to so many letters."""
    spelt = shown(text)
    return spelt if len(spelt) <= most else f"{spelt[: most - 1]}…"


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def saved(pictures: Sequence[Picture], kind: str, title: str) -> bytes:
    """The bytes of a file that holds a picture, or several pages of them.

    Args:
        pictures: of which SVG and PNG hold one.
        kind: ``svg``, ``pdf`` or ``png``.
        title: of the file.
    """
    if kind == "pdf":
        return _pdf(pictures, title)
    (picture,) = pictures
    stream = BytesIO()
    if kind == "png":
        picture.figure.savefig(stream, format="png", dpi=200, metadata={"Title": shown(title)})
        return stream.getvalue()
    picture.figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": "CryoFlux"})
    return _told(stream.getvalue().decode("utf-8"), picture).encode()


def _visible_lines(text: str) -> str:
    return "\n".join(map(visible, text.split("\n")))


def _told(svg: str, picture: Picture) -> str:
    """An SVG with its title and description where readers for the blind look for them."""
    title, said = (escape(_visible_lines(text)) for text in (picture.title, picture.description))
    opened = re.compile(r"<svg ([^>]*)>")
    named = f'<title id="title">{title}</title>\n <desc id="desc">{said}</desc>'
    return opened.sub(
        lambda found: f'<svg {found[1]} role="img" aria-labelledby="title desc">\n {named}', svg, count=1
    )


def _pdf(pictures: Sequence[Picture], title: str) -> bytes:
    from matplotlib.backends.backend_pdf import PdfPages

    stream = BytesIO()
    said = next((picture.description for picture in pictures if picture.description), "")
    about = {
        "Title": visible(title),
        "Subject": visible(" ".join(said.split("\n")))[:2000],
        "Creator": "CryoFlux",
        "Keywords": "energy, joules, LoRA, receipts",
        "CreationDate": None,
    }
    with PdfPages(stream, metadata=about) as pages:
        for picture in pictures:
            pages.savefig(picture.figure)
    return stream.getvalue()
