"""The picture that the examples leave behind."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest


def count_red(path: Path) -> int:
    image = importlib.import_module("matplotlib.image").imread(path)
    red, green, blue = (image[..., channel] for channel in range(3))
    return int(np.sum((red > 0.7) & (green < 0.45) & (blue < 0.45)))


@pytest.mark.parametrize(("steps", "count"), [(900, 50), (1, 3), (5, 0)])
def test_figure_is_a_png_with_red_only_where_wrong(load_example, tmp_path, steps, count):
    figures = load_example("common.figures")
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = np.arange(count) % 10
    losses = np.exp(-np.arange(steps) / 100)
    path = figures.training_figure(tmp_path / "new" / "a.png", losses, images, labels, labels, "T")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert count_red(path) == 0
    if count:
        wrong = np.where(np.arange(count) == 2, (labels + 1) % 10, labels)
        figures.training_figure(path, losses, images, wrong, labels, "T")
        assert count_red(path) > 100


def test_figure_takes_losses_that_no_logarithm_takes(load_example, tmp_path):
    none = np.zeros((0, 28, 28))
    for losses in ([0.5, 0.0, -0.5], [1.0, float("nan"), float("inf")]):
        path = load_example("common.figures").training_figure(
            tmp_path / "a.png", losses, none, none[:, 0, 0], none[:, 0, 0], "T"
        )
        assert path.stat().st_size > 1000


def test_figure_refuses_shapes_that_do_not_go_together(load_example, tmp_path):
    draw = load_example("common.figures").training_figure
    images, labels = np.zeros((3, 28, 28)), np.zeros(3)
    with pytest.raises(ValueError, match=r"losses must have shape \(steps,\).*got \(0,\)"):
        draw(tmp_path / "a.png", [], images, labels, labels, "T")
    with pytest.raises(ValueError, match=r"got \(3, 28, 28\), \(2,\) and \(3,\)"):
        draw(tmp_path / "a.png", [1.0], images, labels[:2], labels, "T")


def test_running_mean_keeps_a_constant_and_averages_around_each_value(load_example):
    running_mean = load_example("common.figures").running_mean
    np.testing.assert_allclose(running_mean(np.full(9, 2.5), 4), np.full(9, 2.5))
    np.testing.assert_allclose(running_mean(np.arange(5.0), 3), [0.5, 1.0, 2.0, 3.0, 3.5])
