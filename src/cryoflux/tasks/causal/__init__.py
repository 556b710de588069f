"""LoRA on a causal language model: what it is trained from, and how."""
