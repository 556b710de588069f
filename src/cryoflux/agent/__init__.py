"""JouleAgent: the meter and its bucket behind a small HTTP API, and the client for it."""
