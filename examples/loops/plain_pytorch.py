"""The joules of a plain PyTorch loop, whole and by its parts.

python examples/loops/plain_pytorch.py
"""

from __future__ import annotations

import torch

import cryoflux


def main() -> None:
    """Train a small network on noise, and say what each epoch has cost."""
    torch.manual_seed(0)
    inputs = torch.randn(4096, 64)
    targets = inputs[:, :8].sum(dim=1, keepdim=True)
    model = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    with cryoflux.measure_energy() as measurement:
        for epoch in range(3):
            with measurement.window(f"epoch {epoch + 1}"):
                for some in torch.randperm(len(inputs)).split(64):
                    loss = torch.nn.functional.mse_loss(model(inputs[some]), targets[some])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()

    for name, (cost,) in measurement.windows.items():
        print(f"{name}: {cost}")
    print(f"all of it: {measurement.result}")


if __name__ == "__main__":
    main()
