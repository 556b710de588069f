"""From values to HTML: an environment that escapes everything, and the ways in which a number is shown."""

from __future__ import annotations

__all__ = ["STATIC", "fill", "render"]

import functools
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from cryoflux import __version__
from cryoflux.pages.charts.svg import visible
from cryoflux.pages.scene import Page, Scene
from cryoflux.quantities import MICRO, Energy, format_energy
from cryoflux.report.version_words import byte_text

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_NAVIGATION = (
    ("live", "Live", "/"),
    ("attempts", "Attempts", "/attempts"),
    ("models", "Models", "/models"),
    ("receipts", "Receipts", "/receipts"),
    ("energy", "Energy", "/energy"),
)


def render(page: Page, scene: Scene) -> str:
    """The HTML of a page."""
    return (
        _environment()
        .get_template(page.template)
        .render(
            **page.values,
            page=page,
            scene=scene,
            navigation=_NAVIGATION,
            version=__version__,
        )
    )


def fill(template: str, **values: object) -> str:
    """The HTML of a template that is no page of a server."""
    return _environment().get_template(template).render(**values, version=__version__)


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "energy": _energy,
        "range": _range,
        "signed": _signed,
        "number": _number,
        "percent": _percent,
        "moment": _moment,
        "stamp": _stamp,
        "short": _short,
        "bytes": _bytes,
        "shell": _shell,
        "unitless": _unit_apart,
    }
    return made


def _shown(value: Any) -> Any:
    """A value as it stands in a page: strangers write many of them."""
    return visible(value) if type(value) is str else value


def _unit_apart(text: str) -> Markup:
    """A figure whose unit is set lighter: the last word of the text."""
    figure, _, unit = text.rpartition(" ")
    return Markup('{}\N{NO-BREAK SPACE}<span class="unit">{}</span>').format(figure, unit)


def _energy(value: Energy | float) -> Markup:
    """``118.4 J``: of an energy, of µJ as an integer, or of joules as a float."""
    if isinstance(value, Energy):
        return _unit_apart(format_energy(value.uj))
    return _unit_apart(format_energy(value if isinstance(value, int) else round(value * MICRO)))


def _range(value: Energy) -> str:
    """Both ends of an energy, in the unit that suits the upper one."""
    low, high = format_energy(value.lo_uj), format_energy(value.hi_uj)
    figure, _, unit = low.partition(" ")
    return f"{figure} to {high}" if high.endswith(f" {unit}") else f"{low} to {high}"


def _signed(value: float | None, digits: int = 3) -> str:
    """A number with its sign and so many decimals; a minus is one."""
    if value is None:
        return "unknown"
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float | None, digits: int = 1) -> str:
    return "unknown" if value is None else f"{100 * value:.{digits}f}"


def _moment(value: datetime | None) -> str:
    """``2026-11-29 11:22:25 UTC``."""
    return "time unknown" if value is None else f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _stamp(label: str) -> str:
    """The same of a time as an entry says it."""
    try:
        return _moment(datetime.fromisoformat(label))
    except ValueError:
        return "time unknown"


def _shell(word: object) -> str:
    """A word as a shell takes it, such as the path of a state."""
    return shlex.quote(str(word))


def _bytes(count: int) -> Markup:
    """``3.0 MB``."""
    return _unit_apart(byte_text(count))


def _short(digest: str) -> Markup:
    """The first digits of a digest, with all of them for who asks."""
    return Markup('<code class="digest" title="{}">{}</code>').format(escape(digest), digest[:12])
