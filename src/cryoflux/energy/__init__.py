"""MEASURE + BUDGET: turns counters into joules with an interval, and keeps the joule bucket."""
