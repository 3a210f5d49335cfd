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
_INPLACE: Final = "tensors are immutable, and methods return new ones"
_MOVE: Final = 'use .to("cuda:0"), or DEFAULT_DEVICE=cuda:0 for all new tensors'

NOT_HERE: Final[dict[str, str]] = {
    "BoolTensor": "use slope.tensor(values, dtype=slope.bool_)",
    "DoubleTensor": "use slope.tensor(values, dtype=slope.float64)",
    "FloatTensor": "use slope.tensor(values, dtype=slope.float32)",
    "Generator": "slope.random takes keys: slope.random.key(seed)",
    "GradScaler": "take bfloat16, which needs no scaling",
    "HalfTensor": "use slope.tensor(values, dtype=slope.float16)",
    "IntTensor": "use slope.tensor(values, dtype=slope.int32)",
    "LongTensor": "use slope.tensor(values, dtype=slope.int64)",
    "ModuleDict": "use slope.nn.ModuleDict",
    "Size": "shapes are tuples",
    "array": "use slope.tensor(values)",
    "asarray": "use slope.as_tensor(values)",
    "autocast": "give tensors and modules the dtype: model.astype(slope.bfloat16)",
    "autograd": _GRADIENT,
    "broadcast_shapes": "numpy.broadcast_shapes does it: shapes are tuples",
    "chain_matmul": "use slope.linalg.multi_dot",
    "clone": "tensors are immutable and need no copies",
    "concat": "use slope.cat",
    "config": "float64 needs no switch: slope.tensor(values, dtype=slope.float64)",
    "cuda": "python -m slope info lists the devices; " + _MOVE,
    "detach": "use slope.stop_gradient(x) or x.detach()",
    "device_put": 'use slope.tensor(values, device="cuda:0"), or x.to("cuda:0")',
    "distributions": "slope.random has draws, slope.special what densities and entropies need",
    "dot_product_attention": "use slope.scaled_dot_product_attention",
    "eig": "eigenvalues of what is not symmetric are complex; see slope.linalg.eigh",
    "empty": "tensors are immutable, so nothing could fill it; use slope.zeros",
    "empty_like": "tensors are immutable, so nothing could fill it; use slope.zeros_like",
    "enable_grad": "nothing is recorded unless slope.grad asks for it",
    "eval_shape": "print(slope.jit(f).trace(x)) shows all types and computes nothing",
    "expit": "use slope.sigmoid",
    "from_file": "use slope.from_numpy(numpy.fromfile(...))",
    "frombuffer": "use slope.from_numpy(numpy.frombuffer(...))",
    "functional_call": "modules are pytrees: call the module that you have, or set its fields",
    "get_default_device": "use slope.zeros(0).device",
    "get_default_dtype": "use slope.float32",
    "get_num_threads": "backends take all cores; OMP_NUM_THREADS limits NumPy",
    "get_rng_state": "use slope.default_generator",
    "inference_mode": "nothing is recorded unless slope.grad asks for it",
    "inverse": "use slope.linalg.inv",
    "is_floating_point": "use x.dtype.is_floating_point",
    "is_tensor": "use isinstance(x, slope.Tensor)",
    "lax": "scan, cond, while_loop, fori_loop and the rest are in slope itself",
    "lstsq": "use slope.linalg.lstsq",
    "lu_solve": "use slope.linalg.lu_solve(LU, pivots, B)",
    "make_jaxpr": "print(slope.jit(f).lower(x).program) shows the program",
    "matrix_rank": "use slope.linalg.matrix_rank",
    "moveaxis": "use slope.movedim",
    "nanmax": "use slope.where(slope.isnan(x), -slope.inf, x).amax()",
    "ndim": "use x.ndim",
    "no_grad": "nothing is recorded unless slope.grad asks for it; see slope.stop_gradient",
    "numel": "use x.numel()",
    "optim": "optimizers are in slope.nn",
    "percentile": "use slope.quantile(x, q / 100)",
    "pinverse": "use slope.linalg.pinv",
    "pmap": "a program runs on one device; slope.vmap makes it one of a batch",
    "positive": "write x",
    "qr": "use slope.linalg.qr",
    "ravel": "use slope.flatten(x)",
    "register_pytree_node": "use slope.register_node",
    "register_pytree_node_class": "use slope.register_node",
    "remat": "use slope.checkpoint",
    "seed": "use slope.manual_seed(seed)",
    "select": "index it: x[:, 3]",
    "set_default_device": "DEFAULT_DEVICE=cuda:0 in the environment",
    "set_default_dtype": "give dtype=, or convert with .astype (modules, too)",
    "set_grad_enabled": "nothing is recorded unless slope.grad asks for it",
    "set_num_threads": "backends take all cores; OMP_NUM_THREADS limits NumPy",
    "set_printoptions": "tensors print as NumPy's arrays do: numpy.set_printoptions",
    "set_rng_state": "use slope.manual_seed(seed)",
    "shape": "use x.shape",
    "size": "use x.numel()",
    "solve": "use slope.linalg.solve",
    "sparse_coo_tensor": "tensors are dense",
    "stack_module_state": "slope.tree_map(lambda *leaves: slope.stack(leaves), *modules)",
    "svd": "use slope.linalg.svd, which gives Vh, the transpose of V",
    "tree_all": "use all(slope.tree_leaves(tree))",
    "tree_reduce": "use functools.reduce(f, slope.tree_leaves(tree))",
    "triangular_solve": "use slope.linalg.solve_triangular(x, y, upper=...)",
    "use_deterministic_algorithms": "programs give the same results at every run",
    "utils": "see slope.nn.data for batches, slope.nn.clip_grad_norm, and slope.checkpoint",
    "vectorize": "use slope.vmap",
}
METHODS_NOT_HERE: Final[dict[str, str]] = {
    "backward": _GRADIENT,
    "bernoulli": "use slope.bernoulli(x)",
    "bernoulli_": "use slope.bernoulli(slope.full_like(x, p))",
    "block_until_ready": "results are there when a call returns, so there is nothing to wait for",
    "byte": "use x.to(slope.uint8)",
    "char": "use x.to(slope.int8)",
    "cholesky": "use slope.linalg.cholesky(x)",
    "copy_": "use x = y",
    "data": "tensors are immutable; x.detach() stops gradients",
    "data_ptr": "memory is the backend's; slope.from_dlpack and x.numpy() share it",
    "det": "use slope.linalg.det(x)",
    "element_size": "use x.dtype.itemsize",
    "exponential_": "use slope.random.exponential(key, x.shape)",
    "fill_": "use slope.full_like(x, value)",
    "get_device": "use x.device",
    "grad": _GRADIENT,
    "grad_fn": _GRADIENT,
    "i0": "use slope.special.i0(x)",
    "igamma": "use slope.special.gammainc(x, y)",
    "igammac": "use slope.special.gammaincc(x, y)",
    "index_reduce": "x.index_add sums; x.scatter_reduce takes places of every element",
    "inverse": "use slope.linalg.inv(x)",
    "is_contiguous": "tensors have no strides; leave it out",
    "is_cuda": 'use x.device.kind == "cuda"',
    "is_leaf": _GRADIENT,
    "itemsize": "use x.dtype.itemsize",
    "logdet": "use slope.logdet(x)",
    "matrix_exp": "use slope.linalg.matrix_exp(x)",
    "matrix_power": "use slope.matrix_power(x, n)",
    "moveaxis": "use x.movedim(...)",
    "multinomial": "use slope.multinomial(x, n)",
    "mvlgamma": "use slope.special.multigammaln(x, p)",
    "ndimension": "use x.ndim",
    "nelement": "use x.numel()",
    "new_empty": "slope.zeros(shape, dtype=x.dtype)",
    "normal_": "use slope.randn_like(x)",
    "pin_memory": "leave it out",
    "pinverse": "use slope.linalg.pinv(x)",
    "polygamma": "use slope.special.polygamma(n, x)",
    "qr": "use slope.linalg.qr(x)",
    "random_": "use slope.randint_like(x, low, high)",
    "register_hook": "change what slope.grad returns, or write a slope.custom_vjp",
    "register_post_accumulate_grad_hook": "gradients are values: change what slope.grad returns",
    "requires_grad": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "requires_grad_": "slope.grad takes the arguments that argnums= names; modules have freeze()",
    "resize_": "use x.reshape(shape)",
    "retain_grad": _GRADIENT,
    "share_memory_": "leave it out: tensors do not change",
    "short": "use x.to(slope.int16)",
    "slogdet": "use slope.slogdet(x)",
    "storage": "memory is the backend's; x.numpy() shares it",
    "stride": "tensors have no strides",
    "sum_to_size": "use x.sum(dims, keepdim=True)",
    "svd": "use slope.linalg.svd(x), which gives Vh, the transpose of V",
    "t_": "use x = x.T",
    "uniform_": "use slope.rand_like(x)",
    "zero_": "use slope.zeros_like(x)",
}


def no_compile(*_args: object, **_options: object) -> NoReturn:
    """What ``slope.compile`` is, as long as somebody might take it for PyTorch's.

    Raises:
        RenamedError: always.
    """
    raise RenamedError("slope has no 'compile': use slope.jit(f).")


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
