"""PREPARE: examples read, made disjoint, split and named by digest before the first attempt."""
