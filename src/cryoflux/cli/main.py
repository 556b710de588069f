"""The ``cryoflux`` command: registers every command and turns errors into exit codes."""

from __future__ import annotations

__all__ = ["app", "main", "parser"]

import logging
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from cryoflux import __version__
from cryoflux.cli import (
    agent,
    capsule,
    claim,
    config,
    contract,
    dashboard,
    data,
    doctor,
    energy,
    export,
    fleet,
    fork,
    judge,
    keys,
    leaks,
    measure,
    memory,
    models,
    node,
    receipts,
    replay,
    report,
    run,
    search,
    state,
    verify,
    witness,
)
from cryoflux.cli.console import close_stdout, print_error, stderr, stdout
from cryoflux.cli.groups import CommandGroup, SettingsCommand
from cryoflux.errors import CryoFluxError, ExitCode, StorageError, UsageError

_LEARN, _MEASURE, _CHECK = "Learn", "Measure", "Check and prove"
_NETWORK, _KEYS, _SETTINGS = "Share with others", "Keys and witnesses", "Settings"
app = typer.Typer(
    cls=CommandGroup,
    name="cryoflux",
    help="Fine-tune on an energy budget. Keep only what measurably helps. Hand anyone a receipt.",
    epilog="Exit codes: 0 done · 1 the verdict is negative · 2 usage · 3 cannot measure · "
    "4 budget exhausted before one attempt finished · 5 cannot store · 130 interrupted · 141 output closed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run", cls=SettingsCommand, rich_help_panel=_LEARN)(run.run)
app.add_typer(fleet.app, name="fleet", rich_help_panel=_LEARN)
app.command("search", rich_help_panel=_LEARN)(search.search)
app.command("dashboard", rich_help_panel=_LEARN)(dashboard.dashboard)
app.add_typer(data.app, name="data", rich_help_panel=_LEARN)
app.command("leaks", rich_help_panel=_LEARN)(leaks.leaks)
app.command("report", rich_help_panel=_LEARN)(report.report)
app.command("export", rich_help_panel=_LEARN)(export.export)
app.command("fork", rich_help_panel=_LEARN)(fork.fork)
app.add_typer(models.app, name="models", rich_help_panel=_LEARN)
app.add_typer(state.app, name="state", rich_help_panel=_LEARN)
energy.app.command("measure")(measure.measure)
energy.app.command("replay")(replay.replay)
energy.app.command("fit-curve")(replay.fit_curve)
app.add_typer(energy.app, name="energy", rich_help_panel=_MEASURE)
app.command("doctor", rich_help_panel=_MEASURE)(doctor.doctor)
app.command("agent", cls=SettingsCommand, rich_help_panel=_MEASURE)(agent.agent)
app.command("judge", rich_help_panel=_CHECK)(judge.judge)
app.command("verify", rich_help_panel=_CHECK)(verify.verify)
app.add_typer(receipts.app, name="receipts", rich_help_panel=_CHECK)
app.command("claim", rich_help_panel=_CHECK)(claim.claim)
app.add_typer(contract.app, name="contract", rich_help_panel=_CHECK)
app.add_typer(memory.app, name="memory", rich_help_panel=_CHECK)
app.add_typer(capsule.app, name="capsule", rich_help_panel=_NETWORK)
app.add_typer(node.app, name="node", rich_help_panel=_NETWORK)
app.add_typer(keys.app, name="keys", rich_help_panel=_KEYS)
app.add_typer(witness.app, name="witness", rich_help_panel=_KEYS)
app.add_typer(config.app, name="config", rich_help_panel=_SETTINGS)


def _show_version(asked: bool) -> None:
    if asked:
        stdout.print(f"cryoflux {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


# typer parses with a click of its own or with the installed one; its public error leads to the right base.
_ParsingError: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)


@cache
def parser() -> Any:
    """What parses all commands; made from their functions once in a process, which takes 40 ms."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks Δ shows ?, and nothing breaks
    logging.getLogger("stamina").setLevel(logging.ERROR)  # what is tried again is said once it has failed
    try:
        sys.exit(_run())
    except CryoFluxError as error:
        print_error(error, as_json="--json" in sys.argv)
        if "--debug" in sys.argv and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        close_stdout()
        sys.exit(int(ExitCode.OUTPUT_CLOSED))


def _run() -> int:
    try:
        code = parser()(standalone_mode=False)
        sys.stdout.flush()
    except _ParsingError as error:
        return _refuse(error)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except BrokenPipeError:
        raise
    except OSError as error:
        if isinstance(error, CryoFluxError):
            raise
        close_stdout()
        named = "Something" if error.filename is None else error.filename
        raise StorageError(
            f"{named} could not be read or written: {error.strerror or error}.",
            why="What was recorded before is safe.",
            hint="Check the disk and what the output goes to, then run the same command again.",
        ) from error
    if code == ExitCode.INTERRUPTED:  # as typer tells Ctrl-C, without a word
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _refuse(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(ExitCode.USAGE)
    raise UsageError(
        error.format_message(),
        why="Nothing was done.",
        hint=f"See what it takes: {_named(sys.argv[1:])} --help.",
    ) from error


def _named(words: Sequence[str]) -> str:
    """The command that some words name, as one types it: not every parsing error knows."""
    command, found = parser(), ["cryoflux"]
    for word in words:
        if (below := getattr(command, "commands", {}).get(word)) is None:
            break
        command, found = below, [*found, word]
    return " ".join(found)
