"""The command line: ``python -m slope.testing conformance --backend NAME``."""

from __future__ import annotations

import argparse
import faulthandler
import sys
from collections.abc import Sequence
from pathlib import Path

from slope.errors import SlopeError
from slope.testing.kit import conformance
from slope.testing.support import support_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after ``python -m slope.testing``; by default, those of this process.

    Returns:
        The exit status: 0, 1 if a backend fails something that it declares, 2 if it cannot be run.
    """
    parser = argparse.ArgumentParser(
        prog="python -m slope.testing", description="slope's checks for authors of backends."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "conformance", help="run every operator, transform and rule on a backend"
    )
    check.add_argument("--backend", required=True, metavar="NAME", help="the backend's name")
    check.add_argument(
        "--operator", action="append", default=[], metavar="OP", help="only this one; repeatable"
    )
    check.add_argument("--report", type=Path, metavar="FILE", help="write a page with the matrix")
    check.add_argument("--fast", action="store_true", help="a few cases of each operator")
    check.add_argument(
        "--thorough", action="store_true", default=None, help="leave out nothing, however slow"
    )
    check.add_argument(
        "--verbose",
        action="store_true",
        help="say each case before it runs, one at a time: shows which one a backend crashes in",
    )
    commands.add_parser("support-table", help="print which dtypes each backend supports")
    options = parser.parse_args(arguments)
    if options.command == "support-table":
        print(support_table(), end="")
        return 0
    try:
        report = conformance(
            options.backend,
            options.operator,
            fast=options.fast,
            thorough=options.thorough,
            verbose=options.verbose,
        )
    except SlopeError as error:
        print(error, file=sys.stderr)
        return 2
    print(report.text())
    if options.report is not None:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(report.html(), encoding="utf-8")
        print(f"wrote {options.report}")
    return 1 if report.failures else 0


if __name__ == "__main__":
    faulthandler.enable()  # says at least that it was a crash; --verbose says in which case
    raise SystemExit(main())
