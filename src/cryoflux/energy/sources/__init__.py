"""Counters of energy, one family a file, and how they are found."""
