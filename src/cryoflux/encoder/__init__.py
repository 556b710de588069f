"""The encoder as CryoFlux computes it itself: the same function as transformers', for less energy.

Training and evaluation share it; neither knows the other.
"""
