"""What a cheat could try against a network of nodes: 56 strategies, and the lives in which they are tried."""
