"""VERIFY: numbered checks of a state or an exported file, each proven, recomputed or attested.

Nothing here needs a trainer, a web server or the network; re-evaluating a model is handed in.
"""
