"""Names that slope does not have, and what to write instead: its own old ones, and PyTorch's."""

from __future__ import annotations

from typing import Any, Final

from slope.core.tensor import Tensor
from slope.errors import RenamedError
from slope.plugins.contributions import find_function, tensor_attribute

RENAMED: Final[dict[str, str]] = {
    "arange_with_cumsum": "arange",
    "avgpool2d": "avg_pool2d",
    "batchnorm": "batch_norm",
    "clip": "clamp",
    "conv_transpose": "conv_transpose2d",
    "expand_dims": "unsqueeze",
    "greater": "gt",
    "greater_equal": "ge",
    "layernorm": "layer_norm",
    "leakyrelu": "leaky_relu",
    "less": "lt",
    "less_equal": "le",
    "logsoftmax": "log_softmax",
    "maxpool2d": "max_pool2d",
    "not_equal": "ne",
    "pad2d": "pad",
    "padslice": "pad",
    "rem": "remainder",
    "stop_gradients": "stop_gradient",
    "swish": "silu",
}

_GRADIENT: Final = "gradients come from functions: slope.grad(loss)(model) or slope.value_and_grad"
_INPLACE: Final = "tensors do not change: use what comes back, or x.at[index].set(value)"
_MOVE: Final = 'use .to("cuda:0"), or DEFAULT_DEVICE=cuda:0 for all new tensors'

NOT_HERE: Final[dict[str, str]] = {
    "autograd": _GRADIENT,
    "enable_grad": "nothing is recorded unless slope.grad asks for it",
    "get_default_dtype": "it is slope.float32",
    "inference_mode": "nothing is recorded unless slope.grad asks for it",
    "no_grad": "nothing is recorded unless slope.grad asks for it; slope.stop_gradient(x) cuts",
    "optim": "optimizers are in slope.nn",
    "set_default_dtype": "give dtype=, or convert with .astype (modules, too)",
    "set_grad_enabled": "nothing is recorded unless slope.grad asks for it",
}
METHODS_NOT_HERE: Final[dict[str, str]] = {
    "backward": _GRADIENT,
    "cpu": 'use .to("cpu")',
    "cuda": _MOVE,
    "data": "tensors do not change, and x.detach() cuts gradients",
    "grad": _GRADIENT,
    "grad_fn": _GRADIENT,
    "is_leaf": _GRADIENT,
    "register_hook": "gradients are values: change what slope.grad returns, or use custom_vjp",
    "requires_grad": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "requires_grad_": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "retain_grad": _GRADIENT,
}


def check_name(name: str) -> None:
    """Refuse an old name, or one of PyTorch's, that no plugin has taken.

    Raises:
        RenamedError: it says what to write instead.
    """
    new = RENAMED.get(name)
    if new is not None and find_function(name) is None:
        raise RenamedError(f"slope.{name} is now slope.{new}.")
    way = NOT_HERE.get(name)
    if way is not None and find_function(name) is None:
        raise RenamedError(f"slope has no {name!r}: {way}.")


def method(tensor: Tensor, name: str) -> Any:
    """``Tensor.__getattr__``: a plugin's method, or what to write instead.

    Raises:
        AttributeError: there is no such method.
    """
    new = RENAMED.get(name)
    if new is not None and hasattr(Tensor, new) and find_function(name) is None:
        raise RenamedError(f"the method {name!r} of tensors is now {new!r}: x.{new}(...).")
    way = METHODS_NOT_HERE.get(name)
    if way is None and name[-1:] == "_" and hasattr(Tensor, name[:-1]) and name[:1] != "_":
        way = f"{_INPLACE}; here x = x.{name[:-1]}(...)"
    if way is not None and find_function(name) is None:
        raise RenamedError(f"tensors have no {name!r}: {way}.")
    return tensor_attribute(tensor, name)
