"""Agreements over what is measured: terms, whether a holdout is large enough, and what came of them."""
