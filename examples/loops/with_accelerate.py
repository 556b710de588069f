"""The joules of a loop under Accelerate: the main process says what it and its children have cost.

python examples/loops/with_accelerate.py      or: accelerate launch examples/loops/with_accelerate.py
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import cryoflux


def main() -> None:
    """Train a small network on noise; every process meters itself, and each says so."""
    torch.manual_seed(0)
    inputs = torch.randn(4096, 64)
    data = DataLoader(TensorDataset(inputs, inputs[:, :8].sum(dim=1, keepdim=True)), batch_size=64)
    accelerator = Accelerator()
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    model, optimizer, data = accelerator.prepare(model, torch.optim.AdamW(model.parameters(), lr=1e-3), data)

    with cryoflux.measure_energy() as measurement:
        for some, wanted in data:
            loss = torch.nn.functional.mse_loss(model(some), wanted)
            optimizer.zero_grad()
            accelerator.backward(loss)
            optimizer.step()
        accelerator.wait_for_everyone()

    print(f"process {accelerator.process_index}: {measurement.result}")


if __name__ == "__main__":
    main()
