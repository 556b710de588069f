"""The command, which also says what an update whose head has moved would gain if less of it were merged.

    python benchmarks/fleet_weights.py run --workers 4 …

Each such update is screened anew at its full weight, as the fleet does; here also at the weights between, and
the Δ of each on the screening examples goes to standard error. What is decided stays the same.
"""

from __future__ import annotations

import json
import sys
from unittest.mock import patch

from cryoflux.decision.evidence import Evidence, pair_losses
from cryoflux.registry.versions import Version
from cryoflux.tasks.interface import WorkOrder
from cryoflux.tasks.lora.elsewhere import LoraElsewhere

WEIGHTS = (1.0, 0.7, 0.5, 0.3, 0.15)
_screened = LoraElsewhere.screened_again


def screened_again(self: LoraElsewhere, order: WorkOrder, draft: Version) -> Evidence | None:
    """What a draft does, after what its update would do at other weights is said."""
    model, size = self._model, order.recipe.get("screen_size")
    full = model.differing(draft)
    found = {}
    base = model.screened(int(size or 0))
    for weight in WEIGHTS:
        changed = {name: model.tensors[name].lerp(tensor, weight) for name, tensor in full.items()}
        new = model.screened(int(size or 0), draft, changed)
        evidence = pair_losses(base[0], new[0], base[1], new[1])
        found[weight] = {"delta": evidence.delta_mean, "z": evidence.z}
    print(json.dumps({"weights": found, "attempt": order.id}), file=sys.stderr)
    return _screened(self, order, draft)


def main() -> None:
    """Be the command."""
    with patch.object(LoraElsewhere, "screened_again", screened_again):
        from cryoflux.cli.main import main as command

        command()


if __name__ == "__main__":
    main()
