"""Witnesses of a log: somebody else's memory, so that a log cannot forget, or tell two stories."""
