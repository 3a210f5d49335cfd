"""Names of PyTorch's that modules and optimizers lack: errors that say what to write instead."""

from __future__ import annotations

from collections.abc import Mapping

from slope.extend import RenamedError


def missing(owner: object, name: str, ways: Mapping[str, str]) -> AttributeError:
    """The error for an attribute that is not there.

    Args:
        owner: what was asked.
        name: for what.
        ways: what to write instead of some names.
    """
    kind = type(owner).__name__
    way = ways.get(name)
    if way is None:
        return AttributeError(f"{kind!r} object has no attribute {name!r}")
    return RenamedError(f"{kind} has no {name!r}: {way}.")
