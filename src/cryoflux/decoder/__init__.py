"""A causal language model as CryoFlux computes it itself, in float64: the same loss whoever computes it.

Training and evaluation share it; neither knows the other.
"""
