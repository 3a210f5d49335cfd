"""What the tests of the whole share: every backend in turn, and examples and benchmarks run."""

import contextlib
import importlib
import runpy
import sys
from pathlib import Path

import pytest

import slope

BACKENDS = ("numpy", "onnxruntime", "iree")
ROOT = Path(__file__).parents[1]


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, as the current one."""
    with slope.use_backend(request.param):
        yield request.param


@contextlib.contextmanager
def importing(folder):
    """Modules of a folder are imported as a script there would, and forgotten afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
                del sys.modules[name]


@pytest.fixture(scope="module")
def load():
    """Imports modules of benchmarks/."""
    with importing(ROOT / "benchmarks") as load:
        yield load


@pytest.fixture
def load_example():
    """Imports modules of examples/."""
    with importing(ROOT / "examples") as load:
        yield load
    slope.set_backend(None)


@pytest.fixture
def run_example(load_example, monkeypatch, capsys, tmp_path):
    """Runs an example as a script, with arguments; gives what it prints, and its variables."""
    picture = tmp_path / "some" / "picture.png"

    def call(name, *args):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *args, "--out", str(picture)])
        scope = runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        assert picture.read_bytes().startswith(b"\x89PNG")
        return capsys.readouterr().out, scope

    return call
