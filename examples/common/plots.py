"""What the pictures of the small examples share: colours, plain axes, a figure with a title."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

INK, QUIET, FAINT = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, RED, GREEN, SAND = "#1f5fae", "#d64545", "#2e8b57", "#e8a33d"


def panels(title: str, size: tuple[float, float], *widths: float) -> tuple[Figure, list[Axes]]:
    """A figure of some inches with a title and axes beside each other, of relative widths."""
    figure = Figure(
        figsize=size,
        dpi=150,
        facecolor="white",
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1),
    )
    figure.suptitle(title, x=0.015, ha="left", fontsize=14, weight="bold", color=INK)
    grid = figure.subplots(1, len(widths), squeeze=False, width_ratios=list(widths))
    return figure, [plain(axes) for axes in grid[0]]


def plain(axes: Axes, **labels: Any) -> Axes:
    """Axes without a frame, with quiet ticks and a faint grid; set title, xlabel, ylabel."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.tick_params(which="both", colors=QUIET, labelsize=9, length=0)
    axes.grid(color=FAINT, linewidth=0.8)
    axes.set_axisbelow(True)
    if "title" in labels:
        axes.set_title(labels["title"], loc="left", fontsize=11, color=INK)
    axes.set_xlabel(labels.get("xlabel", ""), color=QUIET)
    axes.set_ylabel(labels.get("ylabel", ""), color=QUIET)
    return axes


def bare(axes: Axes, title: str = "") -> Axes:
    """Axes for a picture: no ticks, no frame."""
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    return axes


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save as PNG; the folder is made if it is missing. Returns the absolute path."""
    target = Path(path).expanduser().absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, format="png")
    return target
