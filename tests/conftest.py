"""What the tests of the whole share: each runs on every backend."""

import pytest

import slope

BACKENDS = ("numpy", "onnxruntime", "iree")


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, as the current one."""
    with slope.use_backend(request.param):
        yield request.param
