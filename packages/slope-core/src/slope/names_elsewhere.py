"""Names of PyTorch's, JAX's and the first slope's that slope lacks, and what to write instead.

Read when a name is missed, never before: ``import slope`` does not pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

RENAMED: Final[dict[str, str]] = {
    "absolute": "abs",
    "approx_max_k": "topk",
    "arange_with_cumsum": "arange",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "around": "round",
    "array_equal": "equal",
    "avgpool2d": "avg_pool2d",
    "batch_matmul": "matmul",
    "batchnorm": "batch_norm",
    "bitcast_convert_type": "bitcast",
    "bitwise_invert": "bitwise_not",
    "broadcast_arrays": "broadcast_tensors",
    "broadcast_in_dim": "broadcast",
    "clip": "clamp",
    "collapse": "flatten",
    "concat": "cat",
    "constant_pad_nd": "pad",
    "conv_transpose": "conv_transpose2d",
    "convert_element_type": "astype",
    "cumlogsumexp": "logcumsumexp",
    "cumulative_prod": "cumprod",
    "cumulative_sum": "cumsum",
    "degrees": "rad2deg",
    "divide": "div",
    "erf_inv": "erfinv",
    "expand_dims": "unsqueeze",
    "extract": "masked_select",
    "fabs": "abs",
    "fix": "trunc",
    "frobenius_norm": "norm",
    "ger": "outer",
    "greater": "gt",
    "greater_equal": "ge",
    "grid_sampler": "grid_sample",
    "hard_sigmoid": "hardsigmoid",
    "hard_silu": "hardswish",
    "hard_swish": "hardswish",
    "hard_tanh": "hardtanh",
    "identity": "eye",
    "invert": "bitwise_not",
    "is_finite": "isfinite",
    "jacobian": "jacrev",
    "layernorm": "layer_norm",
    "leakyrelu": "leaky_relu",
    "left_shift": "bitwise_left_shift",
    "less": "lt",
    "less_equal": "le",
    "log_sigmoid": "logsigmoid",
    "logistic": "sigmoid",
    "logsoftmax": "log_softmax",
    "matvec": "mv",
    "maxpool2d": "max_pool2d",
    "mod": "remainder",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "pad2d": "pad",
    "padslice": "pad",
    "permute_dims": "permute",
    "power": "pow",
    "radians": "deg2rad",
    "reduce_and": "all",
    "reduce_max": "amax",
    "reduce_min": "amin",
    "reduce_or": "any",
    "reduce_prod": "prod",
    "reduce_sum": "sum",
    "rem": "remainder",
    "rev": "flip",
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
    "unsafe_chunk": "chunk",
    "unsafe_split": "split",
    "unstack": "unbind",
    "upsample": "interpolate",
    "upsample_nearest": "interpolate",
    "vecmat": "matmul",
}

_GRADIENT: Final = "gradients come from functions: slope.grad(loss)(model) or slope.value_and_grad"
_MOVE: Final = 'use .to("cuda:0"), or DEFAULT_DEVICE=cuda:0 for all new tensors'


def _each(families: Mapping[str, str]) -> dict[str, str]:
    """Each of the names that share a way out, with it."""
    return {name: way for way, names in families.items() for name in names.split()}


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
    "ParameterDict": "use slope.nn.ParameterDict",
    "Partial": "use functools.partial: functions need not be pytrees",
    "Size": "shapes are tuples",
    "array": "use slope.tensor(values)",
    "array_equiv": "use slope.equal of what slope.broadcast_tensors gives",
    "asarray": "use slope.as_tensor(values)",
    "autograd": _GRADIENT,
    "average": "write (w * x).sum() / w.sum()",
    "binomial": "use slope.random.binomial",
    "broadcast_shapes": "numpy.broadcast_shapes does it: shapes are tuples",
    "cbrt": "use slope.sign(x) * slope.abs(x) ** (1 / 3)",
    "chain_matmul": "use slope.linalg.multi_dot",
    "clear_caches": "SLOPE_CACHE=off switches off the cache on disk",
    "closure_convert": "closures need no conversion: transforms see captured tensors",
    "custom_gradient": "use slope.custom_vjp",
    "debug_infs": "slope.debug_nans looks for infinities, too",
    "detach": "use slope.stop_gradient(x) or x.detach()",
    "device_get": "use x.numpy()",
    "device_put": 'use slope.tensor(values, device="cuda:0"), or x.to("cuda:0")',
    "digitize": "use slope.bucketize, whose right= means the opposite",
    "disable_jit": "call the function itself: without slope.jit it runs step by step",
    "distributions": "slope.random has draws, slope.special what densities and entropies need",
    "divmod": 'use slope.div(x, y, rounding_mode="floor") and slope.remainder',
    "dot_product_attention": "use slope.scaled_dot_product_attention",
    "dtype": "use slope.DType, or x.dtype",
    "dynamic_slice_in_dim": "use slope.dynamic_slice",
    "dynamic_update_slice_in_dim": "use slope.dynamic_update_slice",
    "ediff1d": "use slope.diff",
    "eig": "eigenvalues of what is not symmetric are complex; see slope.linalg.eigh",
    "embedding_bag": "use slope.nn.EmbeddingBag",
    "empty": "tensors are immutable, so nothing could fill it; use slope.zeros",
    "empty_like": "tensors are immutable, so nothing could fill it; use slope.zeros_like",
    "expit": "use slope.sigmoid",
    "flatnonzero": "use slope.flatten(x), and slope.nonzero",
    "from_file": "use slope.from_numpy(numpy.fromfile(...))",
    "frombuffer": "use slope.from_numpy(numpy.frombuffer(...))",
    "functional_call": "modules are pytrees: call the module that you have, or set its fields",
    "geomspace": "use slope.logspace(log10(start), log10(end), steps)",
    "get_default_device": "use slope.zeros(0).device",
    "get_device": "use x.device",
    "get_rng_state": "use slope.default_generator",
    "grad_and_value": "use slope.value_and_grad, which gives the value first",
    "hub": "fetch files yourself, and load them with model.load or nn.load",
    "imag": "there are no complex numbers, so it is slope.zeros_like(x)",
    "initializers": "use slope.nn.init",
    "interp": "use slope.searchsorted for the places, and slope.lerp between them",
    "inverse": "use slope.linalg.inv",
    "is_floating_point": "use x.dtype.is_floating_point",
    "is_nonzero": "use bool(x != 0)",
    "is_same_size": "use x.shape == y.shape",
    "is_tensor": "use isinstance(x, slope.Tensor)",
    "isscalar": "use isinstance(x, float | int)",
    "lax": "scan, cond, while_loop, fori_loop and the rest are in slope itself",
    "lexsort": "use slope.argsort, with stable=True by one key after the other",
    "linear_cross_entropy": "use slope.cross_entropy(slope.linear(x, w), y)",
    "linear_transpose": "use slope.vjp: of a linear function it is the transpose",
    "log1mexp": "use slope.log(-slope.expm1(-x))",
    "logmeanexp": "use slope.logsumexp(x, dim) - math.log(x.shape[dim])",
    "lstsq": "use slope.linalg.lstsq",
    "lu": "use slope.linalg.lu_factor or slope.linalg.lu",
    "lu_solve": "use slope.linalg.lu_solve(LU, pivots, B)",
    "lu_unpack": "use slope.linalg.lu",
    "make_jaxpr": "print(slope.jit(f).lower(x).program) shows the program",
    "matrix_rank": "use slope.linalg.matrix_rank",
    "modf": "use slope.trunc(x) and slope.frac(x)",
    "multi_head_attention_forward": "use slope.nn.MultiheadAttention",
    "multiprocessing": "use Python's own",
    "nancumsum": "use slope.where(slope.isnan(x), 0.0, x).cumsum(dim)",
    "nanmax": "use slope.where(slope.isnan(x), -slope.inf, x).amax()",
    "nanmin": "use slope.where(slope.isnan(x), slope.inf, x).amin()",
    "nanpercentile": "use slope.nanquantile(x, q / 100)",
    "ndim": "use x.ndim",
    "no_grad": "nothing is recorded unless slope.grad asks for it; see slope.stop_gradient",
    "nuclear_norm": "use slope.linalg.matrix_norm(x, 'nuc')",
    "numpy": "functions of arrays are in slope itself",
    "optim": "optimizers are in slope.nn",
    "orgqr": "use slope.linalg.householder_product",
    "pdist": "i, j = slope.triu_indices(n, n, 1); slope.cdist(x, x)[i, j] gives it",
    "percentile": "use slope.quantile(x, q / 100)",
    "pinverse": "use slope.linalg.pinv",
    "pmap": "a program runs on one device; slope.vmap makes it one of a batch",
    "polyval": "write it with slope.scan, or c[0] * x + c[1] and so on",
    "positive": "write x",
    "profiler": "use slope.profile(f, *args)",
    "ptp": "use slope.amax(x, dim) - slope.amin(x, dim)",
    "range": "use slope.arange, which leaves the end out",
    "ravel": "use slope.flatten(x)",
    "ravel_multi_index": "write it as row * columns + column",
    "rearrange": "use slope.permute and reshape",
    "reduce_precision": "use x.to(dtype) for the rounding",
    "reduce_window": "use slope.max_pool2d, slope.avg_pool2d and their kin",
    "remat": "use slope.checkpoint",
    "rrelu": "use slope.nn.RReLU",
    "rsub": "write y - x",
    "scalar_tensor": "write slope.tensor(value)",
    "scipy": "see slope.special and slope.linalg",
    "select": "index it: x[:, 3]",
    "select_n": "use slope.where(which, on_true, on_false)",
    "set_printoptions": "tensors print as NumPy's arrays do: numpy.set_printoptions",
    "shape": "use x.shape",
    "solve": "use slope.linalg.solve",
    "sort_key_val": "use slope.argsort of the keys, and slope.take_along_dim",
    "squareplus": "use (x + slope.sqrt(x * x + b)) / 2",
    "stack_module_state": "slope.tree_map(lambda *leaves: slope.stack(leaves), *modules)",
    "svd": "use slope.linalg.svd, which gives Vh, the transpose of V",
    "to_dlpack": "use x.__dlpack__, or the other library's from_dlpack(x)",
    "tree_all": "use all(slope.tree_leaves(tree))",
    "tree_reduce": "use functools.reduce(f, slope.tree_leaves(tree))",
    "tree_util": "use slope.tree_map, tree_flatten, tree_leaves and tree_unflatten",
    "tri": "use slope.tril(slope.ones(n, n))",
    "triangular_solve": "use slope.linalg.solve_triangular(x, y, upper=...)",
    "triplet_margin_with_distance_loss": "use slope.nn.TripletMarginWithDistanceLoss",
    "unwrap": "use slope.diff, remainder and cumsum",
    "upsample_bilinear": 'use slope.interpolate(x, size, mode="bilinear", align_corners=True)',
    "use_deterministic_algorithms": "programs give the same results at every run",
    "utils": "see slope.nn.data for batches, slope.nn.clip_grad_norm, and slope.checkpoint",
    "vander": "use slope.linalg.vander",
    "vecdot": "use slope.linalg.vecdot",
    "zeta": "use slope.special.zeta",
    **_each(
        {
            "use slope.Tensor": "Array ndarray",
            "a program runs on one device, so there are no others to talk to": """
                NamedSharding P all_gather all_to_all axis_index axis_size
                distributed make_mesh pbroadcast pmax pmean pmin ppermute
                process_count process_index psum psum_scatter pswapaxes set_mesh
                shard_map sharding with_sharding_constraint
            """,
            "use slope.random.key(seed)": "PRNGKey initial_seed",
            "products are as exact as their dtype; slope.bfloat16 is faster": """
                Precision default_matmul_precision get_float32_matmul_precision
                set_float32_matmul_precision
            """,
            "print(slope.jit(f).trace(x)) shows all types and computes nothing": """
                ShapeDtypeStruct eval_shape typeof
            """,
            "python -m slope info lists the devices; " + _MOVE: """
                accelerator cpu cuda device_count local_device_count local_devices
                mps mtia xpu
            """,
            "use slope.adaptive_max_pool2d(x, size, return_indices=True)": """
                adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices
                adaptive_max_pool3d_with_indices
            """,
            "there are no complex numbers, so use x.mT": "adjoint matrix_transpose",
            "give tensors and modules the dtype: model.to(slope.bfloat16)": """
                amp autocast get_autocast_dtype is_autocast_enabled
            """,
            "there are no complex numbers": """
                angle cdouble cfloat chalf complex complex128 complex32 complex64
                csingle is_conj polar resolve_conj roots sort_complex
                view_as_complex view_as_real
            """,
            "there are no quantized dtypes; int8 tensors hold what x / scale rounds to": """
                ao dequantize fake_quantize_per_channel_affine
                fake_quantize_per_tensor_affine qint32 qint8 quantization
                quantize_per_channel quantize_per_tensor quint8
            """,
            "shapes are static: use slope.cat of the parts": "append block delete insert",
            "use slope.vmap": "apply_along_axis apply_over_axes frompyfunc vectorize",
            "use slope.sort or slope.topk, which order all they give": """
                approx_min_k argpartition partition
            """,
            "use x.reshape; tensors have no strides": "as_strided as_strided_scatter resize",
            "slope.backend() names the backend, and set_backend another": """
                backends default_backend
            """,
            "use slope.from_numpy(numpy.hanning(n)) and the like": """
                bartlett blackman hamming hanning kaiser
            """,
            "use slope.from_numpy(numpy.hanning(n + 1)[:-1]) and the like": """
                bartlett_window blackman_window hamming_window hann_window
                kaiser_window
            """,
            "use slope.special.i0e or i1e": "bessel_i0e bessel_i1e",
            "use slope.special.betainc": "betainc regularized_incomplete_beta",
            "there is none; bits can be seen with slope.bitcast": """
                bitwise_count clz frexp nextafter population_count spacing
            """,
            "results are there when a call returns, so there is nothing to wait for": """
                block_until_ready effects_barrier synchronize
            """,
            "use slope.arange with unsqueeze: it broadcasts": """
                broadcasted_iota indices ix_ mgrid ogrid
            """,
            "use slope.cat or slope.stack": "c_ r_",
            "each backend lays tensors out as it likes, so leave it out": """
                channels_last channels_last_3d contiguous_format memory_format
                preserve_format
            """,
            "use slope.where, nested": "choose piecewise",
            "tensors are immutable and need no copies": "clone copy lift_fresh",
            "print(slope.jit(f).lower(x).program) shows the program; see slope.export": """
                compiler fx onnx
            """,
            "use x[mask], or slope.masked_select": "compress place",
            "float64 needs no switch: slope.tensor(values, dtype=slope.float64)": """
                config enable_x64
            """,
            "there are no complex numbers, so write x": "conj conj_physical conjugate real",
            "use slope.conv1d, conv2d or conv3d": """
                conv_general_dilated conv_tbc conv_with_general_padding convolution
            """,
            "use slope.conv1d with padding; convolve flips the kernel": "convolve correlate",
            "write a slope.custom_vjp around slope.while_loop": "custom_linear_solve custom_root",
            "DEFAULT_DEVICE=cuda:0 in the environment": "default_device set_default_device",
            "keys are threefry's": "default_prng_impl threefry_partitionable",
            "use x.at[i, i].set(values), with i = slope.arange(n)": """
                diag_indices diag_indices_from fill_diagonal
            """,
            "a slice is slice(start, stop)": "ds index_exp s_",
            "index it: x[:, start:stop]": "dynamic_index_in_dim index_in_dim slice_in_dim",
            "use x.at[index].set(values)": """
                dynamic_update_index_in_dim index_reduce put put_along_axis
            """,
            "nothing is recorded unless slope.grad asks for it": """
                enable_grad inference_mode is_grad_enabled is_inference_mode_enabled
                set_anomaly_enabled set_grad_enabled
            """,
            "use slope.dropout2d and its kin, which drop channels": """
                feature_alpha_dropout feature_dropout
            """,
            "there are no complex numbers, so there is no Fourier transform": "fft istft stft",
            "use slope.zeros_like(x), or slope.full_like(x, value)": "fill fill_ zero_",
            "the floating-point dtypes are float16, bfloat16, float32 and float64": """
                float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz
                float8_e8m0fnu float_ single_
            """,
            "use x.dtype.is_floating_point and x.dtype.is_integer": """
                floating inexact integer is_signed isdtype issubdtype number
                signedinteger unsignedinteger
            """,
            "use slope.max_pool2d or slope.adaptive_max_pool2d": """
                fractional_max_pool2d fractional_max_pool3d
            """,
            "use slope.tensor, of what NumPy's function gives": """
                fromfile fromfunction fromiter fromstring
            """,
            "transforms are in slope itself: slope.vmap, slope.grad, slope.jit": "func functional",
            "use slope.linalg.qr": "geqrf ormqr qr",
            "use slope.float32": "get_default_dtype single",
            "backends take all cores; OMP_NUM_THREADS limits NumPy": """
                get_num_threads set_num_threads
            """,
            "use slope.matmul": "grouped_mm ragged_dot scaled_dot scaled_mm",
            "use slope.nn.GRU, and GRUCell for one step": "gru gru_cell",
            "use slope.bucketize and slope.bincount": "histogram2d histogram_bin_edges histogramdd",
            "tensors are dense": """
                hspmm layout masked nested smm sparse sparse_bsc_tensor
                sparse_bsr_tensor sparse_compressed_tensor sparse_coo
                sparse_coo_tensor sparse_csc_tensor sparse_csr sparse_csr_tensor
                spmm sspaddmm strided
            """,
            "whole numbers have 8, 16, 32 or 64 bits": "int1 int2 int4 int_ uint uint1 uint2 uint4",
            "use slope.isin and slope.unique, outside of jit": """
                intersect1d setdiff1d setxor1d union1d
            """,
            "there are no complex numbers, so it is False": "is_complex iscomplex iscomplexobj",
            "there are no complex numbers, so it is True": "isreal isrealobj",
            "use slope.linalg.eigh": "lobpcg symeig",
            "use slope.nn.LPPool2d, or LPPool1d and LPPool3d": "lp_pool1d lp_pool2d lp_pool3d",
            "use slope.nn.LSTM, and LSTMCell for one step": "lstm lstm_cell",
            "use slope.tril_indices and slope.triu_indices": """
                mask_indices tril_indices_from triu_indices_from
            """,
            "use slope.max_pool2d(x, size, return_indices=True)": """
                max_pool1d_with_indices max_pool2d_with_indices
                max_pool3d_with_indices
            """,
            "use slope.movedim": "moveaxis rollaxis",
            "programs name the lines that they come from": "named_call named_scope",
            "use argmax or argmin of slope.where(slope.isnan(x), filled, x)": "nanargmax nanargmin",
            "use slope.where(slope.isnan(x), 1.0, x), and prod or cumprod of it": """
                nancumprod nanprod
            """,
            "use slope.nanmean, of the squared distances from it": "nanstd nanvar",
            "use x.numel()": "numel size",
            "use numpy's, outside of jit": """
                packbits poly polyadd polyder polydiv polyfit polyint polymul
                polysub trim_zeros unpackbits
            """,
            "use slope.linalg.svd": "pca_lowrank svd_lowrank",
            "use slope.sum, slope.amax and their kin, or slope.scan": "reduce reduce_xor",
            "use slope.register_node": "register_pytree_node register_pytree_node_class",
            "use slope.random's draws, which take a key": "rng_bit_generator rng_uniform",
            "use slope.nn.RNN, and RNNCell for one step": """
                rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell
            """,
            "use x.at[index].max(values), .min, .add or .mul": """
                scatter_apply scatter_max scatter_min scatter_mul scatter_sub
            """,
            "use slope.manual_seed(seed)": "seed set_rng_state",
            "use slope.index_add, or slope.scatter_reduce for other reductions": """
                segment_max segment_min segment_reduce segment_sum
            """,
            "give dtype=, or convert with .astype (modules, too)": """
                set_default_dtype set_default_tensor_type
            """,
            "use slope.unique(x, return_counts=True) and the like": """
                unique_all unique_counts unique_inverse unique_values
            """,
        }
    ),
}
METHODS_NOT_HERE: Final[dict[str, str]] = {
    "bernoulli": "use slope.bernoulli(x)",
    "bernoulli_": "use slope.bernoulli(slope.full_like(x, p))",
    "block_until_ready": "results are there when a call returns, so there is nothing to wait for",
    "byte": "use x.to(slope.uint8)",
    "char": "use x.to(slope.int8)",
    "cholesky": "use slope.linalg.cholesky(x)",
    "cholesky_inverse": "use slope.linalg.cholesky_inverse(x)",
    "cholesky_solve": "use slope.linalg.cholesky_solve(b, x)",
    "copy": "tensors are immutable and need no copies",
    "copy_": "use x = y",
    "data": "tensors are immutable; x.detach() stops gradients",
    "data_ptr": "memory is the backend's; slope.from_dlpack and x.numpy() share it",
    "det": "use slope.linalg.det(x)",
    "eig": "eigenvalues of what is not symmetric are complex; see slope.linalg.eigh",
    "exponential_": "use slope.random.exponential(key, x.shape)",
    "fill_": "use slope.full_like(x, value)",
    "flat": "use slope.flatten(x)",
    "get_device": "use x.device",
    "i0": "use slope.special.i0(x)",
    "igamma": "use slope.special.gammainc(x, y)",
    "igammac": "use slope.special.gammaincc(x, y)",
    "index_reduce": "x.index_add sums; x.scatter_reduce takes places of every element",
    "inverse": "use slope.linalg.inv(x)",
    "is_contiguous": "tensors have no strides; leave it out",
    "is_cuda": 'use x.device.kind == "cuda"',
    "is_nonzero": "use bool(x != 0)",
    "is_same_size": "use x.shape == y.shape",
    "is_signed": "use x.dtype.kind",
    "layout": "tensors are dense and in rows",
    "logdet": "use slope.logdet(x)",
    "lstsq": "use slope.linalg.lstsq(x, b)",
    "lu": "use slope.linalg.lu_factor(x)",
    "lu_solve": "use slope.linalg.lu_solve(x, pivots, b)",
    "matrix_exp": "use slope.linalg.matrix_exp(x)",
    "matrix_power": "use slope.matrix_power(x, n)",
    "moveaxis": "use x.movedim(...)",
    "multinomial": "use slope.multinomial(x, n)",
    "narrow_copy": "use slope.narrow(x, dim, start, length)",
    "ndimension": "use x.ndim",
    "nelement": "use x.numel()",
    "new": "use slope.tensor(values, dtype=x.dtype)",
    "new_empty": "slope.zeros(shape, dtype=x.dtype)",
    "normal_": "use slope.randn_like(x)",
    "pin_memory": "leave it out",
    "pinverse": "use slope.linalg.pinv(x)",
    "polygamma": "use slope.special.polygamma(n, x)",
    "positive": "write x",
    "ptp": "use x.amax() - x.amin()",
    "qr": "use slope.linalg.qr(x)",
    "random_": "use slope.randint_like(x, low, high)",
    "register_hook": "change what slope.grad returns, or write a slope.custom_vjp",
    "register_post_accumulate_grad_hook": "gradients are values: change what slope.grad returns",
    "resize_": "use x.reshape(shape)",
    "searchsorted": "use slope.searchsorted(x, values)",
    "share_memory_": "leave it out: tensors do not change",
    "short": "use x.to(slope.int16)",
    "slogdet": "use slope.slogdet(x)",
    "solve": "use slope.linalg.solve(a, x)",
    "storage": "memory is the backend's; x.numpy() shares it",
    "stride": "tensors have no strides",
    "sum_to_size": "use x.sum(dims, keepdim=True)",
    "svd": "use slope.linalg.svd(x), which gives Vh, the transpose of V",
    "symeig": "use slope.linalg.eigh(x)",
    "t_": "use x = x.T",
    "to_dense": "tensors are dense, so write x",
    "to_device": "use x.to(device)",
    "triangular_solve": "use slope.linalg.solve_triangular(a, x, upper=...)",
    "uniform_": "use slope.rand_like(x)",
    "zero_": "use slope.zeros_like(x)",
    **_each(
        {
            "there are no complex numbers, so use x.mT": "H adjoint mH",
            "there is no sharding: a tensor is on one device": "addressable_shards sharding",
            "dimensions have no names here": "align_as align_to name names refine_names rename",
            "there are no complex numbers": """
                angle cdouble cfloat chalf imag is_complex is_conj isreal istft stft
            """,
            "use slope.map, or slope.pure_callback for functions of Python's own": """
                apply_ map2_ map_
            """,
            "use x.reshape; tensors have no strides": """
                as_strided resize resize_as storage_offset untyped_storage
            """,
            _GRADIENT: """
                backward grad grad_fn is_inference is_leaf output_nr retain_grad
                retains_grad
            """,
            "use slope.random's draws, which take a key": "cauchy_ geometric_ log_normal_",
            "tensors are dense": """
                coalesce is_sparse is_sparse_csr sparse_mask to_sparse to_sparse_coo
                to_sparse_csr
            """,
            "there are no complex numbers, so write x": """
                conj conj_physical conjugate real resolve_conj resolve_neg
            """,
            "there are no quantized dtypes": """
                dequantize int_repr is_quantized q_scale q_zero_point
            """,
            "use x.dtype.itemsize": "element_size itemsize",
            "tensors do not change: use x.at[index].set(values)": """
                fill_diagonal_ index_reduce_ masked_scatter_ put put_
                scatter_reduce_ set_
            """,
            'use x.device.kind == "cpu" and the like': "is_cpu is_meta is_mps is_xla is_xpu",
            "tensors do not change, so sharing needs no call": "is_pinned is_shared share_memory",
            "use slope.special.multigammaln(x, p)": "mvlgamma mvlgamma_",
            "slope.grad takes the arguments that argnums= names; modules have freeze()": """
                requires_grad requires_grad_
            """,
        }
    ),
}
