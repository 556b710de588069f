"""What ``cryoflux node demo`` shows: three nodes, of which one cheats."""
