"""What a run of the conformance kit found: totals, matrices as text, and a page."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from slope.dtypes import ALL
from slope.testing.cases import MODES
from slope.testing.runner import FAILED, PASSED, STATUSES, UNSUPPORTED, Outcome

_SHOWN: Final = 40  # failures that the text tells in full
RULES: Final = ("meaning", "buffers")


class Matrix(NamedTuple):
    """Outcomes counted by row and column.

    Attributes:
        title: what it shows.
        columns: their names.
        rows: row name to column name to the outcomes there.
    """

    title: str
    columns: tuple[str, ...]
    rows: dict[str, dict[str, list[Outcome]]]


class Report:
    """The outcomes of a run.

    Attributes:
        backend: the backend's name.
        version: what it runs on.
        outcomes: all of them.
        seconds: how long the run took.
        scope: which cases were run, in words.
    """

    def __init__(
        self, backend: str, version: str, outcomes: Iterable[Outcome], seconds: float, scope: str
    ) -> None:
        self.backend = backend
        self.version = version
        self.outcomes = list(outcomes)
        self.seconds = seconds
        self.scope = scope

    @property
    def totals(self) -> dict[str, int]:
        """How many cases passed, are declared unsupported, and failed."""
        counts = Counter(outcome.status for outcome in self.outcomes)
        return {status: counts[status] for status in STATUSES}

    @property
    def failures(self) -> list[Outcome]:
        """The outcomes of cases that failed."""
        return [outcome for outcome in self.outcomes if outcome.status == FAILED]

    @property
    def operators(self) -> int:
        """How many operators were run."""
        return len({outcome.group for outcome in self._cases()})

    def _cases(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.mode not in RULES]

    def matrices(self) -> list[Matrix]:
        """Operators by transform, operators by dtype, and rules."""
        cases = self._cases()
        rules = [outcome for outcome in self.outcomes if outcome.mode in RULES]
        dtypes = tuple(dtype.name for dtype in ALL)
        made = [
            _matrix("Operators under each transform", MODES, [(o.group, o.mode, o) for o in cases]),
            _matrix("Operators in each dtype", dtypes, [(o.group, o.dtype, o) for o in cases]),
            _matrix("Meaning and buffer rules", ("rules",), [(o.group, "rules", o) for o in rules]),
        ]
        return [matrix for matrix in made if matrix.rows]

    def summary(self) -> str:
        """The totals in one line."""
        counted = ", ".join(f"{count} {status}" for status, count in self.totals.items())
        of = f"{self.operators} operators in {self.seconds:.0f} s"
        version = f" ({self.version})" if self.version else ""
        return f"{self.backend}{version}: {counted}; {of}"

    def text(self) -> str:
        """The matrix of operators and transforms, the rules, failures, and totals."""
        parts = [_text(matrix) for matrix in self.matrices() if matrix.title.split()[-1] != "dtype"]
        told = [f"FAILED {o.label}\n    {_short(o.message)}" for o in self.failures[:_SHOWN]]
        if len(self.failures) > _SHOWN:
            told.append(f"... and {len(self.failures) - _SHOWN} more (--report writes them all)")
        return "\n\n".join([*parts, *told, f"{self.scope}\n{self.summary()}"])

    def html(self) -> str:
        """The whole as one page that needs nothing else."""
        tables = "".join(_table(matrix) for matrix in self.matrices())
        told = "".join(
            f"<li><b>{html.escape(o.label)}</b><pre>{html.escape(o.message)}</pre></li>"
            for o in self.failures
        )
        failures = f"<h2>Failures</h2><ol>{told}</ol>" if told else ""
        tiles = "".join(
            f'<div class="tile {_CLASSES[status]}"><b>{count:,}</b>{status}</div>'
            for status, count in self.totals.items()
        )
        title = f"slope conformance: {html.escape(self.backend)}"
        facts = [self.version, f"{self.operators} operators", f"{self.seconds:.0f} s", self.scope]
        about = html.escape(" · ".join(facts))
        return _PAGE.format(
            title=title, about=about, tiles=tiles, tables=tables, failures=failures, style=_STYLE
        )


def _matrix(title: str, columns: Sequence[str], entries: list[tuple[str, str, Outcome]]) -> Matrix:
    rows: dict[str, dict[str, list[Outcome]]] = {}
    for row, column, outcome in entries:
        rows.setdefault(row, {}).setdefault(column, []).append(outcome)
    used = {column for row in rows.values() for column in row}
    return Matrix(title, tuple(column for column in columns if column in used), rows)


def _counts(outcomes: Sequence[Outcome]) -> tuple[int, int, int]:
    counts = Counter(outcome.status for outcome in outcomes)
    return counts[PASSED], counts[UNSUPPORTED], counts[FAILED]


def _cell(outcomes: Sequence[Outcome]) -> str:
    """``12`` for twelve that passed; ``12 3- 1!`` where three are unsupported and one failed."""
    passed, unsupported, failed = _counts(outcomes)
    parts = [str(passed)] if passed else []
    parts += [f"{unsupported}-"] if unsupported else []
    parts += [f"{failed}!"] if failed else []
    return " ".join(parts)


def _text(matrix: Matrix) -> str:
    lines = [["", *matrix.columns]]
    for name, row in matrix.rows.items():
        lines.append([name, *[_cell(row.get(column, ())) for column in matrix.columns]])
    sums = [
        _cell([o for row in matrix.rows.values() for o in row.get(column, ())])
        for column in matrix.columns
    ]
    lines.append(["total", *sums])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    body = [
        "  ".join(
            [
                line[0].ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for line in lines
    ]
    note = "  (passed, declared unsupported-, failed!)"
    return "\n".join([matrix.title + note, *body])


def _short(message: str) -> str:
    return message if len(message) < 800 else message[:800] + " ..."


# --- the page

_CLASSES: Final = {PASSED: "good", UNSUPPORTED: "none", FAILED: "bad"}

_STYLE: Final = """
:root { color-scheme: light dark; --good: #1a7f37; --none: #9a6700; --bad: #cf222e; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.about { color: GrayText } .tiles { display: flex; gap: 1rem; margin: 1.2rem 0 }
.tile { border: 1px solid; border-radius: .6rem; padding: .6rem 1.2rem }
.tile b { display: block; font-size: 1.7rem } .tile.good { color: var(--good) }
.tile.none { color: var(--none) } .tile.bad { color: var(--bad) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th { font-weight: 600; text-align: right; padding: .25rem .6rem; position: sticky;
  top: 0; background: Canvas }
th.name { text-align: left } tr:hover td, tr:hover th.name { outline: 1px solid GrayText }
tr.total th, tr.total td { border-top: 2px solid GrayText }
td { text-align: right; padding: .15rem .6rem; min-width: 2.6rem;
  border: 1px solid color-mix(in srgb, GrayText 25%, Canvas) }
td.good { background: color-mix(in srgb, var(--good) 16%, Canvas) }
td.none { background: color-mix(in srgb, var(--none) 22%, Canvas) }
td.bad { background: color-mix(in srgb, var(--bad) 30%, Canvas); font-weight: 700 }
i { font-style: normal; color: var(--none) } em { font-style: normal; color: var(--bad) }
pre { white-space: pre-wrap; font-size: .85rem; max-height: 20rem; overflow: auto }
"""

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1><p class="about">{about}</p><div class="tiles">{tiles}</div>
<p>A cell counts the cases that passed; <i>-n</i> are declared unsupported by the backend, and
<em>n failed</em> differ from the definition or raise. Point at a cell to read why.</p>
{tables}{failures}</body></html>
"""


def _table(matrix: Matrix) -> str:
    head = "".join(f"<th>{column}</th>" for column in matrix.columns)
    rows = [
        _row(name, [row.get(column, []) for column in matrix.columns])
        for name, row in matrix.rows.items()
    ]
    sums = [
        [o for row in matrix.rows.values() for o in row.get(column, ())]
        for column in matrix.columns
    ]
    total = _row("total", sums).replace("<tr>", '<tr class="total">', 1)
    return (
        f'<h2>{matrix.title}</h2><table><thead><tr><th class="name"></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}{total}</tbody></table>"
    )


def _row(name: str, cells: Sequence[Sequence[Outcome]]) -> str:
    return f'<tr><th class="name">{html.escape(name)}</th>{"".join(map(_td, cells))}</tr>'


def _td(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "<td></td>"
    passed, unsupported, failed = _counts(outcomes)
    kind = "bad" if failed else "none" if unsupported else "good"
    parts = [str(passed)] if passed else []
    parts += [f"<i>-{unsupported}</i>"] if unsupported else []
    parts += [f"<em>{failed} failed</em>"] if failed else []
    told = [f"{o.label}: {_short(o.message)}" for o in outcomes if o.status == FAILED]
    told = told or [f"{o.label}: {o.message}" for o in outcomes if o.status == UNSUPPORTED]
    title = "\n\n".join(told[:6]) + (f"\n\n... and {len(told) - 6} more" if len(told) > 6 else "")
    hint = f' title="{html.escape(title, quote=True)}"' if told else ""
    return f'<td class="{kind}"{hint}>{" ".join(parts)}</td>'
