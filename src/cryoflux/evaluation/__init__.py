"""EVALUATE: measures a model's losses on the holdout, as exact integers."""
