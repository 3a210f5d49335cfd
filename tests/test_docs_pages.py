"""The documentation tells the truth: its Python runs, and its reference leaves out no name."""

import contextlib
import inspect
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slope
import slope_nn.data

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SETTINGS = (ROOT / "mkdocs.yml").read_text()
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# debug.md, export.md and plugins.md have tests of their own; support.md is written by a program.
PAGES = ["index", "from_pytorch", "from_jax", "transforms", "control_flow", "training", "speed"]


def run(page: str) -> str:
    """Run a page's Python in order, and give what it printed."""
    printed, space = io.StringIO(), {"__name__": "page"}
    with contextlib.redirect_stdout(printed), slope.use_backend("numpy"):
        for number, (language, text) in enumerate(FENCE.findall((DOCS / page).read_text())):
            if language == "python":
                exec(compile(text, f"{page} block {number}", "exec"), space)
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs(page):
    run(f"{page}.md")


def test_programs_print_as_the_page_shows_them():
    printed = run("inside.md")
    shown = [
        text for kind, text in FENCE.findall((DOCS / "inside.md").read_text()) if kind == "text"
    ]
    programs = [text for text in shown if text.startswith("# slope program")]
    assert len(programs) == 3
    for text in programs:
        # A program's name in its first line may be `<lambda>`, in its text `lambda_`.
        assert text.partition("\n")[2] in printed


def test_implicit_derivatives_are_those_of_the_unrolled_iteration():
    space: dict[str, Any] = {}
    blocks = [text for kind, text in FENCE.findall((DOCS / "transforms.md").read_text())]
    with contextlib.redirect_stdout(io.StringIO()):
        for text in blocks:
            if "import slope" in text or "settle" in text:
                exec(text, space)

    def unrolled(w):
        z = slope.zeros(4)
        for _ in range(60):
            z = slope.tanh(z @ w + slope.ones(4))
        return z.sum()

    expected = slope.jit(slope.grad(unrolled))(0.1 * slope.eye(4))
    np.testing.assert_allclose(space["gradient"], expected, rtol=1e-4, atol=1e-5)


def test_every_page_is_in_the_navigation():
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    named = set(re.findall(r"^ +- (?:.*: )?(\S+\.md)$", SETTINGS, flags=re.MULTILINE))
    assert pages == named


REFERENCE = "\n".join(path.read_text() for path in (DOCS / "reference").glob("*.md"))
HOMES = set(re.findall(r"^::: (\S+)$", REFERENCE, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "module",
    [slope, slope_nn, slope.linalg, slope.special, slope_nn.data, slope.extend, slope.testing],
)
def test_the_reference_has_every_public_name(module):
    names = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
    left_out = []
    for name in names:
        home = getattr(getattr(module, name), "__module__", None)
        if inspect.ismodule(getattr(module, name)) or not str(home).startswith("slope"):
            continue  # a number such as pi, or somebody else's
        places = {module.__name__, home, f"{home}.{name}"}
        if not places & HOMES:
            left_out.append(f"{home}.{name}")
    assert left_out == []
