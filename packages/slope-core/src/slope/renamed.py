"""Names that slope does not have, and what to write instead.

They are its own old ones, PyTorch's, and JAX's.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from slope.core.tensor import Tensor
from slope.errors import RenamedError
from slope.plugins.contributions import find_function, tensor_attribute

RENAMED: Final[dict[str, str]] = {
    "absolute": "abs",
    "arange_with_cumsum": "arange",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "around": "round",
    "avgpool2d": "avg_pool2d",
    "batchnorm": "batch_norm",
    "bitwise_invert": "bitwise_not",
    "clip": "clamp",
    "conv_transpose": "conv_transpose2d",
    "cumlogsumexp": "logcumsumexp",
    "cumulative_prod": "cumprod",
    "cumulative_sum": "cumsum",
    "degrees": "rad2deg",
    "divide": "div",
    "erf_inv": "erfinv",
    "expand_dims": "unsqueeze",
    "fabs": "abs",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
    "invert": "bitwise_not",
    "is_finite": "isfinite",
    "layernorm": "layer_norm",
    "leakyrelu": "leaky_relu",
    "left_shift": "bitwise_left_shift",
    "less": "lt",
    "less_equal": "le",
    "log_sigmoid": "logsigmoid",
    "logistic": "sigmoid",
    "logsoftmax": "log_softmax",
    "maxpool2d": "max_pool2d",
    "multiply": "mul",
    "not_equal": "ne",
    "pad2d": "pad",
    "padslice": "pad",
    "permute_dims": "permute",
    "power": "pow",
    "radians": "deg2rad",
    "rem": "remainder",
    "right_shift": "bitwise_right_shift",
    "rint": "round",
    "row_stack": "vstack",
    "sgn": "sign",
    "soft_sign": "softsign",
    "split_with_sizes": "split",
    "stop_gradients": "stop_gradient",
    "subtract": "sub",
    "swapdims": "swapaxes",
    "swish": "silu",
    "take_along_axis": "take_along_dim",
    "top_k": "topk",
}

_GRADIENT: Final = "gradients come from functions: slope.grad(loss)(model) or slope.value_and_grad"
_INPLACE: Final = "tensors do not change: use what comes back, or x.at[index].set(value)"
_MOVE: Final = 'use .to("cuda:0"), or DEFAULT_DEVICE=cuda:0 for all new tensors'

NOT_HERE: Final[dict[str, str]] = {
    "array": "it is slope.tensor(values)",
    "asarray": "it is slope.as_tensor(values)",
    "associative_scan": "slope.scan goes step by step; cumsum, cumprod and logcumsumexp do not",
    "autocast": "give tensors and modules the dtype: model.astype(slope.bfloat16)",
    "autograd": _GRADIENT,
    "BoolTensor": "it is slope.tensor(values, dtype=slope.bool_)",
    "broadcast_shapes": "numpy.broadcast_shapes does it: shapes are tuples",
    "chain_matmul": "it is slope.linalg.multi_dot",
    "clone": "tensors do not change, so they need no copies",
    "concat": "it is slope.cat",
    "config": "dtypes need no switch: slope.tensor(values, dtype=slope.float64)",
    "cuda": "python -m slope info lists the devices; " + _MOVE,
    "detach": "it is slope.stop_gradient(x) or x.detach()",
    "device_put": 'it is slope.tensor(values, device="cuda:0"), or x.to("cuda:0")',
    "distributions": "slope.random has draws, slope.special what densities and entropies need",
    "dot_product_attention": "it is slope.scaled_dot_product_attention",
    "DoubleTensor": "it is slope.tensor(values, dtype=slope.float64)",
    "empty": "tensors do not change, so it would stay empty: slope.zeros",
    "empty_like": "tensors do not change, so it would stay empty: slope.zeros_like",
    "enable_grad": "nothing is recorded unless slope.grad asks for it",
    "eval_shape": "print(slope.jit(f).lower(x).program) shows all types",
    "expit": "it is slope.sigmoid",
    "FloatTensor": "it is slope.tensor(values, dtype=slope.float32)",
    "from_file": "it is slope.from_numpy(numpy.fromfile(...))",
    "frombuffer": "it is slope.from_numpy(numpy.frombuffer(...))",
    "functional_call": "modules are pytrees: call the module that you have, or set its fields",
    "Generator": "slope.random takes keys: slope.random.key(seed)",
    "get_default_device": "it is slope.device()",
    "get_default_dtype": "it is slope.float32",
    "get_num_threads": "backends take all cores; OMP_NUM_THREADS limits NumPy",
    "get_rng_state": "it is slope.default_generator",
    "GradScaler": "take bfloat16, which needs no scaling",
    "HalfTensor": "it is slope.tensor(values, dtype=slope.float16)",
    "inference_mode": "nothing is recorded unless slope.grad asks for it",
    "IntTensor": "it is slope.tensor(values, dtype=slope.int32)",
    "inverse": "it is slope.linalg.inv",
    "is_floating_point": "it is x.dtype.is_floating_point",
    "is_tensor": "isinstance(x, slope.Tensor)",
    "lax": "scan, cond, while_loop, fori_loop and the rest are in slope itself",
    "LongTensor": "it is slope.tensor(values, dtype=slope.int64)",
    "make_jaxpr": "print(slope.jit(f).lower(x).program) shows the program",
    "ModuleDict": "it is slope.nn.ModuleDict",
    "moveaxis": "it is slope.movedim",
    "nanmax": "it is slope.where(slope.isnan(x), -slope.inf, x).amax()",
    "ndim": "it is x.ndim",
    "no_grad": "nothing is recorded unless slope.grad asks for it; slope.stop_gradient(x) cuts",
    "numel": "it is x.numel()",
    "optim": "optimizers are in slope.nn",
    "percentile": "it is slope.quantile(x, q / 100)",
    "pmap": "a program runs on one device; slope.vmap makes it one of a batch",
    "positive": "it is x itself",
    "ravel": "it is slope.flatten(x)",
    "register_pytree_node": "it is slope.register_node",
    "register_pytree_node_class": "it is slope.register_node",
    "remat": "it is slope.checkpoint",
    "seed": "it is slope.manual_seed(seed)",
    "select": "index it: x[:, 3]",
    "set_default_device": "DEFAULT_DEVICE=cuda:0 in the environment",
    "set_default_dtype": "give dtype=, or convert with .astype (modules, too)",
    "set_grad_enabled": "nothing is recorded unless slope.grad asks for it",
    "set_num_threads": "backends take all cores; OMP_NUM_THREADS limits NumPy",
    "set_printoptions": "tensors print as NumPy's arrays do: numpy.set_printoptions",
    "set_rng_state": "it is slope.manual_seed(seed)",
    "shape": "it is x.shape",
    "Size": "shapes are tuples",
    "size": "it is x.numel()",
    "solve": "it is slope.linalg.solve",
    "sparse_coo_tensor": "tensors are dense",
    "stack_module_state": "slope.tree_map(lambda *leaves: slope.stack(leaves), *modules)",
    "t": "it is x.T",
    "tree_all": "it is all(slope.tree_leaves(tree))",
    "tree_reduce": "it is functools.reduce(f, slope.tree_leaves(tree))",
    "use_deterministic_algorithms": "programs give the same results at every run",
    "utils": "slope.nn.data has batches, slope.nn clip_grad_norm, slope checkpoint",
    "vectorize": "it is slope.vmap",
}
METHODS_NOT_HERE: Final[dict[str, str]] = {
    "backward": _GRADIENT,
    "bernoulli": "it is slope.bernoulli(x)",
    "bernoulli_": "it is slope.bernoulli(slope.full_like(x, p))",
    "block_until_ready": "results are there when a call returns",
    "byte": "it is x.to(slope.uint8)",
    "char": "it is x.to(slope.int8)",
    "copy_": "it is x = y",
    "data": "tensors do not change, and x.detach() cuts gradients",
    "data_ptr": "memory is the backend's; slope.from_dlpack and x.numpy() share it",
    "det": "it is slope.linalg.det(x)",
    "element_size": "it is x.dtype.itemsize",
    "expand_as": "it is x.expand(y.shape)",
    "exponential_": "it is slope.random.exponential(key, x.shape)",
    "fill_": "it is slope.full_like(x, value)",
    "get_device": "it is x.device",
    "grad": _GRADIENT,
    "grad_fn": _GRADIENT,
    "i0": "it is slope.special.i0(x)",
    "igamma": "it is slope.special.gammainc(x, y)",
    "igammac": "it is slope.special.gammaincc(x, y)",
    "index_reduce": "x.index_add sums; x.scatter_reduce takes places of every element",
    "inverse": "it is slope.linalg.inv(x)",
    "is_contiguous": "tensors have no strides; leave it out",
    "is_cuda": 'it is x.device.kind == "cuda"',
    "is_floating_point": "it is x.dtype.is_floating_point",
    "is_leaf": _GRADIENT,
    "itemsize": "it is x.dtype.itemsize",
    "logdet": "it is slope.logdet(x)",
    "matrix_power": "it is slope.matrix_power(x, n)",
    "moveaxis": "it is x.movedim(...)",
    "multinomial": "it is slope.multinomial(x, n)",
    "mvlgamma": "it is slope.special.multigammaln(x, p)",
    "ndimension": "it is x.ndim",
    "nelement": "it is x.numel()",
    "new_empty": "slope.zeros(shape, dtype=x.dtype)",
    "new_full": "slope.full(shape, value, dtype=x.dtype)",
    "new_ones": "slope.ones(shape, dtype=x.dtype)",
    "new_tensor": "slope.tensor(values, dtype=x.dtype)",
    "new_zeros": "slope.zeros(shape, dtype=x.dtype)",
    "normal_": "it is slope.randn_like(x)",
    "pin_memory": "leave it out",
    "polygamma": "it is slope.special.polygamma(n, x)",
    "random_": "it is slope.randint_like(x, low, high)",
    "ravel": "it is x.flatten()",
    "register_hook": "gradients are values: change what slope.grad returns, or use custom_vjp",
    "register_post_accumulate_grad_hook": "gradients are values: change what slope.grad returns",
    "requires_grad": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "requires_grad_": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "reshape_as": "it is x.reshape(y.shape)",
    "resize_": "it is x.reshape(shape)",
    "retain_grad": _GRADIENT,
    "select": "index it: x[:, 3] is x.select(1, 3)",
    "share_memory_": "leave it out: tensors do not change",
    "short": "it is x.to(slope.int16)",
    "slogdet": "it is slope.slogdet(x)",
    "storage": "memory is the backend's; x.numpy() shares it",
    "stride": "tensors have no strides",
    "sum_to_size": "it is x.sum(dims, keepdim=True)",
    "t": "it is x.T",
    "t_": "it is x = x.T",
    "uniform_": "it is slope.rand_like(x)",
    "view_as": "it is x.reshape(y.shape)",
    "zero_": "it is slope.zeros_like(x)",
}


def no_compile(*_args: object, **_options: object) -> NoReturn:
    """What ``slope.compile`` is, as long as somebody might take it for PyTorch's.

    Raises:
        RenamedError: always.
    """
    raise RenamedError("slope has no 'compile': it is slope.jit(f).")


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
