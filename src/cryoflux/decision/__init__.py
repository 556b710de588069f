"""DECIDE: Δ, its evidence and the acceptance rules, in integers only.

Pure: whoever decides and whoever verifies call the same functions on the same integers.
"""
