"""Models that others made, loaded to be judged: what they score on a holdout, example by example."""
