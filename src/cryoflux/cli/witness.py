"""``cryoflux witness``: be a witness of logs, have one's own witnessed, and check evidence against one."""

from __future__ import annotations

__all__ = ["app"]

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.chosen import state_of
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stderr, stdout
from cryoflux.cli.groups import CommandGroup
from cryoflux.cli.witness_words import witness_document, witness_line
from cryoflux.errors import ConfigError, ExitCode, UsageError, VerificationError

if TYPE_CHECKING:
    from cryoflux.receipts.checkpoint import Checkpoint, VerifierKey
    from cryoflux.witness.client import Collected
    from cryoflux.witness.service import Witness

app = typer.Typer(
    cls=CommandGroup,
    help="Witness logs, and have one's own witnessed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_MOST_LOGS = 10_000


def _keys(given: list[str], listed: Path | None) -> list[VerifierKey]:
    from cryoflux.files import read_beginning
    from cryoflux.receipts.checkpoint import KeyType, parse_verifier_key

    lines = list(given)
    if listed is not None:
        try:
            text = read_beginning(listed, _MOST_LOGS * 400).decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"{listed} cannot be read: {error}.", hint="Name a file with a verifier key a line."
            ) from error
        lines += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    keys = []
    for line in lines[:_MOST_LOGS]:
        try:
            key = parse_verifier_key(line)
        except VerificationError as error:
            raise UsageError(error.what, why="Only a named key can be checked.", hint=error.hint) from error
        if key.kind is not KeyType.LOG:
            raise UsageError(f"{key.name} is the key of a witness.", hint="Name keys of logs (type 01).")
        keys.append(key)
    return keys


@app.command("serve")
def serve_witness(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="Folder of the witness's key and memory.")
    ] = Path("witness"),
    log: Annotated[
        list[str] | None, typer.Option("--log", metavar="VKEY", help="Key of a log to witness; repeatable.")
    ] = None,
    logs: Annotated[
        Path | None, typer.Option("--logs", metavar="FILE", help="File with such keys, one a line.")
    ] = None,
    accept_new: Annotated[
        bool, typer.Option("--accept-new", help="Witness any log, by the key that it brings first.")
    ] = False,
    name: Annotated[
        str, typer.Option(help="Name of this witness; keep it for good.", show_default="by its key")
    ] = "",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for a free one.", min=0, max=65535)] = 8788,
    as_json: JsonOption = False,
) -> None:
    """Remember the newest head of each log, and cosign what continues it."""
    from cryoflux.serving.guard import is_loopback
    from cryoflux.serving.listening import bind, url_of
    from cryoflux.serving.server import serve
    from cryoflux.witness.server import create_app
    from cryoflux.witness.service import open_witness

    keys = _keys(log or [], logs)
    if not keys and not accept_new:
        raise ConfigError(
            "No log was named.",
            why="A witness cosigns only logs that it knows.",
            hint="Name one with --log VKEY (cryoflux witness key prints it), or add --accept-new.",
        )
    _check_name(name)
    with closing(bind(host, port)) as listener:
        witness, heads = open_witness(folder, name=name, logs=keys, accept_new=accept_new)
        with closing(heads):
            _announce(witness, url_of(listener), len(keys), as_json=as_json)
            serve(create_app(witness, only_loopback=is_loopback(host)), listener)


def _check_name(name: str) -> None:
    if name and (len(name) > 200 or "+" in name or any(c.isspace() or not c.isprintable() for c in name)):
        raise UsageError(
            f"{name!r} cannot be the name of a witness.",
            why="It stands in every signature line, between spaces.",
            hint="Take an address without a scheme, such as witness.example/w1.",
        )


def _announce(witness: Witness, url: str, count: int, *, as_json: bool) -> None:
    foreign = witness.foreign_heads()
    for head in foreign:
        stderr.print(_foreign(head), markup=False)
    if as_json:
        document = {"event": "listening", "url": url, "key": str(witness.key), "logs": count}
        heads = [{"origin": head.origin, "size": head.size, "root": head.root.hex()} for head in foreign]
        emit_json("witness.serve/1", {**document, "foreign_heads": heads})
        return
    stdout.print(f"witness of {count} logs on {url}", markup=False)
    stdout.print(f"for a policy: witness NAME {witness.key} {url}", markup=False)


def _foreign(head: Checkpoint) -> str:
    return (
        f"{head.origin}: {head.size} entries were cosigned here under this name, and none of the keys that "
        "are listed signed them. Unless an earlier key of this log did, whoever came first took its name "
        "(--accept-new), and this witness cannot cosign it: start another one, in a new folder."
    )


@app.command("key")
def show_key(state: StateOption = None, as_json: JsonOption = False) -> None:
    """Print the key of a state's log, as witnesses and policies name it."""
    from cryoflux.witness.cosigned import log_key_of

    key = log_key_of(state_of(state))
    if as_json:
        emit_json("witness.key/1", {"key": str(key)})
    else:
        stdout.print(str(key), markup=False)


@app.command("submit")
def submit_head(
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="Policy that names the witnesses.")
    ],
    state: StateOption = None,
    timeout: Annotated[float, typer.Option(help="How long to wait for answers, s.", min=0.1, max=600)] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Have the newest head of a state cosigned; exit 1 without a quorum."""
    from cryoflux.files import lock_exclusively
    from cryoflux.witness.policy import read_policy
    from cryoflux.witness.witnessing import open_witnessing

    chosen, folder = read_policy(policy), state_of(state)
    with (
        closing(open_witnessing(folder, chosen, timeout_s=timeout)) as witnessing,
        lock_exclusively(folder / "lock", holder="cryoflux witness submit"),
    ):
        found = witnessing.submit()
    _show(found, as_json=as_json)
    if not found.reached:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _show(found: Collected, *, as_json: bool) -> None:
    if as_json:
        emit_json("witness.submit/1", witness_document(found))
        return
    stdout.print(witness_line(found), markup=False)
    for problem in found.problems:
        stderr.print(problem, markup=False)


@app.command("check-evidence")
def check_evidence(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Evidence that a witness or verifier kept.")],
    log: Annotated[str, typer.Option("--log", metavar="VKEY", help="The log that it has to be about.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check that a log signed two histories; exit 1 if the file does not show it."""
    from cryoflux.files import read_beginning
    from cryoflux.witness.evidence import MAX_EVIDENCE_BYTES, check_equivocation, parse_equivocation

    try:
        content = read_beginning(file, MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be read: {error.strerror}.", hint="Name a file of evidence."
        ) from error
    found = parse_equivocation(content)
    said = check_equivocation(found)
    if log and str(found.log) != log:
        raise VerificationError(
            f"The evidence is about {found.log}, not about {log}.",
            why="Anybody can make a log of their own that tells two stories.",
        )
    if as_json:
        document = {"event": "equivocation", "log": str(found.log), "said": said, "expected": bool(log)}
        emit_json("witness.check-evidence/1", document)
        return
    stdout.print(f"✓ PROVEN: {said}", markup=False)
    if not log:
        stdout.print(f"Make sure that this is the key of the log that you mean: {found.log}", markup=False)
