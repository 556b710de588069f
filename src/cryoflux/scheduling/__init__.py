"""SCHEDULE: chooses the next task and arm by expected η = Δ per joule, or says that none will pay."""
