"""Arguments of the wrong kind: errors of slope's own that name the layer or the function."""

from __future__ import annotations

from typing import Any

import pytest

import slope
from slope import errors, nn

X = slope.ones(2, 3)

loose: Any = nn  # so that type checkers let wrong arguments pass
BAD = {  # a call, and what the message must hold
    "constructor": (lambda: loose.Conv2d(3, 4, "x"), r"Conv2d: kernel_size.*'x'"),
    "number": (lambda: loose.ELU(slope.ones(2)), r"ELU: .*float32\[2\]"),
    "inherited constructor": (
        lambda: loose.ZeroPad2d(None),
        r"ZeroPad2d cannot work with padding=N",
    ),
    "call": (lambda: loose.GRU(3, 4)("x"), r"GRU cannot work with x='x'.*It takes x, hidden"),
    "cell": (lambda: loose.LSTMCell(3, 4)(object()), "LSTMCell"),
    "optimizer": (lambda: loose.Adam(nn.Linear(1, 1), lr="x"), r"Adam: lr.*'x'"),
    "initialiser": (lambda: loose.init.orthogonal(None), r"orthogonal.*None"),
    "clipping": (lambda: loose.clip_grad_norm(1, 2), r"clip_grad_norm.*tree=1"),
    "path": (lambda: loose.write_sharded(1, 2), "write_sharded cannot work with"),
    "sampling": (lambda: loose.sample_logits(X, temperature="hot"), "sample_logits.*hot"),
    "schedule": (lambda: loose.ReduceOnPlateau(0.1, "x"), "ReduceOnPlateau cannot work with"),
    "names": (lambda: loose.rename({}, X), r"rename cannot work with.*float32\[2, 3\]"),
    "metric": (lambda: loose.metrics.accuracy(object(), X), "accuracy"),
}


@pytest.mark.parametrize("name", BAD)
def test_message(name):
    call, text = BAD[name]
    with slope.use_backend("numpy"), pytest.raises(errors.SlopeError, match=text):
        call()


def test_a_wrong_number_of_arguments_is_pythons_to_tell():
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        loose.Linear(3)
    assert not isinstance(caught.value, errors.SlopeError)


def test_errors_of_the_users_code_stay_as_they_are():
    class Mine(nn.Module):
        def __init__(self, size):
            self.size = len(size)

    with pytest.raises(TypeError, match=r"^object of type 'int' has no len\(\)$"):
        Mine(3)
    with pytest.raises(AttributeError, match="has no attribute 'mistake'"):
        nn.Sequential(nn.Linear(3, 3), nn.Fn(lambda x: x.mistake))(X)
