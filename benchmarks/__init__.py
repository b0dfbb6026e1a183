"""Measurements, one file each: python -m benchmarks runs those of the performance promise, with names any others."""
