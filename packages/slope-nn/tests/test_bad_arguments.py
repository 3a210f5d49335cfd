"""Arguments of the wrong kind: errors of slope's own that name the layer or the function."""

from __future__ import annotations

import inspect
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
        r"ZeroPad2d: padding must be an int or a sequence of ints, not None",
    ),
    "call": (lambda: loose.GRU(3, 4)("x"), r"GRU: x must be a tensor, not 'x'"),
    "state": (lambda: loose.GRU(3, 4)(slope.ones(5, 2, 3), 7), r"GRU: state must be a tensor, not"),
    "cell": (lambda: loose.LSTMCell(3, 4)(object()), "LSTMCell"),
    "optimizer": (lambda: loose.Adam(nn.Linear(1, 1), lr="x"), r"Adam: lr.*'x'"),
    "initialiser": (lambda: loose.init.orthogonal(None), r"orthogonal.*None"),
    "clipping": (lambda: loose.clip_grad_norm(1, 2), r"clip_grad_norm: the gradients .* hold 1"),
    "path": (lambda: loose.write_sharded(1, 2), "write_sharded: the path must be text or a"),
    "order": (lambda: loose.save({}, "x"), "save: the path, which comes first, must be text or a"),
    "sampling": (lambda: loose.sample_logits(X, temperature="hot"), "sample_logits.*hot"),
    "schedule": (lambda: loose.ReduceOnPlateau(0.1, "x"), "ReduceOnPlateau: factor must be a num"),
    "names": (lambda: loose.rename({}, X), r"rename: rules must be a seq.*float32\[2, 3\]"),
    "vector": (lambda: loose.parameters_to_vector([1.5]), "parameters_to_vector: a par.* not 1.5"),
    "no model": (lambda: loose.vector_to_parameters(X, [2]), "vector_to_parameters: a par.* not 2"),
    "nothing to train": (lambda: loose.LBFGS(object()), "LBFGS: there is nothing to train"),
    "name": (lambda: loose.WeightNorm(nn.Linear(1, 1), X), "WeightNorm takes a module with a"),
    "power": (lambda: loose.LPPool2d("x", 2), "LPPool2d: norm_type must be a number, not 'x'"),
    "shape": (lambda: loose.init.variance_scaling([[1, 2], 3]), "shape must be a sequence of ints"),
    "batches": (lambda: loose.fit(X, X, max, 3), "fit: batches must be a sequence.*not 3"),
    "batch": (lambda: loose.fit(X, X, max, [3]), "fit: a batch must be a tuple or list.*not 3"),
    "loss": (lambda: loose.fit(X, X, 3, []), "fit: loss must be a function, not 3"),
    "evaluation": (lambda: loose.fit(X, X, max, [], evaluate=1), "fit: evaluate must be a fun"),
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


# --- no error but slope's own, whatever is given for whatever argument

WRONG = ("x", None, object(), slope.ones(2), -1, 0, 1.5, [1, 2, "a"], (1,) * 7, {}, True)
WRONG_INPUTS = (*WRONG[:3], 1, [1.0], slope.ones(()), slope.ones(*[1] * 7), slope.zeros(0, 3))
PLANE = (1, 2, 5, 6)
SEQUENCE = (5, 2, 3)
LAYERS: dict[str, tuple[dict[str, Any], tuple[tuple[int, ...], ...]]] = {
    "Linear": ({"in_features": 4, "out_features": 3}, ((2, 4),)),
    "Bilinear": ({"in1_features": 3, "in2_features": 4, "out_features": 2}, ((2, 3), (2, 4))),
    "Embedding": ({"num_embeddings": 7, "embedding_dim": 3}, ()),
    "LayerNorm": ({"normalized_shape": (3, 4)}, ((2, 3, 4),)),
    "RMSNorm": ({"normalized_shape": 4}, ((2, 4),)),
    "GroupNorm": ({"num_groups": 2, "num_channels": 6}, ((2, 6, 3),)),
    "BatchNorm2d": ({"num_features": 2}, (PLANE,)),
    "InstanceNorm2d": ({"num_features": 2}, (PLANE,)),
    "Conv2d": ({"in_channels": 2, "out_channels": 4, "kernel_size": 3}, (PLANE,)),
    "ConvTranspose2d": ({"in_channels": 2, "out_channels": 4, "kernel_size": 3}, (PLANE,)),
    "MaxPool2d": ({"kernel_size": 2}, (PLANE,)),
    "AvgPool2d": ({"kernel_size": 2}, (PLANE,)),
    "AdaptiveAvgPool2d": ({"output_size": 2}, (PLANE,)),
    "AdaptiveMaxPool2d": ({"output_size": 2}, (PLANE,)),
    "ConstantPad2d": ({"padding": 1, "value": 0.5}, (PLANE,)),
    "ReflectionPad2d": ({"padding": 1}, (PLANE,)),
    "Dropout2d": ({"p": 0.5}, (PLANE,)),
    "RNN": ({"input_size": 3, "hidden_size": 4}, (SEQUENCE, (1, 2, 4))),
    "GRU": ({"input_size": 3, "hidden_size": 4}, (SEQUENCE, (1, 2, 4))),
    "LSTM": ({"input_size": 3, "hidden_size": 4}, (SEQUENCE,)),
    "RNNCell": ({"input_size": 3, "hidden_size": 4}, ((2, 3), (2, 4))),
    "GRUCell": ({"input_size": 3, "hidden_size": 4}, ((2, 3), (2, 4))),
    "LSTMCell": ({"input_size": 3, "hidden_size": 4}, ((2, 3),)),
    "MultiheadAttention": ({"embed_dim": 8, "num_heads": 2}, ((2, 3, 8),) * 3),
    "TransformerEncoderLayer": ({"d_model": 8, "nhead": 2}, ((2, 3, 8),)),
    "TransformerDecoderLayer": ({"d_model": 8, "nhead": 2}, ((2, 3, 8),) * 2),
    "RotaryEmbedding": ({"dim": 8}, ((2, 3, 8),)),
    "Upsample": ({"scale_factor": 2}, (PLANE,)),
    "PixelShuffle": ({"upscale_factor": 2}, ((1, 4, 2, 2),)),
    "Unflatten": ({"dim": 1, "unflattened_size": (2, 3)}, ((2, 6),)),
    "LocalResponseNorm": ({"size": 3}, (PLANE,)),
    "PReLU": ({"num_parameters": 3}, ((2, 3),)),
    "CELU": ({}, ((2, 3),)),
    "Hardtanh": ({}, ((2, 3),)),
    "Softplus": ({}, ((2, 3),)),
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "ConstantSchedule": {"value": 1.0},
    "StepSchedule": {"value": 1.0, "every": 3},
    "MultiStepSchedule": {"value": 1.0, "milestones": [2, 4]},
    "ExponentialSchedule": {"value": 1.0, "factor": 0.5},
    "LinearSchedule": {"start": 0.0, "end": 1.0, "steps": 4},
    "PolynomialSchedule": {"start": 1.0, "steps": 4},
    "CosineSchedule": {"value": 1.0, "steps": 4},
    "OneCycleSchedule": {"peak": 1.0, "steps": 4},
}
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Lion", "LAMB", "Adafactor")


def _only_slopes(text, call):
    """Call it: it may work, or fail with an error of slope's."""
    try:
        return call()
    except errors.SlopeError:
        return None
    except Exception as error:  # noqa: BLE001  # whatever it is, it is the failure
        pytest.fail(f"{text}: {type(error).__name__}: {error}")


def _wrongly(cls, known, use):
    """Make a class with each argument wrong in turn, and use what can be made."""
    for name in inspect.signature(cls.__init__).parameters:
        if name in ("self", "key", "settings"):
            continue
        for value in WRONG:
            text = f"{cls.__name__}({name}={value!r})"
            made = _only_slopes(text, lambda n=name, v=value: cls(**{**known, n: v}))
            if made is not None:
                _only_slopes(f"{text} called", lambda m=made: use(m))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_raise_no_error_but_slopes(name):
    known, shapes = LAYERS[name]
    inputs = [slope.ones(*shape) for shape in shapes] or [slope.tensor([1, 2])]
    with slope.use_backend("numpy"):
        _wrongly(getattr(nn, name), known, lambda layer: layer(*inputs))
        layer = getattr(nn, name)(**known)
        layer(*inputs)
        for place in range(len(inputs)):
            for value in WRONG_INPUTS:
                given = [*inputs[:place], value, *inputs[place + 1 :]]
                _only_slopes(f"{name} called with {given}", lambda g=given: layer(*g))


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_raise_no_error_but_slopes(name):
    with slope.use_backend("numpy"):
        _wrongly(getattr(nn, name), SCHEDULES[name], lambda schedule: schedule(3))
        for value in WRONG:
            made = getattr(nn, name)(**SCHEDULES[name])
            _only_slopes(f"{name} at {value!r}", lambda m=made, v=value: m(v))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if hasattr(nn, name)])
def test_optimizers_raise_no_error_but_slopes(name):
    model, cls = nn.Linear(3, 3), getattr(nn, name)
    known = {"model": model, "lr": 0.1}
    with slope.use_backend("numpy"):
        _wrongly(cls, known, lambda optimizer: optimizer(model, model))
        made = cls(**known)
        for value in WRONG:
            _only_slopes(f"{name} with gradients {value!r}", lambda v=value: made(model, v))
            _only_slopes(f"{name} with a model {value!r}", lambda v=value: made(v, model))


FUNCTIONS: dict[str, dict[str, Any]] = {
    **{f"init.{name}": {"shape": (3, 4)} for name in nn.init.__all__ if name != "skip"},
    "init.constant": {"shape": (3, 4), "value": 1.0},
    "metrics.accuracy": {"logits": X, "target": slope.tensor([0, 1])},
    "metrics.topk_accuracy": {"logits": X, "target": slope.tensor([0, 1]), "k": 1},
    "metrics.perplexity": {"loss": 1.0},
    "clip_grad_norm": {"gradients": [X], "max_norm": 1.0},
    "clip_grad_value": {"gradients": [X], "clip_value": 1.0},
    "global_norm": {"tree": [X]},
    "rename": {"state": {}, "rules": []},
    "from_torch": {"state": {}},
    "sample_logits": {"logits": X},
    "EMA": {"model": nn.Linear(2, 2)},
    "ReduceOnPlateau": {"value": 0.1},
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_raise_no_error_but_slopes(name):
    function: Any = nn
    for part in name.split("."):
        function = getattr(function, part)
    with slope.use_backend("numpy"):
        for argument in inspect.signature(function).parameters:
            for value in WRONG:
                given = {**FUNCTIONS[name], argument: value}
                _only_slopes(f"{name}({argument}={value!r})", lambda g=given: function(**g))
