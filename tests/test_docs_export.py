"""docs/export.md tells the truth: its Python runs, what it names exists."""

from __future__ import annotations

import re
import shlex
import sys
import types
from pathlib import Path

import pytest
from iree_commands import command

import slope
import slope.extend

PAGE = Path(__file__).parents[1] / "docs" / "export.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def module(monkeypatch, tmp_path):
    """What the page's code is defined in, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    made = types.ModuleType("export_page")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    yield made
    if "listing" in {plugin.name for plugin in slope.plugins()}:
        slope.extend.unregister_plugin("listing")


def test_its_python_runs(module, tmp_path, capsys):
    space = vars(module)
    for number, (language, text) in enumerate(BLOCKS):
        if language == "python":
            exec(compile(text, f"export.md block {number}", "exec"), space)
    printed = capsys.readouterr().out
    assert "next.optimizer.m.0.weight" in printed
    assert "['next.w']" in printed
    assert "float32[batch, 3] (5, 3)" in printed
    assert "Sequential tensor(" in printed
    listing = (tmp_path / "softmax.txt").read_text()
    assert listing.startswith("# x\n")
    assert "slope.exp(" in listing
    assert float(space["outputs"]["loss"]) < 1.0
    assert not space["exported"].path.is_absolute()


def test_what_it_names_exists():
    attribute = "name"  # of StableHLO
    for name in set(re.findall(r"`slope\.((?:\w+\.)*\w+)", TEXT)) - {attribute}:
        found = slope
        for part in name.split("."):
            found = getattr(found, part)
    for name in set(re.findall(r"help\(slope\.extend\.([\w.]+)\)", TEXT)):
        found = slope.extend
        for part in name.split("."):
            found = getattr(found, part)
            assert (found.__doc__ or "").strip(), name


def test_its_commands_are_there():
    commands = [text for language, text in BLOCKS if language == "sh"]
    assert [shlex.split(text)[0] for text in commands] == ["iree-run-module", "iree-compile"]
    for text in commands:
        assert command(shlex.split(text)[0])
