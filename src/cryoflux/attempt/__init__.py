"""ATTEMPT: one try at improving a model, in ten steps."""
