"""The command line: ``python -m slope info``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from slope.info import collect, render


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    Args:
        arguments: The words after ``python -m slope``; by default, those of this process.
    """
    parser = argparse.ArgumentParser(prog="python -m slope", description="slope's command line.")
    commands = parser.add_subparsers(dest="command", required=True)
    info = commands.add_parser(
        "info",
        help="show versions, plugins, backends and their devices, and the cache",
        description="Show versions, plugins (and why one is not loaded), backends and their "
        "devices, operators that plugins add, and where the cache is and how large.",
    )
    info.add_argument("--json", action="store_true", help="print JSON")
    info.add_argument("--verbose", action="store_true", help="print tracebacks of failed plugins")
    options = parser.parse_args(arguments)
    report = collect()
    print(json.dumps(report, indent=2) if options.json else render(report, options.verbose))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
