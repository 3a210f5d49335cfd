"""The documentation's table of the dtypes that each backend supports, by operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from slope.core.operator import Operator
from slope.dtypes import ALL
from slope.plugins.backend import Backend
from slope.plugins.selection import backend as backend_named
from slope.testing.cases import Case, all_operators, cases
from slope.testing.runner import undeclared

BACKENDS: Final = ("numpy", "onnxruntime", "iree")
COMMAND: Final = "python -m slope.testing support-table > docs/support.md"
_FAMILIES: Final = {
    "all": [dtype.name for dtype in ALL],
    "numbers": [dtype.name for dtype in ALL if dtype.kind != "b"],
    "floats": [dtype.name for dtype in ALL if dtype.kind == "f"],
    "integers": [dtype.name for dtype in ALL if dtype.kind in "iu"],
    "integers, bool": [dtype.name for dtype in ALL if dtype.kind in "iub"],
}


def support_table(backends: Sequence[str] = BACKENDS) -> str:
    """The table in Markdown: operators, their dtypes, and what each backend says of them.

    Args:
        backends: names.
    """
    chosen = [backend_named(name) for name in backends]
    lines = [
        "# Which operators run on which backend, in which dtypes",
        "",
        f"Written by `{COMMAND}` from what each backend",
        "declares (`Backend.supports`); the conformance kit holds it to that. *native*: the",
        "backend has a lowering of its own; *expanded*: it runs the operator's expansion. Both",
        "take all of the operator's dtypes unless some are excepted. *all* is bool, the integers",
        "of 8 to 64 bits with and without sign, and float16, bfloat16, float32, float64; *numbers*",
        "is all but bool.",
        "",
        f"| operator | dtypes | {' | '.join(backends)} |",
        f"|---|---|{'---|' * len(backends)}",
    ]
    for op in all_operators():
        found: dict[str, list[Case]] = {}
        for case in cases(op, ("jit",)):
            if isinstance(case, Case):
                found.setdefault(case.dtype, []).append(case)
        if not found:
            continue
        taken = [dtype.name for dtype in ALL if dtype.name in found]
        entries = [_entry(op, backend, found, taken) for backend in chosen]
        lines.append(f"| `{op.name}` | {_named(taken)} | {' | '.join(entries)} |")
    return "\n".join(lines) + "\n"


def _named(dtypes: Sequence[str]) -> str:
    """A list of dtypes in words."""
    for name, members in _FAMILIES.items():
        if list(dtypes) == members:
            return name
    return ", ".join(dtypes)


def _entry(
    op: Operator, backend: Backend, found: dict[str, list[Case]], taken: Sequence[str]
) -> str:
    how = "native" if backend.lowers(op) else "expanded"
    missing = [
        dtype for dtype in taken if any(undeclared(case.program, backend) for case in found[dtype])
    ]
    if len(missing) == len(taken):
        return "no"
    return f"{how}, but {_named(missing)}" if missing else how
