"""Locks that a forked child finds open, and what else it has to make anew.

Of the parent's threads a forked child has one alone. A lock that another one held at that moment
would stay closed for good in the child: a data loader's worker would wait for it for ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

L = TypeVar("L", bound=Any)


def in_forked_children(renew: Callable[[], object]) -> None:
    """Have a function called in every child that the process forks, before anything else there."""
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork either
        os.register_at_fork(after_in_child=renew)


def open_after_fork(lock: L) -> L:
    """A lock of :mod:`threading`'s that forked children find open, for as long as processes live.

    For locks that live as long as the process, too.
    """
    in_forked_children(lock._at_fork_reinit)  # what logging and concurrent.futures do with theirs
    return lock
