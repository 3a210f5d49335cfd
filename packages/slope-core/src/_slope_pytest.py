"""A pytest plugin that gives ``slope.testing.conformance`` its options.

It stands outside the package ``slope``, so that pytest starts without importing slope.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add ``--slope-backend`` and ``--slope-fast``."""
    group = parser.getgroup("slope", "slope's conformance kit (--pyargs slope.testing.conformance)")
    group.addoption(
        "--slope-backend", action="append", metavar="NAME", help="a backend to hold to the kit"
    )
    group.addoption("--slope-fast", action="store_true", help="a few cases of each operator")
