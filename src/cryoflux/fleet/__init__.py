"""Many machines of one owner: attempts are trained on them, under one budget, one log and one head."""
