"""What the tests of the whole share: each runs on every backend."""

import importlib
import sys
from pathlib import Path

import pytest

import slope

BACKENDS = ("numpy", "onnxruntime", "iree")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, as the current one."""
    with slope.use_backend(request.param):
        yield request.param


@pytest.fixture(scope="module")
def load():
    """Imports modules of benchmarks/ as a script there would, and forgets them afterwards."""
    before = set(sys.modules)
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module
    sys.path.remove(str(BENCHMARKS))
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(BENCHMARKS)):
            del sys.modules[name]
