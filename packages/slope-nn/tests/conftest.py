"""What the tests of slope-nn share."""

import pytest

import slope

BACKENDS = ("numpy", "onnxruntime", "iree")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, as the current one."""
    with slope.use_backend(request.param):
        yield request.param


@pytest.fixture
def on_numpy():
    """The backend that needs no compiler, for tests of what no backend decides."""
    with slope.use_backend("numpy"):
        yield
