"""What `cryoflux verify` computes with: the same losses, merge and training as a run."""

from __future__ import annotations

__all__ = ["CannotRetrainError", "TorchRecomputer", "played_back"]

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryoflux.data.prepared import PreparedData, load_examples, open_prepared
from cryoflux.decision.screening import needed_evidence
from cryoflux.errors import CryoFluxError, ModelError
from cryoflux.evaluation.machine import software
from cryoflux.evaluation.scoring import TransformersScorer
from cryoflux.receipts.profiles import PROFILE
from cryoflux.registry.compose import compose
from cryoflux.registry.composition import Composition
from cryoflux.registry.plain_model import complaints_about
from cryoflux.registry.shards import TensorFolder, read_tensors, write_model
from cryoflux.registry.versions import Version, Versions
from cryoflux.tasks.lora.libraries import LIBRARIES, quieten_transformers, shielded
from cryoflux.tasks.lora.merge import beyond_rounding, merged_tensors, read_adapter, room_complaint
from cryoflux.tasks.lora.plain_adapter import adapter_settings
from cryoflux.tasks.lora.recipe import Method, Recipe, find_recipe
from cryoflux.tasks.pacing import Limits, Progress
from cryoflux.tasks.pool import Pool, make_pool, slice_digest
from cryoflux.verification.recompute import OpenQuestion

if TYPE_CHECKING:
    from cryoflux.data.examples import Example
    from cryoflux.receipts.statement import Training
    from cryoflux.tasks.lora.head import HeadModel
    from cryoflux.tasks.lora.lean import TrainingMaterial
    from cryoflux.verification.recompute import Models
    from cryoflux.verification.retrain import Drawn, Plan

_CHUNK = 256
"""examples whose activations a training run prepares together"""
_MOST_CHARACTERS = 250_000
"""of one text; more than a novel has in a hundred pages"""
_CACHE_BYTES = 4_000_000_000


class CannotRetrainError(CryoFluxError):
    """A receipt does not record what training again would need, or this machine cannot do it."""


class TorchRecomputer:
    """Evaluates, merges and trains on the CPU, in the profile of the receipts."""

    def __init__(self, *, max_tokens: int, threads: int = 1) -> None:
        import torch

        quieten_transformers()
        torch.set_num_threads(threads)
        self._max_tokens = max_tokens
        self._threads = threads

    def evaluate(self, model: Path, holdout: Path) -> tuple[list[int], list[bool]]:
        """Per-example losses in nano-nats, and which examples are classified correctly."""
        return self.evaluate_some(model, holdout, None, PROFILE)

    def evaluate_some(
        self, model: Path, holdout: Path, indices: Sequence[int] | None, profile: str
    ) -> tuple[list[int], list[bool]]:
        """The same for some examples, or for all, in the arithmetic of a profile."""
        _ask_about(model)
        examples = load_examples(holdout)
        wanted = range(len(examples)) if indices is None else range(len(indices))
        chosen = examples if indices is None else [examples[index] for index in indices]
        _ask_about_texts(chosen)
        try:
            with shielded():
                scorer = TransformersScorer(model, chosen, max_tokens=self._max_tokens, profile=profile)
                return scorer.score(wanted, lambda _done: None)
        except ModelError as error:  # another version of a library may have read it
            raise OpenQuestion(error.what.removesuffix(".")) from error

    def merge(self, base: Path, capsule: Path, into: Path) -> Path:
        """Merge an adapter into a base version in float32, as receipts that name no list did."""
        _ask_about(base)
        _ask_about_adapter(capsule)
        write_model(base, base, merged_tensors(read_tensors(base), capsule), into)
        return into

    def compose(self, composed: Composition, models: Models, into: Path) -> Path:
        """Add a list of updates up, from its genesis on, with nothing that the run had in memory."""
        import torch

        _ask_about(models.base)
        for term in composed.terms:
            _ask_about_adapter(models.capsule(term.adapter))
        sums = compose(
            composed,
            TensorFolder(models.genesis),
            lambda adapter: read_adapter(models.capsule(adapter), adapter),
        )
        changed = {name: torch.from_numpy(tensor) for name, tensor in sums.rounded().items()}
        write_model(models.base, models.genesis, changed, into)
        return into

    def as_kept(self, base: Path, capsule: Path, kept: Path, into: Path) -> Path | None:
        """A kept model with the settings of its base, if float32 may have made it of base and adapter."""
        if beyond_rounding(TensorFolder(base), capsule, TensorFolder(kept)):
            return None
        if complaint := room_complaint(TensorFolder(base), capsule):
            raise OpenQuestion(complaint)
        write_model(base, kept, {}, into)
        return into

    def software(self) -> dict[str, str]:
        """Versions of what computes here."""
        return software(LIBRARIES)

    def distances(self, base: Path, ours: Path, theirs: Path) -> dict[str, tuple[float, float]]:
        """Tensor → ‖ours - theirs‖ and ‖theirs - base‖ of two adapters merged into a base model.

        A tensor that only one of them changes is the base's in the other.
        """
        before = read_tensors(base)
        mine, other = merged_tensors(before, ours), merged_tensors(before, theirs)
        far = {}
        for name in sorted(mine.keys() | other.keys()):
            start = before[name].double()
            end, their_end = (found.get(name, start).double() for found in (mine, other))
            far[name] = float((end - their_end).norm()), float((their_end - start).norm())
        return far

    def retrain(self, plan: Plan, into: Path) -> Path:
        """Train an adapter as a plan says, with the schedule that joules made then.

        Raises:
            CannotRetrainError: the receipt says too little, or this machine lacks what it used.
        """
        import torch

        recipe, training = _recipe(plan.drawn.recipe), plan.drawn.training
        if plan.first_step_ended:
            raise CannotRetrainError("The joules ended with its first step, which cannot be played back.")
        if training.device == "cuda" and not torch.cuda.is_available():
            raise CannotRetrainError("It was trained on a GPU, and there is none here.")
        data = open_prepared(plan.state / "data" / plan.data, plan.data[:8])
        version = Versions(plan.state).open(plan.base)
        _ask_about(version.folder)
        _ask_about_texts(data.examples("train"))
        torch.set_num_threads(training.threads or self._threads)
        folder = into / "retrained"
        folder.mkdir()
        try:
            with shielded():
                _train(plan, recipe, data, version, into / "cache", folder)
        finally:
            torch.set_num_threads(self._threads)
        return folder


def _ask_about(model: Path) -> None:
    """Leave the question open where a model may mean something else than what is computed of it here.

    Raises:
        OpenQuestion: it says why.
    """
    if complaints := complaints_about(model):
        raise OpenQuestion(complaints[0])


def _ask_about_texts(examples: Iterable[Example]) -> None:
    """Leave the question open where a text is longer than anybody writes one.

    Raises:
        OpenQuestion: it says how long.
    """
    if (longest := max((len(example.text) for example in examples), default=0)) > _MOST_CHARACTERS:
        raise OpenQuestion(f"a text has {longest} characters, and at most {_MOST_CHARACTERS} are read here")


def _ask_about_adapter(capsule: Path) -> None:
    try:
        adapter_settings(capsule)
    except ModelError as error:
        raise OpenQuestion(error.what.removesuffix(".")) from error


def _recipe(said: Any) -> Recipe:
    """A recipe as a receipt has it: ratios are decimal text, truth values integers.

    Raises:
        CannotRetrainError: a field is missing or not one of ours.
    """
    kinds = {field.name: str(field.type) for field in fields(Recipe)}
    missing = sorted(kinds.keys() - said.keys())
    if missing or said.keys() - kinds.keys():
        raise CannotRetrainError(f"Its recipe is not one of this version: it lacks {', '.join(missing[:3])}.")
    made = {"float": float, "bool": bool}
    values = {key: made.get(kinds[key], lambda value: value)(value) for key, value in said.items()}
    name = str(values.pop("name"))
    return find_recipe(name, {name: {}}, values)


def played_back(training: Training) -> tuple[Limits, list[Progress]]:
    """Limits that make a pacer plan and stop at the steps where it did then, and where to count steps.

    Args:
        training: what the receipt says; at least two steps, or one that was the whole plan.
    """
    steps: list[Progress] = []
    planned_steps, planned_at = _number(training, "plannedSteps"), _number(training, "plannedAtStep")
    each, limit = 2, 2 * planned_steps + 1
    cut_short = training.stopped_by == "joules" and training.steps < planned_steps

    def spent_uj() -> int:
        step = len(steps) + 1  # asked when a step is done, before it is counted here
        if cut_short and step >= training.steps:
            return limit
        return each * planned_at if planned_at and step >= planned_at else 0

    return Limits(limit, spent_uj, lambda: False), steps


def _number(training: Training, name: str) -> int:
    found = training.section.fields.get(name)
    if not isinstance(found, int):
        raise CannotRetrainError(f"Its receipt has no whole number {name}.")
    return found


def _backend(training: Training) -> str:
    return str(training.section.fields.get("backend", ""))


def _train(plan: Plan, recipe: Recipe, data: PreparedData, version: Version, cache: Path, into: Path) -> None:
    training = plan.drawn.training
    # what is set aside is the same for every recipe, but none at all is where the recipe says so
    pool = make_pool(data.count("train"), plan.pool_seed)
    seen, fresh = _slice(pool, recipe, plan.drawn)
    if slice_digest([*seen, *fresh]) != training.slice_sha256:
        raise CannotRetrainError("The examples that it drew do not follow from the log.")
    screen = list(pool.screen[: recipe.screen_size])
    if len(screen) != (training.screen.count if training.screen else 0):
        raise CannotRetrainError(
            "It screened fewer examples than its recipe asks for; which is not recorded."
        )
    limits, steps = played_back(training)
    device = training.device or "cpu"
    if recipe.method is Method.PEFT:
        from cryoflux.tasks.lora.with_peft import train_with_peft

        train_with_peft(
            version.folder,
            data.examples("train"),
            recipe,
            limits,
            into,
            drawn=[*seen, *fresh],
            fresh=len(fresh),
            screen=screen,
            seed=plan.intent.seed,
            device=device,
            progress=steps.append,
        )
        return
    from cryoflux.tasks.lora.lean import train_lean

    material = _material(plan, recipe, data, version, cache, pool)
    material = replace(material, seen=seen, fresh=fresh)
    train_lean(
        material,
        recipe,
        limits,
        into,
        seed=plan.intent.seed,
        progress=steps.append,
        preparing=lambda _done, _count: None,
    )


def _slice(pool: Pool, recipe: Recipe, drawn: Drawn) -> tuple[list[int], list[int]]:
    """What an attempt drew, as far as its joules reached."""
    seen, fresh = pool.draw(drawn.before, fresh=recipe.fresh_size, most=recipe.slice_size)
    count = drawn.training.fresh_count
    return seen[: drawn.training.slice_count - count], fresh[:count]


def _material(
    plan: Plan, recipe: Recipe, data: PreparedData, version: Version, cache: Path, pool: Pool
) -> TrainingMaterial:
    from cryoflux.encoder.linear import Backend
    from cryoflux.encoder.model import Encoder
    from cryoflux.tasks.lora.head import HeadModel

    recipes = {
        f"{n}": _recipe(one.recipe) for n, one in enumerate((*plan.earlier, plan.drawn)) if _known(one)
    }
    training = plan.drawn.training
    device = training.device or "cpu"
    loaded = HeadModel(
        version, data, recipes or {recipe.name: recipe},
        cache=cache, cache_bytes=_CACHE_BYTES, device=device, pool=pool,
    )  # fmt: skip
    if loaded.layout is None:
        raise CannotRetrainError("The layout of its base model is not known here.")
    needed = needed_evidence(plan.intent.bar.needed_milli, plan.intent.data.holdout.count)
    material = loaded.material(recipe, plan.drawn.before, needed)
    encoder = Encoder(loaded.layout, loaded.tensors, Backend(_backend(training)), device)
    material = replace(material, encoder=encoder)
    _prepare_as_then(plan, recipe, material, loaded)
    return material


def _known(drawn: Drawn) -> bool:
    try:
        return _recipe(drawn.recipe).method is Method.LEAN
    except CryoFluxError:
        return False


def _prepare_as_then(plan: Plan, recipe: Recipe, material: TrainingMaterial, loaded: HeadModel) -> None:
    """Compute activations in the batches in which the log's attempts did.

    Neighbours in a batch change the last bit of a product, so bytes are the same only if batches were.
    """
    from cryoflux.encoder.activations import Activations

    layers = material.encoder.layout.layers
    depth = layers - min(recipe.layers, layers)
    for drawn in (*plan.earlier, plan.drawn):
        if not depth or not _known(drawn) or _backend(drawn.training) != _backend(plan.drawn.training):
            continue
        other = _recipe(drawn.recipe)
        source = Activations(
            material.encoder, material.entries, material.sets, layers - min(other.layers, layers)
        )
        seen, fresh = loaded.pool.draw(drawn.before, fresh=other.fresh_size, most=other.slice_size)
        reached = -(-drawn.training.fresh_count // _CHUNK) * _CHUNK
        for wanted in (list(loaded.pool.screen[: other.screen_size]), seen, fresh[:reached]):
            for start in range(0, len(wanted), _CHUNK):
                source.prepare(wanted[start : start + _CHUNK], lambda _done, _count: None)
