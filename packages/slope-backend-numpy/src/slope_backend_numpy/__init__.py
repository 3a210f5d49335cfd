"""The NumPy backend of slope."""
