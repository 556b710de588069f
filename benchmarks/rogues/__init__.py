"""Networks of real processes of which one node cheats, for ``adversary_nodes.py``."""
