"""The joules of a fit under Lightning, and a budget that ends it.

python examples/loops/with_lightning.py
"""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader, TensorDataset

import cryoflux

JOULES = 500.0


class Small(LightningModule):
    """A small network."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))

    def training_step(self, batch: Any, _: int) -> torch.Tensor:
        """The loss of a batch."""
        some, wanted = batch
        return torch.nn.functional.mse_loss(self.layers(some), wanted)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimizer of it."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


class EndsAtJoules(Callback):
    """Ends the fit when the work has cost so much."""

    def __init__(self, measurement: Any, joules: float) -> None:
        self.measurement, self.joules = measurement, joules

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        """Look every now and then."""
        if trainer.global_step % 20 == 0 and self.measurement.so_far().energy.joules >= self.joules:
            trainer.should_stop = True


def main() -> None:
    """Fit on noise."""
    torch.manual_seed(0)
    inputs = torch.randn(4096, 64)
    data = DataLoader(TensorDataset(inputs, inputs[:, :8].sum(dim=1, keepdim=True)), batch_size=64)
    with cryoflux.measure_energy() as measurement:
        trainer = Trainer(
            max_epochs=3,
            accelerator="cpu",
            callbacks=[EndsAtJoules(measurement, JOULES)],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Small(), data)
    print(f"{trainer.global_step} steps: {measurement.result}")


if __name__ == "__main__":
    main()
