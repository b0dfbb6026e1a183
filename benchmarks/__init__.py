"""Measurements, one file each: python -m benchmarks runs them all, python -m benchmarks digits one of them."""
