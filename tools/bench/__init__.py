"""Measurements of the store: throughput, percentiles, CPU per operation."""
