"""Arguments of the wrong kind: errors of slope's own that name the layer or the function."""

from __future__ import annotations

import pytest

import slope
from slope import errors, nn

X = slope.ones(2, 3)

BAD = {  # a call, and what the message must hold
    "constructor": (lambda: nn.Conv2d(3, 4, "x"), r"Conv2d: kernel_size.*'x'"),
    "number": (lambda: nn.ELU(slope.ones(2)), r"ELU: .*float32\[2\]"),
    "inherited constructor": (lambda: nn.ZeroPad2d(None), r"ZeroPad2d cannot work with padding=N"),
    "call": (lambda: nn.GRU(3, 4)("x"), r"GRU cannot work with x='x'.*It takes x, hidden"),
    "cell": (lambda: nn.LSTMCell(3, 4)(object()), "LSTMCell"),
    "optimizer": (lambda: nn.Adam(nn.Linear(1, 1), lr="x"), r"Adam: lr.*'x'"),
    "initialiser": (lambda: nn.init.orthogonal(None), r"orthogonal.*None"),
    "clipping": (lambda: nn.clip_grad_norm(1, 2), r"clip_grad_norm.*tree=1"),
    "path": (lambda: nn.write_sharded(1, 2), "write_sharded cannot work with"),
    "sampling": (lambda: nn.sample_logits(X, temperature="hot"), "sample_logits.*hot"),
    "metric": (lambda: nn.metrics.accuracy(object(), X), "accuracy"),
}


@pytest.mark.parametrize("name", BAD)
def test_message(name):
    call, text = BAD[name]
    with slope.use_backend("numpy"), pytest.raises(errors.SlopeError, match=text):
        call()


def test_a_wrong_number_of_arguments_is_pythons_to_tell():
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        nn.Linear(3)
    assert not isinstance(caught.value, errors.SlopeError)


def test_errors_of_the_users_code_stay_as_they_are():
    class Mine(nn.Module):
        def __init__(self, size):
            self.size = len(size)

    with pytest.raises(TypeError, match=r"^object of type 'int' has no len\(\)$"):
        Mine(3)
    with pytest.raises(AttributeError, match="has no attribute 'mistake'"):
        nn.Sequential(nn.Linear(3, 3), nn.Fn(lambda x: x.mistake))(X)
