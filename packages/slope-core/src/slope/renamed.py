"""What the first slope called by other names; asking for one gives the name of today."""

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
    "conv": "conv2d",
    "conv_transpose": "conv_transpose2d",
    "equal": "eq",
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


def check_name(name: str) -> None:
    """Refuse an old name that no plugin has taken.

    Raises:
        RenamedError: it says what ``slope.NAME`` is called now.
    """
    new = RENAMED.get(name)
    if new is not None and find_function(name) is None:
        raise RenamedError(f"slope.{name} is now slope.{new}.")


def method(tensor: Tensor, name: str) -> Any:
    """``Tensor.__getattr__``: a plugin's method, or the new name of an old one.

    Raises:
        AttributeError: there is no such method.
    """
    new = RENAMED.get(name)
    if new is not None and hasattr(Tensor, new) and find_function(name) is None:
        raise RenamedError(f"the method {name!r} of tensors is now {new!r}: x.{new}(...).")
    return tensor_attribute(tensor, name)
