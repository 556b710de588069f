"""What an entry of the log says, in a sentence or two for somebody who has never seen one."""

from __future__ import annotations

__all__ = ["entry_sentence"]

from cryoflux.quantities import counted, format_energy, format_nats
from cryoflux.receipts.charged import EnergyFigure
from cryoflux.receipts.entry import Entry
from cryoflux.receipts.key_statement import KeyRevocation, KeyRoot, KeyRotation, KeyStatement
from cryoflux.receipts.per_token import per_token_text, tokens_per_example
from cryoflux.receipts.session import Session
from cryoflux.receipts.statement import Fork, HeadMove, Intent, Judgement, Move, Receipt
from cryoflux.report.contract_sentences import contract_sentence
from cryoflux.report.network_words import network_sentence
from cryoflux.sentences import brief, say

_MOVED = {
    Move.ROLLBACK: "The head of {task} went back, since it was found to be worse",
    Move.PROMOTION: "The head of {task} was moved, since somebody chose another version",
}


def entry_sentence(entry: Entry, number: int | None) -> str:
    """What an entry says, in plain language.

    Args:
        entry: it.
        number: of the attempt that it is about; none where it is about none.
    """
    name = f"Attempt #{number}" if number is not None else "An attempt"
    if entry.intent is not None:
        return _announced(entry.intent, name)
    if entry.receipt is not None:
        return _finished(entry.receipt, name)
    return _of_no_attempt(entry)


def _of_no_attempt(entry: Entry) -> str:
    if entry.move is not None:
        return _moved(entry.move)
    if entry.session is not None:
        return _session(entry.session)
    if entry.fork is not None:
        return _forked(entry.fork)
    if entry.judgement is not None:
        return _judged(entry.judgement)
    if entry.network is not None or entry.contract is not None:
        return _of_a_node(entry)
    return _key(entry.key) if entry.key is not None else ""


def _of_a_node(entry: Entry) -> str:
    if entry.contract is not None:
        return contract_sentence(entry.contract)
    return network_sentence(entry.network) if entry.network is not None else ""


def _announced(intent: Intent, name: str) -> str:
    reserved = format_energy(intent.reserved_microjoules)
    return (
        f"{name} is announced, before it is tried: the recipe {intent.task.arm} of {intent.task.name}, with "
        f"at most {reserved} reserved. It can no longer be left out."
    )


def _finished(receipt: Receipt, name: str) -> str:
    energy, judged = receipt.energy, receipt.evaluation
    spent = f"It was charged {format_energy(energy.microjoules)} ({energy.tier.value}){_by_workers(energy)}."
    if judged is None:
        return f"{name} ended {receipt.outcome.word}. {say(receipt.reason)} {spent}"
    gained = format_nats(judged.delta_sum / judged.read / 1e9)
    unit, count = judged.metric.unit, judged.read
    each = per_token_text(judged.delta_sum / count / 1e9, unit, tokens_per_example(receipt))
    gained = f"{gained} {unit} per example{f' ({each})' if each else ''}"
    change = f"Δ is {gained}, over {count} examples of the holdout"
    return f"{name} was {receipt.outcome.word}. {change}; {brief(receipt.reason).rstrip('.')}. {spent}"


def _moved(move: HeadMove) -> str:
    if move.move is Move.PRUNE:
        count = "1 version" if len(move.pruned) == 1 else f"{len(move.pruned)} versions"
        return f"The files of {count} of {move.task} were freed; the head stays."
    ends = f"from {move.base.digest[:12]}… to {move.result.digest[:12]}…"
    return f"{_MOVED[move.move].format(task=move.task)}: {ends}. {say(move.reason)}"


def _session(session: Session) -> str:
    beside = format_energy(session.energy.microjoules)
    return (
        f"A run ended ({session.ended.value}) after {counted(session.attempts, 'attempt')}; beside them it "
        f"was charged {beside} ({session.energy.tier.value}){_by_workers(session.energy)}."
    )


def _by_workers(energy: EnergyFigure) -> str:
    """What of it the meters of workers charged, as a clause; empty where none did."""
    parts = [part for part in energy.parts if part.worker]
    if not parts:
        return ""
    lent = format_energy(sum(part.microjoules for part in parts))
    return f", of which {lent} by {counted(len(parts), 'worker')} with a meter of its own"


def _forked(fork: Fork) -> str:
    tasks = ", ".join(said.task for said in fork.tasks) or "no task yet"
    return f"This log goes on from another one, whose signed head it names: {tasks}."


def _judged(said: Judgement) -> str:
    measured = said.measured
    gained = format_nats((measured.base_loss_sum - measured.new_loss_sum) / measured.count / 1e9)
    change = f"Δ is {gained} {measured.metric.unit} per example, over {measured.count} examples"
    if said.tokens is not None and said.tokens.targets:
        of_all = (measured.base_loss_sum - measured.new_loss_sum) / said.tokens.targets / 1e9
        change += f" ({format_nats(of_all)} per token that had to be said)"
    if said.tokens is not None and said.tokens.cut:
        change += f", of which {said.tokens.cut} were cut at {said.tokens.most} tokens"
    stated = said.energy
    cost = (
        "Nobody stated what it cost."
        if stated is None
        else f"{format_energy(stated.microjoules)} are stated."
    )
    return (
        f"{said.new.name} was held against {said.base.name}, and was {said.outcome.word}. {change}; "
        f"{brief(said.reason).rstrip('.')}. {cost}"
    )


def _key(said: KeyStatement) -> str:
    match said.predicate:
        case KeyRoot(root=root):
            return (
                f"The root key of this log is named: {root.keyid[:16]}…. It alone may replace receipt keys."
            )
        case KeyRotation(successor=successor, retired=retired):
            return f"Key {retired[:16]}… signs no more entries; {successor.keyid[:16]}… does from here on."
        case KeyRevocation(revoked=revoked):
            return f"Key {revoked[:16]}… is revoked: nothing that it signs after this entry counts."
