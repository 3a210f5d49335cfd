"""What the first slope called by other names: asking for one of these says what it is called now."""

from __future__ import annotations

from typing import Final

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


def renaming(name: str) -> str | None:
    """A sentence that says what an old name is now; None for other names."""
    new = RENAMED.get(name)
    return None if new is None else f"slope.{name} is now slope.{new}."
