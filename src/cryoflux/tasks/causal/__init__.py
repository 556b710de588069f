"""Causal language models: documents and what of them is said, training, scoring, and the embedded model."""
