"""docs/plugins.md tells the truth: its Python runs, its names exist, its rules agree."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import slope
import slope.extend
from slope.plugins import hookspecs

PAGE = Path(__file__).parents[1] / "docs" / "plugins.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def unregistered():
    yield
    slope.extend.unregister_plugin("wavelets")


def test_its_python_runs(backend, unregistered, capsys):
    space: dict[str, Any] = {"__name__": "wavelets"}
    for number, (language, text) in enumerate(BLOCKS):
        if language == "python":
            exec(compile(text, f"plugins.md block {number}", "exec"), space)
    assert capsys.readouterr().out.startswith("(tensor([[1.5, 2.5]")
    x = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
    total, difference = slope.butterfly(x, 1, weight=0.5)
    assert total.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert difference.tolist() == [[0.5, 1.5], [2.5, 3.5]]
    code = slope.jit(slope.butterfly).lower(x, x).code
    assert "np.subtract" in code or "Sub" in code or "stablehlo.subtract" in code


def test_every_hook_and_no_other_is_in_the_table():
    hooks = {name for name in vars(hookspecs) if name.startswith("slope_")}
    assert set(re.findall(r"^\| `(slope_\w+)\(", TEXT, flags=re.MULTILINE)) == hooks


def test_names_and_files_that_it_mentions_exist():
    for name in re.findall(r"slope\.extend\.(\w+)", TEXT):
        assert hasattr(slope.extend, name), name
    for name in re.findall(r'help\("([\w.]+)"\)', TEXT):
        assert (importlib.import_module(name).__doc__ or "").strip()
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (PAGE.parent / target).exists(), target


def test_its_project_file_names_the_plugin_that_it_shows():
    (text,) = (text for language, text in BLOCKS if language == "toml")
    assert tomllib.loads(text)["project"]["entry-points"]["slope"] == {
        "wavelets": "slope_wavelets.plugin"
    }
