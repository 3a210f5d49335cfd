"""Tracebacks show the user's lines, and few of slope's own, unless those are asked for."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

import slope
from slope.errors import user_source

HOME = str(Path(slope.__file__).parent)


def frames_of(function, kind=slope.errors.ShapeError, match=": "):
    """Of the error that a function raises: how many frames are slope's, and the others' lines."""
    with pytest.raises(kind, match=match) as caught:
        function()
    frames = traceback.extract_tb(caught.value.__traceback__)
    others = [frame.line for frame in frames if not frame.filename.startswith(HOME)]
    return len(frames) - len(others), others


def added():
    return slope.ones(2) + slope.ones(3)


def reshaped():
    return slope.ones(2).reshape(5)


def jitted():
    return slope.jit(lambda x: x @ slope.ones(7, 7))(slope.ones(2, 2))


@pytest.mark.parametrize(
    ("function", "line"), [(added, "slope.ones(3)"), (reshaped, "reshape(5)"), (jitted, "(7, 7)")]
)
def test_slopes_own_frames_are_hidden_unless_asked_for(monkeypatch, function, line):
    monkeypatch.delenv("SLOPE_FULL_TRACEBACK", raising=False)
    own, others = frames_of(function)
    assert own <= 2
    assert line in (others[-1] or "")
    monkeypatch.setenv("SLOPE_FULL_TRACEBACK", "1")
    everything, again = frames_of(function)
    assert everything > own
    assert again == others


def looked_up():
    table = {}
    return slope.jit(slope.grad(lambda x: x * table["scale"]))(2.0)


def test_errors_of_the_users_own_function_show_its_line_last(monkeypatch):
    monkeypatch.delenv("SLOPE_FULL_TRACEBACK", raising=False)
    own, others = frames_of(looked_up, KeyError, "scale")
    assert own <= 2
    assert "x * table" in (others[-1] or "")


def test_an_error_that_slope_did_not_mean_to_raise_keeps_all_frames(monkeypatch):
    monkeypatch.delenv("SLOPE_FULL_TRACEBACK", raising=False)

    def broken(*args):
        raise KeyError("inside")

    broken.__code__ = broken.__code__.replace(co_filename=f"{HOME}/broken.py")
    own, _ = frames_of(lambda: slope.grad(broken)(2.0), KeyError, "inside")
    assert own > 2


def test_frozen_modules_hold_no_lines_of_users():
    scope = {"user_source": user_source}
    exec(compile("def run():\n    return user_source()", "<frozen runpy>", "exec"), scope)
    source = scope["run"]()
    assert source is not None
    assert source.function == "test_frozen_modules_hold_no_lines_of_users"
