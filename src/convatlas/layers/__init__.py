"""Modules that two or more papers use unchanged."""
