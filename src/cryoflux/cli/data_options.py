"""Options that say which examples there are, and how their files are read: said once for all commands."""

from __future__ import annotations

__all__ = [
    "AuditOption",
    "BalanceOption",
    "EncodingOption",
    "HoldoutOption",
    "HoldoutSizeOption",
    "LabelColumnOption",
    "MostDroppedOption",
    "SpareHoldoutsOption",
    "TextColumnOption",
    "setting_option",
]

from typing import Annotated

import typer


def setting_option(help_text: str, flag: str, *, metavar: str | None = None) -> object:
    """An option that is a setting: its default stands in the help of settings, and is not said twice."""
    return typer.Option(flag, help=help_text, metavar=metavar, show_default=False)


HoldoutOption = Annotated[
    str | None, setting_option("Examples that Δ is measured on.", "--holdout", metavar="FILE")
]
AuditOption = Annotated[
    str | None, setting_option("Sealed examples, only reported.", "--audit", metavar="FILE")
]
TextColumnOption = Annotated[
    str | None, setting_option("Column of the texts; NAME,NAME for pairs.", "--text-column", metavar="NAME")
]
LabelColumnOption = Annotated[
    str | None, setting_option("Column of the classes.", "--label-column", metavar="NAME")
]
EncodingOption = Annotated[str | None, setting_option("Of text files; else it is found.", "--encoding")]
MostDroppedOption = Annotated[
    float | None, setting_option("Most rows that may lack text or label, as a share.", "--most-dropped")
]
BalanceOption = Annotated[
    int | None, setting_option("Cut classes to so many times the smallest; 0 for none.", "--balance")
]
HoldoutSizeOption = Annotated[
    int | None, setting_option("Most holdout examples split off.", "--holdout-size")
]
SpareHoldoutsOption = Annotated[int | None, setting_option("Further holdouts split off.", "--spare-holdouts")]
