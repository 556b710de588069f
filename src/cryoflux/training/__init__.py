"""TRAIN: runs one LoRA attempt inside a joule limit and returns an adapter."""
