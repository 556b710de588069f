"""``causal-lm``: LoRA on a causal language model; documents, what of them is said, training, and scoring."""
