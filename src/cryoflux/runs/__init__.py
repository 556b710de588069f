"""One run: opens a state, spends a budget attempt by attempt, and says what it came to."""
