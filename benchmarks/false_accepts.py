"""How often each acceptance rule keeps an update that is no improvement, and what caution costs.

    OMP_NUM_THREADS=1 python benchmarks/false_accepts.py [--quick] [--attempts N] [--lives N] [--json]
    OMP_NUM_THREADS=1 python benchmarks/false_accepts.py --only-lives

Real attempts move a softmax head on the features of the embedded model over the embedded data set, from
a half-trained head and from one near its plateau: 1,500 texts to train on, 1,500 to judge on, the rest as
a fresh audit. Synthetic attempts have a true Δ of exactly zero, the worst case, or the Δ that is named.
The second table is of whole lives of a holdout, 40 candidates each (`holdout_lives`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

import holdout_lives
from cryoflux.decision.budget import ErrorBudget
from cryoflux.decision.evidence import Evidence
from cryoflux.decision.power import detectable
from cryoflux.decision.rules import BUDGETED, Thresholds, decide
from cryoflux.decision.sequential import hopeless, looks

Array = np.ndarray[Any, Any]
Row = dict[str, float]  # rule → figure
NANO = 1_000_000_000
ALPHA_PPM = 1000
USUAL = Thresholds(min_delta=2_000_000, min_accuracy_gain_ppm=10_000, z_milli=3090)
SPREADS = (0.03, 0.06, 0.1, 0.15, 0.35)
FLIPS = 0.4
"""share of examples whose class flips, as a multiple of the spread (about .04 at .1)"""
KINDS = ("weight jitter", "shuffled labels", "learning rate ≈ 0")
LARGE = 512
"""examples of a holdout from which on lives are simulated with Gaussian δ, too: it is the harmless side"""
START = time.process_time()


@dataclass
class Judged:
    """What a rule is shown of one attempt."""

    evidence: Evidence
    train_delta: float
    """mean Δ on the training set, nats; only Thresholdout looks at it"""


Rule = Callable[[Judged], bool]


def budgeted(alpha_ppm: int) -> Rule:
    """``evidence/v2`` with the error budget of its holdout."""
    budget = ErrorBudget(alpha_ppm)

    def accepts(seen: Judged) -> bool:
        nonlocal budget
        bar = replace(USUAL, needed_milli=budget.needed_milli)
        accepted = decide(BUDGETED, seen.evidence, bar).accepted
        budget = budget.after(accepted=accepted)
        return accepted

    return accepts


def ladder(seen: Judged) -> bool:
    """The parameter-free Ladder: better than the best by one standard error (Blum & Hardt 2015, fig. 3)."""
    return seen.evidence.delta_mean > seen.evidence.delta_se


def thresholdout(rng: np.random.Generator) -> Rule:
    """Dwork et al. 2015 (Science 349:636): T = 0.04, Gaussian noise of 0.01; its answer decides."""

    def accepts(seen: Judged) -> bool:
        noise, said = rng.normal(0, 0.01, size=3), seen.train_delta
        if abs(said - seen.evidence.delta_mean) > 0.04 + noise[0] + noise[1]:
            said = seen.evidence.delta_mean + noise[2]
        return bool(said >= USUAL.min_delta / NANO)

    return accepts


def rules(rng: np.random.Generator) -> dict[str, Rule]:
    """Every rule, with a fresh holdout."""
    return {
        "whitepaper/v1": lambda seen: decide("whitepaper/v1", seen.evidence, USUAL).accepted,
        "evidence/v1": lambda seen: decide("evidence/v1", seen.evidence, USUAL).accepted,
        "evidence/v2": budgeted(ALPHA_PPM),
        "v2, α = .01": budgeted(10 * ALPHA_PPM),
        "Ladder": ladder,
        "Thresholdout": thresholdout(rng),
    }


def say(what: str) -> None:
    """Progress, on stderr."""
    print(f"[{time.process_time() - START:5.0f} CPU-s] {what}", file=sys.stderr, flush=True)


def evidence(count: int, total: float, squares: float, gained: int = 0, lost: int = 0) -> Evidence:
    """Evidence from Σδ and Σδ², nats."""
    base = 10 * NANO * count
    return Evidence(
        count, base, base - round(total * NANO), round(squares * NANO**2), lost, gained, gained, lost
    )


def gaussian(
    rng: np.random.Generator, schedule: list[int], mean: float, spread: float, flips: float
) -> list[Evidence]:
    """The evidence at each look of a holdout with Gaussian δ and fair flips."""
    steps = np.diff([0, *schedule])
    sums = rng.normal(mean * steps, spread * np.sqrt(steps))
    squares = spread**2 * rng.chisquare(np.maximum(steps - 1, 1)) * (steps > 1) + sums**2 / steps
    discordant = rng.binomial(steps, flips)
    gained = rng.binomial(discordant, 0.5)
    columns = (np.cumsum(column) for column in (sums, squares, gained, discordant - gained))
    rows = zip(schedule, *columns, strict=True)
    return [evidence(n, float(s), float(v), int(g), int(b)) for n, s, v, g, b in rows]


def synthetic(rng: np.random.Generator, count: int, mean: float, spread: float, flips: float) -> Judged:
    """One attempt, with a training set that is as large as the holdout and not overfitted."""
    (whole,) = gaussian(rng, [count], mean, spread, flips)
    return Judged(whole, float(rng.normal(mean, spread / np.sqrt(count))))


def skewed(rng: np.random.Generator, count: int, spread: float) -> Judged:
    """One attempt of true Δ zero that mostly helps a little and rarely harms much: skewness −2."""
    deltas = spread * (1 - rng.exponential(size=count))
    return Judged(
        evidence(count, float(deltas.sum()), float(deltas @ deltas)), rng.normal(0, spread / count**0.5)
    )


def share_kept(seed: int, attempts: int, draw: Callable[[np.random.Generator], Judged], scale: int) -> Row:
    """Rule → kept per ``scale`` attempts, each as the first look at its holdout (the lowest bar of v2)."""
    rng = np.random.default_rng(seed)
    seen = [draw(rng) for _ in range(attempts)]
    return mean_of([{name: rule(one) for name, rule in rules(rng).items()} for one in seen], scale)


def gaussian_drift(seed: int, lives: int, count: int, spread: float) -> Row:
    """Rule → Δ that the holdout shows and that is not there, after 200 attempts of true Δ zero, nats."""
    rng = np.random.default_rng(seed)
    drift = dict.fromkeys(rules(rng), 0.0)
    for _ in range(lives):
        seen = [synthetic(rng, count, 0.0, spread, FLIPS * spread) for _ in range(200)]
        for name, rule in rules(rng).items():
            drift[name] += sum(s.evidence.delta_mean for s in seen if rule(s)) / lives
    return drift


def reading(seed: int, attempts: int, count: int, mean: float, spread: float) -> tuple[float, float, float]:
    """Share of the holdout read, and shares kept with and without stopping, at the first look of v2."""
    rng, bar = np.random.default_rng(seed), replace(USUAL, needed_milli=ErrorBudget(ALPHA_PPM).needed_milli)
    read = early = whole = 0
    for _ in range(attempts):
        seen = gaussian(rng, looks(count), mean, spread, FLIPS * spread)
        stop = next((e.count for e in seen if hopeless(e, count, bar, BUDGETED)), count)
        kept = decide(BUDGETED, seen[-1], bar).accepted
        read, whole, early = read + stop, whole + kept, early + (kept and stop == count)
    return read / attempts / count, early / attempts, whole / attempts


@dataclass
class Task:
    """Features with a constant 1, and classes: train, holdout, audit in this order."""

    features: Array
    classes: Array
    train: slice
    holdout: slice
    audit: slice

    def losses(self, head: Array) -> tuple[Array, Array]:
        """Per-example loss, nats, and whether the class is right."""
        scores = self.features @ head
        scores -= scores.max(axis=1, keepdims=True)
        rows = np.arange(len(scores))
        loss = np.log(np.exp(scores).sum(axis=1)) - scores[rows, self.classes]
        return loss, scores.argmax(axis=1) == self.classes

    def fit(self, head: Array, chosen: Array, classes: Array, steps: int, rate: float) -> Array:
        """The head after so many SGD steps on the chosen examples, 32 a step."""
        head = head.copy()
        for step in range(steps):
            batch = np.arange(32 * step, 32 * (step + 1)) % len(chosen)
            x, y = self.features[chosen[batch]], classes[batch]
            scores = np.exp((s := x @ head) - s.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
            scores[np.arange(32), y] -= 1
            head -= rate / 32 * (x.T @ scores)
        return head


def load_task(most: int) -> Task:
    """Mean-pooled features of the embedded model over ``most`` texts of the embedded data set."""
    import torch
    from transformers import logging

    from cryoflux.config import load_settings
    from cryoflux.tasks.lora.base_model import EMBEDDED, load_base
    from cryoflux.tasks.lora.inputs import read_splits

    torch.set_num_threads(1)
    logging.set_verbosity_error()
    _, splits = read_splits(load_settings(environ={}).settings)
    parts = (splits.train, splits.holdout, splits.audit, *splits.spares)
    pool = sorted((example for part in parts for example in part), key=lambda example: example.text)
    pool = [pool[i] for i in np.random.default_rng(0).permutation(len(pool))[:most]]
    base = load_base(EMBEDDED, splits.labels, seed=0)
    encoder = base.model.base_model.eval()
    features = np.ones((len(pool), encoder.config.hidden_size + 1))
    order = sorted(range(len(pool)), key=lambda i: len(pool[i].text))
    with torch.inference_mode():
        for at in range(0, len(order), 64):
            chosen = order[at : at + 64]
            texts = [pool[i].text for i in chosen]
            batch = base.tokenizer(texts, truncation=True, max_length=24, padding=True, return_tensors="pt")
            mask = batch["attention_mask"].unsqueeze(-1)
            states = encoder(**batch).last_hidden_state * mask
            features[chosen, :-1] = (states.sum(1) / mask.sum(1)).double().numpy()
    features[:, :-1] /= features[:, :-1].std()
    classes = np.array([splits.labels.index(example.label) for example in pool])
    fifth = len(pool) * 1500 // 7850
    return Task(features, classes, slice(0, fifth), slice(fifth, 2 * fifth), slice(2 * fifth, len(pool)))


def heads(task: Task) -> dict[str, Array]:
    """A half-trained head, and the best one of a long training (by the loss on every fifth training text)."""
    rng = np.random.default_rng(1)
    all_of = np.arange(task.train.stop)
    dev, chosen = all_of[::5], rng.permutation(all_of[all_of % 5 > 0])
    head = np.zeros((task.features.shape[1], int(task.classes.max()) + 1))
    found = {"half-trained": task.fit(head, chosen, task.classes[chosen], 20, 0.02)}
    best, lowest = head, np.inf
    for _ in range(60):
        head = task.fit(head, order := rng.permutation(chosen), task.classes[order], 20, 0.02)
        if (loss := task.losses(head)[0][dev].mean()) < lowest:
            best, lowest = head, loss
    return found | {"near the plateau": best}


def candidate(kind: str, task: Task, head: Array, rng: np.random.Generator) -> Array:
    """The head after one attempt of a kind."""
    if kind == "weight jitter":
        return head + 10 ** rng.uniform(-3, -0.5) * head.std() * rng.normal(size=head.shape)
    chosen = rng.choice(task.train.stop, size=min(204, task.train.stop), replace=False)
    classes = task.classes[chosen]
    rate = 10 ** rng.uniform(-3, -1.5)
    if kind == "shuffled labels":
        classes = rng.permutation(classes)
    if kind == "learning rate ≈ 0":
        rate *= rng.choice([0.0, 1e-6, 1e-4])
    return task.fit(head, chosen, classes, 20, rate)


def compare(task: Task, before: tuple[Array, Array], after: tuple[Array, Array]) -> tuple[Judged, float]:
    """What the holdout says, and the mean Δ on the audit, nats."""
    (old, was), (new, now) = before, after
    part = task.holdout
    base = np.rint(old[part] * NANO).astype(np.int64).tolist()
    losses = np.rint(new[part] * NANO).astype(np.int64).tolist()
    found = Evidence(
        count=len(base),
        base_loss=sum(base),
        new_loss=sum(losses),
        delta_squared=sum((b - n) ** 2 for b, n in zip(base, losses, strict=True)),
        base_correct=int(was[part].sum()),
        new_correct=int(now[part].sum()),
        gained=int((now & ~was)[part].sum()),
        lost=int((was & ~now)[part].sum()),
    )
    delta = old - new
    return Judged(found, float(delta[task.train].mean())), float(delta[task.audit].mean())


def real_counts(task: Task, starts: dict[str, Array], number: int) -> dict[str, Row]:
    """Measure → rule → attempts kept, each as the first look at its holdout."""
    rng, found, nulls, useful = np.random.default_rng(5), {}, [], []
    for kind in (*KINDS, "useful"):
        kept = []
        for place, (state, head) in enumerate(starts.items()):
            say(f"{number} attempts, {kind}, {state}")
            draw, before = np.random.default_rng(10 + place), task.losses(head)
            for _ in range(number):
                seen, truth = compare(task, before, task.losses(candidate(kind, task, head, draw)))
                verdicts = {name: rule(seen) for name, rule in rules(rng).items()}
                kept.append(verdicts)
                if kind != "useful" and truth <= 0:
                    nulls.append(verdicts)
                elif kind == "useful" and truth >= 0.005:
                    useful.append(verdicts)
        if kind != "useful":
            found[f"kept per 1,000: {kind}"] = mean_of(kept, 1000)
    found[f"kept per 1,000: harmful, the {len(nulls):,} of them with audit Δ ≤ 0"] = mean_of(nulls, 1000)
    found[f"% kept of {len(useful):,} real attempts with audit Δ ≥ .005"] = mean_of(useful, 100)
    return found


def mean_of(verdicts: list[dict[str, bool]], scale: int) -> Row:
    """Rule → acceptances per ``scale`` attempts."""
    names = rules(np.random.default_rng(0))
    return {name: scale * sum(v[name] for v in verdicts) / max(1, len(verdicts)) for name in names}


def real_drift(task: Task, head0: Array, lives: int) -> Row:
    """Rule → gain on the holdout beyond that on the audit, over 200 attempts, each on what was kept."""
    drift = dict.fromkeys(rules(np.random.default_rng(0)), 0.0)
    for life in range(lives):
        for name, rule in rules(np.random.default_rng(life)).items():
            rng, head, now = np.random.default_rng(100 + life), head0, task.losses(head0)
            for number in range(200):
                new = candidate(KINDS[number % 2], task, head, rng)
                after = task.losses(new)
                if rule(compare(task, now, after)[0]):
                    head, now = new, after
            gain = task.losses(head0)[0] - now[0]
            drift[name] += float(gain[task.holdout].mean() - gain[task.audit].mean()) / lives
    return drift


def synthetic_rows(scale: int) -> dict[str, Row]:
    """Measure → rule → figure, for Gaussian attempts."""
    found = {}

    def kept(seed: int, number: int, count: int, mean: float, spread: float, flips: float, of: int) -> Row:
        return share_kept(seed, number // scale, lambda r: synthetic(r, count, mean, spread, flips), of)

    for count in (512, 1500):
        for sd in SPREADS:
            say(f"Gaussian null, sd {sd}, n {count}")
            row = kept(20, 5000, count, 0.0, sd, FLIPS * sd, 1000)
            found[f"kept per 1,000: Δ = 0, sd {sd}, n {count}"] = row
    for count in (512, 1500):
        row = share_kept(24, 20_000 // scale, partial(skewed, count=count, spread=0.1), 1000)
        found[f"kept per 1,000: Δ = 0, skewness −2, sd 0.1, n {count}"] = row
    for count in (512, 1500):
        row = gaussian_drift(21, 50 // scale, count, 0.1)
        found[f"drift in 200 attempts, Δ = 0, sd .1, n {count}, nats"] = row
    for count in (512, 1500, 3000):
        for sd in SPREADS[:3]:
            found[f"power %, Δ = .005, sd {sd}, n {count}"] = kept(22, 1000, count, 0.005, sd, 0.0, 100)
    return found


def reading_rows(scale: int) -> dict[str, Row]:
    """Measure → rule → figure, for reading in looks: the other rules read everything."""
    found: dict[str, Row] = {}
    lost: dict[str, Row] = {}
    others = dict.fromkeys(("whitepaper/v1", "evidence/v1", "Ladder", "Thresholdout"), 0.0)
    needed = ErrorBudget(ALPHA_PPM).needed_milli
    half, most = (detectable(1500, 0.1, needed, power=p) for p in (0.5, 0.9))
    for mean in (-0.02, -0.005, 0.0, 0.005, half, most, 0.03):
        read, early, whole = reading(23, 2000 // scale, 1500, mean, 0.1)
        case = f"Δ = {mean:+.2g}, sd .1, n 1500"
        found[f"holdout read %, {case}"] = dict.fromkeys(others, 100.0) | {BUDGETED: 100 * read}
        if mean > 0:
            case = f"points of {100 * whole:.1f}, {case}"
            lost[f"power lost to stopping, {case}"] = others | {BUDGETED: 100 * (whole - early)}
    return found | lost


def lives_rows(lives: int) -> dict[str, Row]:
    """Measure → rule → figure, of whole lives of a holdout."""
    found: dict[str, Row] = {}
    for count in holdout_lives.COUNTS:
        for skewed in (False, True) if count >= LARGE else (True,):
            shape = "skewness −2" if skewed else "Gaussian"
            say(f"{lives:,} lives, {shape}, n {count}")
            draws = holdout_lives.drawn(30, lives, count, skewed=skewed)
            for scenario in holdout_lives.SCENARIOS:
                case = f"{scenario.name}, {shape}, n {count}"
                ends = {name: holdout_lives.live(name, draws, scenario) for name in holdout_lives.JUDGES}
                found[f"lives per 1,000: {case}"] = {name: end.per_thousand for name, end in ends.items()}
                found[f"± {case}"] = {name: end.error for name, end in ends.items()}
                if scenario.share:
                    found[f"% of real ones kept: {case}"] = {
                        name: 100 * end.kept / end.real for name, end in ends.items()
                    }
    return found


def lives_table(rows: dict[str, Row]) -> str:
    """A markdown table: lives with a false acceptance, per 1,000 ± standard error [% of real ones kept]."""
    names = list(holdout_lives.JUDGES)
    lines = ["| lives per 1,000 [% kept] | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for measure, row in rows.items():
        if not measure.startswith(start := "lives per 1,000: "):
            continue
        case = measure.removeprefix(start)
        real = rows.get(f"% of real ones kept: {case}")
        cells = [
            f"{row[name]:.2f} ± {rows[f'± {case}'][name]:.2f}" + (f" [{real[name]:.0f}]" if real else "")
            for name in names
        ]
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def table(rows: dict[str, Row]) -> str:
    """A markdown table, one column a rule."""
    names = list(next(iter(rows.values())))
    lines = ["| measure | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for measure, row in rows.items():
        form = "+.4f" if "drift" in measure else ".2f" if "per 1,000" in measure else ".1f"
        lines.append(
            f"| {measure} | "
            + " | ".join(format(row[name], form) if name in row else "" for name in names)
            + " |"
        )
    return "\n".join(lines)


def attempts_rows(attempts: int | None, *, quick: bool) -> dict[str, Row]:
    """Measure → rule → figure, of single attempts and of 200 on one holdout."""
    scale = 10 if quick else 1
    say("features")
    task = load_task(1000 if quick else 7850)
    starts = heads(task)
    rows = real_counts(task, starts, attempts or (30 if quick else 1000))
    for state, head in starts.items():
        say(f"adaptive reuse, {state}")
        rows[f"drift in 200 real attempts, {state}, nats"] = real_drift(task, head, 5 // scale or 1)
    return rows | synthetic_rows(scale) | reading_rows(scale)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--attempts", type=int, help="real attempts of each kind from each head (1000)")
    parser.add_argument("--lives", type=int, help="lives of a holdout in each scenario (50000)")
    parser.add_argument("--only-lives", action="store_true", help="no attempts, only lives")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything or less, a smoke test")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    given = parser.parse_args()
    rows = {} if given.only_lives else attempts_rows(given.attempts, quick=given.quick)
    lives = lives_rows(given.lives or (500 if given.quick else 50_000))
    say("done")
    if given.json:
        print(json.dumps(rows | lives, indent=1, ensure_ascii=False))
    else:
        print("\n\n".join(([table(rows)] if rows else []) + [lives_table(lives)]))


if __name__ == "__main__":
    main()
