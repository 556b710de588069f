"""``cryoflux contract``: agree on what updates are to gain, and see from both logs what came of it."""

from __future__ import annotations

__all__ = ["app"]

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryoflux.cli.chosen import reader_state, settings_of, state_of, there
from cryoflux.cli.console import JsonOption, StateOption, emit_json, stdout
from cryoflux.cli.contract_new import new_contract
from cryoflux.cli.contract_options import (
    NANO,
    PPM,
    SOME_CLAUSES,
    AlphaOption,
    ClauseOption,
    DeltaOption,
    ExamplesOption,
    JoulesOption,
    LogOption,
    PointOption,
    PowerOption,
    SpreadOption,
    WindowsOption,
    evaluator_of,
    joules_of,
    say_signed,
    signing,
)
from cryoflux.cli.contract_words import (
    NO_MONEY,
    check_document,
    evidence_document,
    look_document,
    print_check,
    print_differences,
    print_look,
    print_verdict,
    verdict_document,
)
from cryoflux.cli.groups import CommandGroup
from cryoflux.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from cryoflux.network.contracts.evaluation import ContractVerdict
    from cryoflux.network.contracts.told import ContractTold
    from cryoflux.receipts.contract_parts import AgreedTerms

app = typer.Typer(
    cls=CommandGroup,
    help="Agree on what updates are to gain, and see what came of it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
ContractArgument = Annotated[
    str, typer.Argument(metavar="CONTRACT", help="Its file, or the first digits of its digest.")
]


app.command("new")(new_contract)


@app.command("check")
def check_contract(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A contract; else options.", show_default=False)
    ] = None,
    clause: ClauseOption = None,
    examples: ExamplesOption = 0,
    windows: WindowsOption = 4,
    delta: DeltaOption = 0.05,
    spread: SpreadOption = 0.0,
    joules: JoulesOption = "",
    joules_estimate: PointOption = "",
    alpha: AlphaOption = 0.01,
    power: PowerOption = 0.95,
    as_json: JsonOption = False,
) -> None:
    """Say whether a guest holdout is large enough for terms, or for which; exit 1 if it is not."""
    from cryoflux.network.contracts.document import read_contract, refuse_terms
    from cryoflux.network.contracts.power import asked_of, planned_terms
    from cryoflux.runs.contract_check import check_terms

    if file is not None:
        agreed = read_contract(file)
        refuse_terms(agreed)
        clauses, planned = agreed.clauses, planned_terms(agreed)
    else:
        counted, clauses = joules_of(joules, joules_estimate, "counter"), _clauses(clause)
        ppm = round(alpha * PPM), round(power * PPM)
        nano = round(delta * NANO), round(spread * NANO)
        planned = asked_of(clauses, examples or 512, windows, ppm, nano, counted)
    if planned is None:
        raise UsageError(
            "The terms ask for nothing that is measured.",
            why="Whether bytes can be had needs no examples.",
            hint='Add a clause such as --clause "delta >= 0.05 nats".',
        )
    found = check_terms(planned, sum(text != "available" for text in clauses))
    if as_json:
        emit_json("contract.check/1", check_document(found))
    else:
        print_check(found)
    if not found.planned.enough:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _clauses(named: list[str] | None) -> tuple[str, ...]:
    if not named:
        raise UsageError(
            "Neither a contract nor a clause is named.",
            why="Whether a guest holdout is large enough depends on what is asked for.",
            hint=f'Name its file, or a clause, as in --clause "{SOME_CLAUSES[0]}" --delta 0.3 --spread 0.8.',
        )
    return tuple(named)


@app.command("accept")
def accept_contract(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The contract, as the other party sent it.")],
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign for terms of the other party, as they are; nothing is measured by that."""
    from cryoflux.network.contracts.document import read_contract
    from cryoflux.runs.contracting import accept_terms

    terms = read_contract(file)
    with signing(state) as hand:
        entry, path = accept_terms(hand, terms), hand.state.path
    say_signed("accepted", terms, entry, path, as_json=as_json)


@app.command("look")
def look_at_contract(
    contract: ContractArgument,
    unavailable: Annotated[
        bool, typer.Option("--unavailable", help="Say that the bytes of what was offered could not be had.")
    ] = False,
    budget: Annotated[
        str, typer.Option("--budget", metavar="ENERGY", help="Granted for it; all that it takes is charged.")
    ] = "100J",
    log: LogOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """As the buyer, look at the window that is due, once, and publish a bit for each clause.

    Two models read every example of the guest holdout. Nothing ends that half-way: what it takes beyond
    --budget is charged too, and the next grant pays for it first.
    """
    from cryoflux.network.contracts.due import ContractLogs
    from cryoflux.network.contracts.logs import read_logs
    from cryoflux.quantities import parse_energy
    from cryoflux.runs.contract_look import look_at_window
    from cryoflux.runs.contracting import contract_at, folders_of, refuse_stranger
    from cryoflux.runs.metered_by_hand import metered_by_hand

    settings, path = settings_of(state)
    terms = contract_at(there(path), contract)
    logs = ContractLogs(terms, read_logs(terms, log or folders_of(path), strict=bool(log)))
    granted_uj = parse_energy(budget)
    with signing(state) as hand:
        refuse_stranger(hand, terms)
        meter = partial(metered_by_hand, hand, settings, granted_uj, "cryoflux contract look --budget")
        found = look_at_window(hand, terms, logs, evaluator_of(terms), meter=meter, unavailable=unavailable)
    if as_json:
        emit_json("contract.look/1", look_document(terms, found))
    else:
        print_look(terms, found)


@app.command("evaluate")
def evaluate_contract(
    contract: ContractArgument,
    log: LogOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a contract has come to, by the logs of both parties; exit 1 if it is breached."""
    terms, verdict, _ = _evaluated(contract, log, state)
    if as_json:
        emit_json("contract.evaluate/1", verdict_document(terms, verdict))
    else:
        print_verdict(terms, verdict)
    if verdict.standing.value == "breached":
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


@app.command("result")
def sign_result(
    contract: ContractArgument,
    log: LogOption = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign for what the windows that are over came to; exit 1 where the other party signed something else."""
    from cryoflux.receipts.contract_parts import ContractStanding
    from cryoflux.runs.contract_check import results_apart
    from cryoflux.runs.contracting import refuse_stranger, write_result

    terms, verdict, told = _evaluated(contract, log, state)
    written = []
    with signing(state) as hand:
        apart = list(results_apart(verdict, told, hand.origin))
        refuse_stranger(hand, terms)
        tally = hand.memory.nodes[terms.task].contracts[terms.digest]
        for one in verdict.windows:
            said = tally.result(one.window)
            same = said is not None and said.clauses == tuple(each.result for each in one.clauses)
            if one.standing is not ContractStanding.PENDING and not same:
                written.append((one, write_result(hand, terms, verdict, one)))
        if written:
            hand.published(binding=False)
    if as_json:
        signed = [
            {"number": one.window + 1, "standing": one.standing.value, "entry": entry.index}
            for one, entry in written
        ]
        differing = [
            {
                "number": one.window + 1,
                "origin": one.origin,
                "standing": one.standing.value,
                "clause": one.clause.clause if one.clause is not None else None,
                "mine": evidence_document(one.mine) if one.mine is not None else None,
                "theirs": evidence_document(one.theirs) if one.theirs is not None else None,
            }
            for one in apart
        ]
        document = {"event": "signed", "contract": terms.digest, "signed": signed, "differing": differing}
        emit_json("contract.result/1", document)
    else:
        for one, entry in written:
            line = f"window {one.window + 1}: {one.standing.value}, signed as entry {entry.index}"
            stdout.print(line, markup=False)
        if not written:
            stdout.print("nothing new to sign: no window has ended since, or come to something else")
        print_differences(apart, terms)
        stdout.print(NO_MONEY, markup=False)
    if apart:
        raise typer.Exit(int(ExitCode.NEGATIVE_VERDICT))


def _evaluated(
    contract: str, log: list[Path] | None, state: str | None
) -> tuple[AgreedTerms, ContractVerdict, list[ContractTold]]:
    from cryoflux.network.contracts.evaluation import evaluate
    from cryoflux.network.contracts.logs import read_logs
    from cryoflux.runs.contracting import contract_at, folders_of

    # Files that are named need no state.
    path = state_of(state) if log and Path(contract).is_file() else reader_state(state)
    terms = contract_at(path, contract)
    told = read_logs(terms, log or folders_of(path), strict=bool(log))
    return terms, evaluate(terms, told), told
