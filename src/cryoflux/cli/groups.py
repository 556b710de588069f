"""Commands in groups, each with one whole sentence, and the defaults of settings in the help of a command."""

from __future__ import annotations

__all__ = ["CommandGroup", "SettingsCommand"]

from typing import Any

from typer.core import TyperCommand, TyperGroup


class CommandGroup(TyperGroup):
    """A group whose help names its commands under the headings that they were registered with."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the commands, heading by heading, in the order in which they were registered."""
        by_heading: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            if not command.hidden:
                heading = getattr(command, "rich_help_panel", None)
                heading = heading if isinstance(heading, str) else "Commands"
                by_heading.setdefault(heading, []).append((name, _first_sentence(command.help or "")))
        width = max((len(name) for rows in by_heading.values() for name, _ in rows), default=0)
        for heading, rows in by_heading.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())


class SettingsCommand(TyperCommand):
    """A command whose options are settings: its help says what each is where nothing sets it."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with the defaults."""
        from cryoflux.config import SECTION_OF, Settings

        defaults = Settings().model_dump()
        for option in self.params:
            section = SECTION_OF.get(str(option.name))
            value = defaults[section][option.name] if section is not None else None
            if value is None and section == "attempt":
                value = "the recipe's"
            if value not in (None, "") and not isinstance(getattr(option, "show_default", None), str):
                option.show_default = str(value)  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)
