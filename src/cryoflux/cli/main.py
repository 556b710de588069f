"""The ``cryoflux`` command: registers every command and turns errors into exit codes."""

from __future__ import annotations

__all__ = ["app", "main"]

import sys
from typing import Annotated

import typer

from cryoflux import __version__
from cryoflux.cli import agent, config, doctor, energy, models, receipts, report, run, verify
from cryoflux.cli.console import print_error, stderr, stdout
from cryoflux.errors import CryoFluxError, ExitCode

app = typer.Typer(
    name="cryoflux",
    help="Fine-tune on an energy budget. Keep only what measurably helps. Hand anyone a receipt.",
    epilog="Exit codes: 0 done · 1 the verdict is negative · 2 usage · 3 cannot measure · "
    "4 budget exhausted before one attempt finished · 5 cannot store · 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.add_typer(receipts.app, name="receipts")
app.add_typer(models.app, name="models")
app.add_typer(config.app, name="config")
app.command("verify")(verify.verify)
app.command("agent")(agent.agent)
app.add_typer(energy.app, name="energy")
app.command("report")(report.report)
app.command("doctor")(doctor.doctor)


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


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        app()
    except CryoFluxError as error:
        print_error(error, as_json="--json" in sys.argv)
        sys.exit(int(error.exit_code))
    except KeyboardInterrupt:
        stderr.print("interrupted")
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        sys.exit(int(ExitCode.DONE))
