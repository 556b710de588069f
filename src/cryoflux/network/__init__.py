"""Nodes that offer each other updates, measure what is offered on examples of their own, and keep books."""
