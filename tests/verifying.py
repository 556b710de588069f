"""Verification as the command line asks for it: with whoever checks the sections of the built-in tasks."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cryoflux.log_check import sections_of
from cryoflux.verification import steps
from cryoflux.verification.artefacts import Artefacts
from cryoflux.verification.form import Form
from cryoflux.verification.growing_tree import GrowingTree
from cryoflux.verification.material import Material, read_material
from cryoflux.verification.result import Check
from cryoflux.verification.walk import concluded, walk
from cryoflux.verification.walked import Recent, Walked

SECTIONS = sections_of(())
verify_target = partial(steps.verify_target, sections=SECTIONS)


def walked(target: Path | Material) -> Walked:
    """A log for the steps on request: all its roots, and its newest receipts."""
    material = read_material(target) if isinstance(target, Path) else target
    tree, recent = GrowingTree(material, range(len(material.rows) + 1)), Recent(100)
    memory = walk(material.rows, [Form(material), tree, recent])
    return Walked(material, memory, tree.roots, recent)


def artefact_checks(target: Path) -> list[Check]:
    """Step 9 alone."""
    material = read_material(target)
    fold = Artefacts(material, SECTIONS)
    return concluded(fold, walk(material.rows, [fold]))
