"""Plugins: the hooks, their manager, what a backend is, and which backend is current."""
