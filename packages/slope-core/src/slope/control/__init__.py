"""Operators that hold programs."""
