"""slope: a small automatic-differentiation engine for machine learning, made to be taken apart.

Tensor code reads like PyTorch, transforms of functions like JAX, and programs run on whichever
backend is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slope.api import checkpoint as checkpoint
from slope.api import cond as cond
from slope.api import ctc_loss as ctc_loss
from slope.api import custom_jvp as custom_jvp
from slope.api import custom_vjp as custom_vjp
from slope.api import debug_nans as debug_nans
from slope.api import fori_loop as fori_loop
from slope.api import grad as grad
from slope.api import hessian as hessian
from slope.api import jacfwd as jacfwd
from slope.api import jacrev as jacrev
from slope.api import jit as jit
from slope.api import jvp as jvp
from slope.api import linearize as linearize
from slope.api import map_ as map
from slope.api import scan as scan
from slope.api import switch as switch
from slope.api import value_and_grad as value_and_grad
from slope.api import vjp as vjp
from slope.api import vmap as vmap
from slope.api import while_loop as while_loop
from slope.control import rematerialize as rematerialize
from slope.control import run_branch as run_branch
from slope.control import run_scan as run_scan
from slope.control import run_while as run_while
from slope.core.printer import program_of as program_of
from slope.core.program import Program as Program
from slope.core.tensor import Tensor as Tensor
from slope.devices import Device as Device
from slope.devices import device as device
from slope.dims import Dim as Dim
from slope.dtypes import DType as DType
from slope.dtypes import bfloat16 as bfloat16
from slope.dtypes import bool_ as bool_
from slope.dtypes import can_cast as can_cast
from slope.dtypes import finfo as finfo
from slope.dtypes import float16 as float16
from slope.dtypes import float32 as float32
from slope.dtypes import float64 as float64
from slope.dtypes import iinfo as iinfo
from slope.dtypes import int8 as int8
from slope.dtypes import int16 as int16
from slope.dtypes import int32 as int32
from slope.dtypes import int64 as int64
from slope.dtypes import promote_types as promote_types
from slope.dtypes import uint8 as uint8
from slope.dtypes import uint16 as uint16
from slope.dtypes import uint32 as uint32
from slope.dtypes import uint64 as uint64
from slope.functions import abs as abs
from slope.functions import acos as acos
from slope.functions import acosh as acosh
from slope.functions import adaptive_avg_pool1d as adaptive_avg_pool1d
from slope.functions import adaptive_avg_pool2d as adaptive_avg_pool2d
from slope.functions import adaptive_avg_pool3d as adaptive_avg_pool3d
from slope.functions import adaptive_max_pool1d as adaptive_max_pool1d
from slope.functions import adaptive_max_pool2d as adaptive_max_pool2d
from slope.functions import adaptive_max_pool3d as adaptive_max_pool3d
from slope.functions import add as add
from slope.functions import addbmm as addbmm
from slope.functions import addcdiv as addcdiv
from slope.functions import addcmul as addcmul
from slope.functions import addmm as addmm
from slope.functions import addmv as addmv
from slope.functions import affine_grid as affine_grid
from slope.functions import all as all
from slope.functions import allclose as allclose
from slope.functions import alpha_dropout as alpha_dropout
from slope.functions import amax as amax
from slope.functions import amin as amin
from slope.functions import aminmax as aminmax
from slope.functions import any as any
from slope.functions import arange as arange
from slope.functions import argmax as argmax
from slope.functions import argmin as argmin
from slope.functions import argsort as argsort
from slope.functions import argwhere as argwhere
from slope.functions import as_tensor as as_tensor
from slope.functions import asin as asin
from slope.functions import asinh as asinh
from slope.functions import astype as astype
from slope.functions import atan as atan
from slope.functions import atan2 as atan2
from slope.functions import atanh as atanh
from slope.functions import avg_pool1d as avg_pool1d
from slope.functions import avg_pool2d as avg_pool2d
from slope.functions import avg_pool3d as avg_pool3d
from slope.functions import baddbmm as baddbmm
from slope.functions import batch_norm as batch_norm
from slope.functions import bernoulli as bernoulli
from slope.functions import bilinear as bilinear
from slope.functions import binary_cross_entropy as binary_cross_entropy
from slope.functions import binary_cross_entropy_of_logits as binary_cross_entropy_of_logits
from slope.functions import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from slope.functions import bincount as bincount
from slope.functions import bitcast as bitcast
from slope.functions import bitwise_and as bitwise_and
from slope.functions import bitwise_left_shift as bitwise_left_shift
from slope.functions import bitwise_not as bitwise_not
from slope.functions import bitwise_or as bitwise_or
from slope.functions import bitwise_right_shift as bitwise_right_shift
from slope.functions import bitwise_xor as bitwise_xor
from slope.functions import bmm as bmm
from slope.functions import broadcast as broadcast
from slope.functions import broadcast_to as broadcast_to
from slope.functions import bucketize as bucketize
from slope.functions import cast as cast
from slope.functions import cat as cat
from slope.functions import cdist as cdist
from slope.functions import ceil as ceil
from slope.functions import celu as celu
from slope.functions import channel_shuffle as channel_shuffle
from slope.functions import chunk as chunk
from slope.functions import clamp as clamp
from slope.functions import clamp_max as clamp_max
from slope.functions import clamp_min as clamp_min
from slope.functions import column_stack as column_stack
from slope.functions import concatenate as concatenate
from slope.functions import conv as conv
from slope.functions import conv1d as conv1d
from slope.functions import conv2d as conv2d
from slope.functions import conv3d as conv3d
from slope.functions import conv_input_grad as conv_input_grad
from slope.functions import conv_transpose1d as conv_transpose1d
from slope.functions import conv_transpose2d as conv_transpose2d
from slope.functions import conv_transpose3d as conv_transpose3d
from slope.functions import conv_weight_grad as conv_weight_grad
from slope.functions import copysign as copysign
from slope.functions import corrcoef as corrcoef
from slope.functions import cos as cos
from slope.functions import cosh as cosh
from slope.functions import cosine_embedding_loss as cosine_embedding_loss
from slope.functions import cosine_similarity as cosine_similarity
from slope.functions import count_nonzero as count_nonzero
from slope.functions import cov as cov
from slope.functions import cross as cross
from slope.functions import cross_entropy as cross_entropy
from slope.functions import cross_entropy_of_classes as cross_entropy_of_classes
from slope.functions import cummax as cummax
from slope.functions import cummin as cummin
from slope.functions import cumprod as cumprod
from slope.functions import cumsum as cumsum
from slope.functions import default_generator as default_generator
from slope.functions import diag as diag
from slope.functions import diag_embed as diag_embed
from slope.functions import diagonal as diagonal
from slope.functions import diff as diff
from slope.functions import digamma as digamma
from slope.functions import div as div
from slope.functions import dot as dot
from slope.functions import dot_general as dot_general
from slope.functions import dropout as dropout
from slope.functions import dropout1d as dropout1d
from slope.functions import dropout2d as dropout2d
from slope.functions import dropout3d as dropout3d
from slope.functions import dstack as dstack
from slope.functions import dynamic_slice as dynamic_slice
from slope.functions import dynamic_update_slice as dynamic_update_slice
from slope.functions import einsum as einsum
from slope.functions import elu as elu
from slope.functions import embedding as embedding
from slope.functions import eq as eq
from slope.functions import equal as equal
from slope.functions import erf as erf
from slope.functions import erfc as erfc
from slope.functions import erfinv as erfinv
from slope.functions import exp as exp
from slope.functions import exp2 as exp2
from slope.functions import expand as expand
from slope.functions import expm1 as expm1
from slope.functions import eye as eye
from slope.functions import flatten as flatten
from slope.functions import flip as flip
from slope.functions import fliplr as fliplr
from slope.functions import flipud as flipud
from slope.functions import floor as floor
from slope.functions import floor_divide as floor_divide
from slope.functions import fmax as fmax
from slope.functions import fmin as fmin
from slope.functions import fmod as fmod
from slope.functions import frac as frac
from slope.functions import from_dlpack as from_dlpack
from slope.functions import from_numpy as from_numpy
from slope.functions import full as full
from slope.functions import full_like as full_like
from slope.functions import gather as gather
from slope.functions import gather_nd as gather_nd
from slope.functions import gather_slices as gather_slices
from slope.functions import gaussian_nll_loss as gaussian_nll_loss
from slope.functions import ge as ge
from slope.functions import gelu as gelu
from slope.functions import glu as glu
from slope.functions import grid_sample as grid_sample
from slope.functions import group_norm as group_norm
from slope.functions import gt as gt
from slope.functions import hardshrink as hardshrink
from slope.functions import hardsigmoid as hardsigmoid
from slope.functions import hardswish as hardswish
from slope.functions import hardtanh as hardtanh
from slope.functions import heaviside as heaviside
from slope.functions import hinge_embedding_loss as hinge_embedding_loss
from slope.functions import hstack as hstack
from slope.functions import huber as huber
from slope.functions import huber_loss as huber_loss
from slope.functions import hypot as hypot
from slope.functions import index_add as index_add
from slope.functions import index_copy as index_copy
from slope.functions import index_fill as index_fill
from slope.functions import index_put as index_put
from slope.functions import index_select as index_select
from slope.functions import inner as inner
from slope.functions import instance_norm as instance_norm
from slope.functions import integer_pow as integer_pow
from slope.functions import interior_pad as interior_pad
from slope.functions import interpolate as interpolate
from slope.functions import iota as iota
from slope.functions import isclose as isclose
from slope.functions import isfinite as isfinite
from slope.functions import isin as isin
from slope.functions import isinf as isinf
from slope.functions import isnan as isnan
from slope.functions import isneginf as isneginf
from slope.functions import isposinf as isposinf
from slope.functions import kl_div as kl_div
from slope.functions import kron as kron
from slope.functions import l1_loss as l1_loss
from slope.functions import l2_norm as l2_norm
from slope.functions import layer_norm as layer_norm
from slope.functions import le as le
from slope.functions import leaky_relu as leaky_relu
from slope.functions import lerp as lerp
from slope.functions import lgamma as lgamma
from slope.functions import linear as linear
from slope.functions import linspace as linspace
from slope.functions import local_response_norm as local_response_norm
from slope.functions import log as log
from slope.functions import log1p as log1p
from slope.functions import log2 as log2
from slope.functions import log10 as log10
from slope.functions import log_softmax as log_softmax
from slope.functions import logaddexp as logaddexp
from slope.functions import logcumsumexp as logcumsumexp
from slope.functions import logical_and as logical_and
from slope.functions import logical_not as logical_not
from slope.functions import logical_or as logical_or
from slope.functions import logical_xor as logical_xor
from slope.functions import logit as logit
from slope.functions import logsigmoid as logsigmoid
from slope.functions import logspace as logspace
from slope.functions import logsumexp as logsumexp
from slope.functions import lt as lt
from slope.functions import manual_seed as manual_seed
from slope.functions import margin_ranking_loss as margin_ranking_loss
from slope.functions import masked_fill as masked_fill
from slope.functions import masked_scatter as masked_scatter
from slope.functions import masked_select as masked_select
from slope.functions import matmul as matmul
from slope.functions import max as max
from slope.functions import max_pool1d as max_pool1d
from slope.functions import max_pool2d as max_pool2d
from slope.functions import max_pool3d as max_pool3d
from slope.functions import max_unpool1d as max_unpool1d
from slope.functions import max_unpool2d as max_unpool2d
from slope.functions import max_unpool3d as max_unpool3d
from slope.functions import max_with_indices as max_with_indices
from slope.functions import maximum as maximum
from slope.functions import mean as mean
from slope.functions import median as median
from slope.functions import meshgrid as meshgrid
from slope.functions import min as min
from slope.functions import min_with_indices as min_with_indices
from slope.functions import minimum as minimum
from slope.functions import mish as mish
from slope.functions import mm as mm
from slope.functions import movedim as movedim
from slope.functions import mse_loss as mse_loss
from slope.functions import mul as mul
from slope.functions import multi_margin_loss as multi_margin_loss
from slope.functions import multinomial as multinomial
from slope.functions import mv as mv
from slope.functions import nan_to_num as nan_to_num
from slope.functions import nanmean as nanmean
from slope.functions import nanmedian as nanmedian
from slope.functions import nanquantile as nanquantile
from slope.functions import nansum as nansum
from slope.functions import narrow as narrow
from slope.functions import ne as ne
from slope.functions import neg as neg
from slope.functions import nll_loss as nll_loss
from slope.functions import nonzero as nonzero
from slope.functions import norm as norm
from slope.functions import normal as normal
from slope.functions import normalize as normalize
from slope.functions import normalize_batch as normalize_batch
from slope.functions import one_hot as one_hot
from slope.functions import ones as ones
from slope.functions import ones_like as ones_like
from slope.functions import optimization_barrier as optimization_barrier
from slope.functions import outer as outer
from slope.functions import pad as pad
from slope.functions import pairwise_distance as pairwise_distance
from slope.functions import permute as permute
from slope.functions import pixel_shuffle as pixel_shuffle
from slope.functions import pixel_unshuffle as pixel_unshuffle
from slope.functions import poisson_nll_loss as poisson_nll_loss
from slope.functions import pow as pow
from slope.functions import prelu as prelu
from slope.functions import prod as prod
from slope.functions import quantile as quantile
from slope.functions import rand as rand
from slope.functions import rand_like as rand_like
from slope.functions import randint as randint
from slope.functions import randint_like as randint_like
from slope.functions import randn as randn
from slope.functions import randn_like as randn_like
from slope.functions import random as random
from slope.functions import randperm as randperm
from slope.functions import reciprocal as reciprocal
from slope.functions import relu as relu
from slope.functions import relu6 as relu6
from slope.functions import remainder as remainder
from slope.functions import repeat as repeat
from slope.functions import repeat_interleave as repeat_interleave
from slope.functions import reshape as reshape
from slope.functions import result_type as result_type
from slope.functions import rms_norm as rms_norm
from slope.functions import rms_normalize as rms_normalize
from slope.functions import roll as roll
from slope.functions import rot90 as rot90
from slope.functions import round as round
from slope.functions import rsqrt as rsqrt
from slope.functions import scaled_dot_product_attention as scaled_dot_product_attention
from slope.functions import scatter as scatter
from slope.functions import scatter_add as scatter_add
from slope.functions import scatter_nd as scatter_nd
from slope.functions import scatter_reduce as scatter_reduce
from slope.functions import scatter_slices as scatter_slices
from slope.functions import searchsorted as searchsorted
from slope.functions import selu as selu
from slope.functions import shift_left as shift_left
from slope.functions import shift_right_arithmetic as shift_right_arithmetic
from slope.functions import shift_right_logical as shift_right_logical
from slope.functions import sigmoid as sigmoid
from slope.functions import sign as sign
from slope.functions import signbit as signbit
from slope.functions import silu as silu
from slope.functions import sin as sin
from slope.functions import sinc as sinc
from slope.functions import sinh as sinh
from slope.functions import slice as slice
from slope.functions import smooth_l1_loss as smooth_l1_loss
from slope.functions import softmax as softmax
from slope.functions import softmin as softmin
from slope.functions import softplus as softplus
from slope.functions import softshrink as softshrink
from slope.functions import softsign as softsign
from slope.functions import sort as sort
from slope.functions import split as split
from slope.functions import sqrt as sqrt
from slope.functions import square as square
from slope.functions import squeeze as squeeze
from slope.functions import stack as stack
from slope.functions import standardize as standardize
from slope.functions import std as std
from slope.functions import std_mean as std_mean
from slope.functions import stop_gradient as stop_gradient
from slope.functions import sub as sub
from slope.functions import sum as sum
from slope.functions import swapaxes as swapaxes
from slope.functions import take as take
from slope.functions import take_along_dim as take_along_dim
from slope.functions import tan as tan
from slope.functions import tanh as tanh
from slope.functions import tanhshrink as tanhshrink
from slope.functions import tensor as tensor
from slope.functions import tensordot as tensordot
from slope.functions import threefry2x32 as threefry2x32
from slope.functions import threshold as threshold
from slope.functions import tile as tile
from slope.functions import topk as topk
from slope.functions import trace as trace
from slope.functions import transpose as transpose
from slope.functions import trapezoid as trapezoid
from slope.functions import tril as tril
from slope.functions import tril_indices as tril_indices
from slope.functions import triplet_margin_loss as triplet_margin_loss
from slope.functions import triu as triu
from slope.functions import triu_indices as triu_indices
from slope.functions import true_divide as true_divide
from slope.functions import trunc as trunc
from slope.functions import truncate_divide as truncate_divide
from slope.functions import unbind as unbind
from slope.functions import unflatten as unflatten
from slope.functions import unfold as unfold
from slope.functions import unique as unique
from slope.functions import unique_consecutive as unique_consecutive
from slope.functions import unsqueeze as unsqueeze
from slope.functions import var as var
from slope.functions import var_mean as var_mean
from slope.functions import vdot as vdot
from slope.functions import vector_norm as vector_norm
from slope.functions import view as view
from slope.functions import vstack as vstack
from slope.functions import where as where
from slope.functions import window_max as window_max
from slope.functions import window_sum as window_sum
from slope.functions import xlogy as xlogy
from slope.functions import zeros as zeros
from slope.functions import zeros_like as zeros_like
from slope.plugins.manager import plugins as plugins
from slope.plugins.selection import backend as backend
from slope.plugins.selection import set_backend as set_backend
from slope.plugins.selection import use_backend as use_backend
from slope.renamed import check_name as _check_name
from slope.renamed import method as _method
from slope.tree import register_node as register_node
from slope.tree import tree_flatten as tree_flatten
from slope.tree import tree_leaves as tree_leaves
from slope.tree import tree_map as tree_map
from slope.tree import tree_structure as tree_structure
from slope.tree import tree_unflatten as tree_unflatten

if TYPE_CHECKING:
    from slope import nn as nn
    from slope.api._compare import compare as compare
    from slope.api._profile import profile as profile
    from slope.nn import load as load
    from slope.nn import save as save

# Methods that operator packages offer, and the new names of old ones: looked up on a miss alone.
Tensor.__getattr__ = _method  # pyright: ignore[reportAttributeAccessIssue]  # undeclared: checkers refuse unknown names

__version__ = "0.1.0"
inf = float("inf")
nan = float("nan")
pi = 3.141592653589793

__all__ = [
    "DType",
    "Device",
    "Dim",
    "Program",
    "Tensor",
    "__version__",
    "abs",
    "acos",
    "acosh",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "add",
    "addbmm",
    "addcdiv",
    "addcmul",
    "addmm",
    "addmv",
    "affine_grid",
    "all",
    "allclose",
    "alpha_dropout",
    "amax",
    "amin",
    "aminmax",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "argwhere",
    "as_tensor",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "backend",
    "baddbmm",
    "batch_norm",
    "bernoulli",
    "bfloat16",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_of_logits",
    "binary_cross_entropy_with_logits",
    "bincount",
    "bitcast",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bmm",
    "bool_",
    "broadcast",
    "broadcast_to",
    "bucketize",
    "can_cast",
    "cast",
    "cat",
    "cdist",
    "ceil",
    "celu",
    "channel_shuffle",
    "checkpoint",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "column_stack",
    "compare",
    "concatenate",
    "cond",
    "conv",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_input_grad",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "conv_weight_grad",
    "copysign",
    "corrcoef",
    "cos",
    "cosh",
    "cosine_embedding_loss",
    "cosine_similarity",
    "count_nonzero",
    "cov",
    "cross",
    "cross_entropy",
    "cross_entropy_of_classes",
    "ctc_loss",
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "custom_jvp",
    "custom_vjp",
    "debug_nans",
    "default_generator",
    "device",
    "diag",
    "diag_embed",
    "diagonal",
    "diff",
    "digamma",
    "div",
    "dot",
    "dot_general",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "dstack",
    "dynamic_slice",
    "dynamic_update_slice",
    "einsum",
    "elu",
    "embedding",
    "eq",
    "equal",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expand",
    "expm1",
    "eye",
    "finfo",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "float16",
    "float32",
    "float64",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "fori_loop",
    "frac",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "gather_nd",
    "gather_slices",
    "gaussian_nll_loss",
    "ge",
    "gelu",
    "glu",
    "grad",
    "grid_sample",
    "group_norm",
    "gt",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "heaviside",
    "hessian",
    "hinge_embedding_loss",
    "hstack",
    "huber",
    "huber_loss",
    "hypot",
    "iinfo",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "inf",
    "inner",
    "instance_norm",
    "int8",
    "int16",
    "int32",
    "int64",
    "integer_pow",
    "interior_pad",
    "interpolate",
    "iota",
    "isclose",
    "isfinite",
    "isin",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "kl_div",
    "kron",
    "l1_loss",
    "l2_norm",
    "layer_norm",
    "le",
    "leaky_relu",
    "lerp",
    "lgamma",
    "linear",
    "linearize",
    "linspace",
    "local_response_norm",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logcumsumexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logit",
    "logsigmoid",
    "logspace",
    "logsumexp",
    "lt",
    "manual_seed",
    "map",
    "margin_ranking_loss",
    "masked_fill",
    "masked_scatter",
    "masked_select",
    "matmul",
    "max",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "max_with_indices",
    "maximum",
    "mean",
    "median",
    "meshgrid",
    "min",
    "min_with_indices",
    "minimum",
    "mish",
    "mm",
    "movedim",
    "mse_loss",
    "mul",
    "multi_margin_loss",
    "multinomial",
    "mv",
    "nan",
    "nan_to_num",
    "nanmean",
    "nanmedian",
    "nanquantile",
    "nansum",
    "narrow",
    "ne",
    "neg",
    "nll_loss",
    "nonzero",
    "norm",
    "normal",
    "normalize",
    "normalize_batch",
    "one_hot",
    "ones",
    "ones_like",
    "optimization_barrier",
    "outer",
    "pad",
    "pairwise_distance",
    "permute",
    "pi",
    "pixel_shuffle",
    "pixel_unshuffle",
    "plugins",
    "poisson_nll_loss",
    "pow",
    "prelu",
    "prod",
    "profile",
    "program_of",
    "promote_types",
    "quantile",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "randperm",
    "reciprocal",
    "register_node",
    "relu",
    "relu6",
    "remainder",
    "rematerialize",
    "repeat",
    "repeat_interleave",
    "reshape",
    "result_type",
    "rms_norm",
    "rms_normalize",
    "roll",
    "rot90",
    "round",
    "rsqrt",
    "run_branch",
    "run_scan",
    "run_while",
    "scaled_dot_product_attention",
    "scan",
    "scatter",
    "scatter_add",
    "scatter_nd",
    "scatter_reduce",
    "scatter_slices",
    "searchsorted",
    "selu",
    "set_backend",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "sigmoid",
    "sign",
    "signbit",
    "silu",
    "sin",
    "sinc",
    "sinh",
    "slice",
    "smooth_l1_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "standardize",
    "std",
    "std_mean",
    "stop_gradient",
    "sub",
    "sum",
    "swapaxes",
    "switch",
    "take",
    "take_along_dim",
    "tan",
    "tanh",
    "tanhshrink",
    "tensor",
    "tensordot",
    "threefry2x32",
    "threshold",
    "tile",
    "topk",
    "trace",
    "transpose",
    "trapezoid",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_structure",
    "tree_unflatten",
    "tril",
    "tril_indices",
    "triplet_margin_loss",
    "triu",
    "triu_indices",
    "true_divide",
    "trunc",
    "truncate_divide",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unbind",
    "unflatten",
    "unfold",
    "unique",
    "unique_consecutive",
    "unsqueeze",
    "use_backend",
    "value_and_grad",
    "var",
    "var_mean",
    "vdot",
    "vector_norm",
    "view",
    "vjp",
    "vmap",
    "vstack",
    "where",
    "while_loop",
    "window_max",
    "window_sum",
    "xlogy",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    """``slope.nn``, and what operator packages offer: imported when first asked for."""
    if name == "nn":
        import importlib

        return importlib.import_module("slope.nn")
    if name in ("load", "save"):  # pytrees to files and back: slope-nn's, which knows modules
        import importlib

        return getattr(importlib.import_module("slope.nn"), name)
    if name in ("compare", "profile"):  # tools: nobody else should pay for their import
        import importlib

        return getattr(importlib.import_module(f"slope.api._{name}"), name)
    from slope.plugins.contributions import module_attribute

    _check_name(name)
    return module_attribute(name)
