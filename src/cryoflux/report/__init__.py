"""SHOW, frozen: pictures and tables drawn from the receipts of a state."""
