"""Names that slope does not have, and what to write instead.

They are its own old ones, PyTorch's, and JAX's.
"""

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
_INPLACE: Final = "tensors are immutable, and methods return new ones"
_MOVE: Final = 'use .to("cuda:0"), or DEFAULT_DEVICE=cuda:0 for all new tensors'

NOT_HERE: Final[dict[str, str]] = {
    "FloatTensor": "use slope.tensor(values, dtype=slope.float32)",
    "LongTensor": "use slope.tensor(values, dtype=slope.int64)",
    "array": "use slope.tensor(values)",
    "autocast": "give tensors and modules the dtype: model.astype(slope.bfloat16)",
    "autograd": _GRADIENT,
    "clone": "tensors are immutable and need no copies",
    "cuda": "python -m slope info lists the devices; " + _MOVE,
    "config": "float64 needs no switch: slope.tensor(values, dtype=slope.float64)",
    "concat": "use slope.cat",
    "detach": "use slope.stop_gradient(x) or x.detach()",
    "device_put": 'use slope.tensor(values, device="cuda:0"), or x.to("cuda:0")',
    "empty": "tensors are immutable, so nothing could fill it; use slope.zeros",
    "empty_like": "tensors are immutable, so nothing could fill it; use slope.zeros_like",
    "enable_grad": "nothing is recorded unless slope.grad asks for it",
    "eval_shape": "print(slope.jit(f).trace(x)) shows all types and computes nothing",
    "get_default_dtype": "use slope.float32",
    "inference_mode": "nothing is recorded unless slope.grad asks for it",
    "is_tensor": "use isinstance(x, slope.Tensor)",
    "lax": "scan, cond, while_loop, fori_loop and the rest are in slope itself",
    "make_jaxpr": "print(slope.jit(f).lower(x).program) shows the program",
    "moveaxis": "use slope.movedim",
    "no_grad": "nothing is recorded unless slope.grad asks for it; see slope.stop_gradient",
    "numel": "use x.numel()",
    "optim": "optimizers are in slope.nn",
    "pmap": "a program runs on one device; slope.vmap makes it one of a batch",
    "ravel": "use slope.flatten(x)",
    "remat": "use slope.checkpoint",
    "set_default_dtype": "give dtype=, or convert with .astype (modules, too)",
    "set_grad_enabled": "nothing is recorded unless slope.grad asks for it",
    "set_printoptions": "tensors print as NumPy's arrays do: numpy.set_printoptions",
    "utils": "see slope.nn.data for batches, slope.nn.clip_grad_norm, and slope.checkpoint",
}
METHODS_NOT_HERE: Final[dict[str, str]] = {
    "backward": _GRADIENT,
    "block_until_ready": "results are there when a call returns, so there is nothing to wait for",
    "cuda": _MOVE,
    "data": "tensors are immutable; x.detach() stops gradients",
    "grad": _GRADIENT,
    "grad_fn": _GRADIENT,
    "is_leaf": _GRADIENT,
    "moveaxis": "use x.movedim(...)",
    "register_hook": "change what slope.grad returns, or write a slope.custom_vjp",
    "requires_grad": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "requires_grad_": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "retain_grad": _GRADIENT,
    "t_": "use x = x.T",
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
        way = f"{_INPLACE}; write x = x.{name[:-1]}(...), or x.at[index].set(value) for a part"
    if way is not None and find_function(name) is None:
        raise RenamedError(f"tensors have no {name!r}: {way}.")
    return tensor_attribute(tensor, name)
