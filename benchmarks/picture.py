"""A picture of the ratios: each workload a row, each system a point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from timing import Result

INK, QUIET, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
COLORS = {
    "slope/iree": "#1f5fae",
    "slope/onnxruntime": "#17917a",
    "slope/numpy": "#8a4fbf",
    "slope": "#1f2933",
    "jax": "#e07b39",
    "torch": "#d64545",
    "torch.compile": "#f2a9a9",
    "torch channels last": "#8c2d2d",
    "tinygrad": "#9aa5b1",
}
TICKS = tuple(digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 5))


def ratios(path: Path, results: Sequence[Result], title: str) -> Path:
    """Save a PNG with each system's median over the best peer's, smaller is better.

    Returns:
        The file, absolute.
    """
    shown = list(results)
    figure = Figure(figsize=(11, 1.9 + 0.42 * max(len(shown), 1)), dpi=140, layout="constrained")
    axes = figure.add_subplot()
    axes.axvline(1, color=INK, linewidth=1)
    for row, each in enumerate(shown):
        axes.axhline(row, color=FAINT, linewidth=1, zorder=0)
        # Without peers, the best of slope's own.
        fastest = min(numbers.median for numbers in each.systems.values())
        base = each.systems[each.peer].median if each.peer else fastest
        for name, numbers in each.systems.items():
            ours = name.startswith("slope")
            axes.scatter(
                numbers.median / base,
                row,
                s=90 if ours else 55,
                marker="o" if ours else "D",
                color=COLORS.get(name, QUIET),
                edgecolor="white",
                zorder=3 if ours else 2,
                label=name,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}x"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(shown)), [f"{each.name}  {each.title}" for each in shown], fontsize=8)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(length=0, colors=INK)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    best = "best other engine's" if any(each.peer for each in shown) else "fastest's"
    told = f"median, as a multiple of the {best} (left is better)"
    axes.set_xlabel(f"{told}\n{title}", color=INK)
    labels = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(
        labels.values(), labels, loc="outside upper left", ncols=5, frameon=False, fontsize=8
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path.absolute()
