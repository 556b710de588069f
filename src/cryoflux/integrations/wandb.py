"""Attempts as a run of Weights & Biases: on the disk, unless ``WANDB_MODE`` says otherwise."""

from __future__ import annotations

__all__ = ["WandbRun"]

import os
import re
from pathlib import Path

from cryoflux.integrations.tracking import Told, missing, numbers_of, texts_of
from cryoflux.queries.tracked import TrackedAttempt

_LONGEST_ID = 128


class WandbRun(Told):
    """One run, by an id that follows from its name; nothing is uploaded before ``wandb sync``.

    Without a network nobody knows what was uploaded, so that each export is a folder with all attempts; they
    are one run all the same.

    Args:
        run: name of the log.
        place: the folder that gets ``wandb/``; the current one where none is named. The project is what
            ``WANDB_PROJECT`` says.
    """

    def __init__(self, run: str, place: str | None) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing("wandb", error) from error
        Path(place or ".").mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "cryoflux"),
            name=run,
            id=re.sub(r"[^A-Za-z0-9_-]", "-", run)[-_LONGEST_ID:],
            resume="allow",
            dir=place or ".",
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type,unused-ignore]
            config={"log": run},
            settings=wandb.Settings(
                console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True
            ),
        )

        if self._run.resumed:
            self.last_told = self._run.step - 1

    def attempt(self, one: TrackedAttempt) -> None:
        """One step."""
        self._run.log({**texts_of(one), **numbers_of(one)}, step=one.row["number"])

    def close(self) -> str:
        """Finish the run."""
        folder, offline = Path(self._run.dir).parent, self._run.settings.mode == "offline"
        self._run.finish()
        return f"wandb sync {folder}" if offline else str(self._run.url)
