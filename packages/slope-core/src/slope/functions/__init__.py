"""What users call: functions that broadcast and promote, then call operators.

``slope`` exports every name here.

Operators without such a function are here as themselves, since printed programs call operators as
``slope.NAME``.
"""

from slope.functions import methods as _methods  # noqa: F401  # makes the methods of tensors
from slope.functions import random as random
from slope.functions.activation_operators import (
    binary_cross_entropy_of_logits as binary_cross_entropy_of_logits,
)
from slope.functions.activation_operators import huber as huber
from slope.functions.activations import celu as celu
from slope.functions.activations import elu as elu
from slope.functions.activations import gelu as gelu
from slope.functions.activations import glu as glu
from slope.functions.activations import hardshrink as hardshrink
from slope.functions.activations import hardsigmoid as hardsigmoid
from slope.functions.activations import hardswish as hardswish
from slope.functions.activations import hardtanh as hardtanh
from slope.functions.activations import leaky_relu as leaky_relu
from slope.functions.activations import log_softmax as log_softmax
from slope.functions.activations import logsigmoid as logsigmoid
from slope.functions.activations import mish as mish
from slope.functions.activations import prelu as prelu
from slope.functions.activations import relu as relu
from slope.functions.activations import relu6 as relu6
from slope.functions.activations import selu as selu
from slope.functions.activations import silu as silu
from slope.functions.activations import softmax as softmax
from slope.functions.activations import softmin as softmin
from slope.functions.activations import softplus as softplus
from slope.functions.activations import softshrink as softshrink
from slope.functions.activations import softsign as softsign
from slope.functions.activations import tanhshrink as tanhshrink
from slope.functions.activations import threshold as threshold
from slope.functions.adaptive_pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from slope.functions.adaptive_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from slope.functions.adaptive_pooling import adaptive_avg_pool3d as adaptive_avg_pool3d
from slope.functions.adaptive_pooling import adaptive_max_pool1d as adaptive_max_pool1d
from slope.functions.adaptive_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from slope.functions.adaptive_pooling import adaptive_max_pool3d as adaptive_max_pool3d
from slope.functions.arithmetic import add as add
from slope.functions.arithmetic import addcdiv as addcdiv
from slope.functions.arithmetic import addcmul as addcmul
from slope.functions.arithmetic import allclose as allclose
from slope.functions.arithmetic import atan2 as atan2
from slope.functions.arithmetic import bitwise_and as bitwise_and
from slope.functions.arithmetic import bitwise_left_shift as bitwise_left_shift
from slope.functions.arithmetic import bitwise_not as bitwise_not
from slope.functions.arithmetic import bitwise_or as bitwise_or
from slope.functions.arithmetic import bitwise_right_shift as bitwise_right_shift
from slope.functions.arithmetic import bitwise_xor as bitwise_xor
from slope.functions.arithmetic import clamp as clamp
from slope.functions.arithmetic import clamp_max as clamp_max
from slope.functions.arithmetic import clamp_min as clamp_min
from slope.functions.arithmetic import copysign as copysign
from slope.functions.arithmetic import div as div
from slope.functions.arithmetic import eq as eq
from slope.functions.arithmetic import equal as equal
from slope.functions.arithmetic import floor_divide as floor_divide
from slope.functions.arithmetic import fmax as fmax
from slope.functions.arithmetic import fmin as fmin
from slope.functions.arithmetic import fmod as fmod
from slope.functions.arithmetic import ge as ge
from slope.functions.arithmetic import gt as gt
from slope.functions.arithmetic import heaviside as heaviside
from slope.functions.arithmetic import hypot as hypot
from slope.functions.arithmetic import isclose as isclose
from slope.functions.arithmetic import le as le
from slope.functions.arithmetic import lerp as lerp
from slope.functions.arithmetic import logaddexp as logaddexp
from slope.functions.arithmetic import logical_and as logical_and
from slope.functions.arithmetic import logical_not as logical_not
from slope.functions.arithmetic import logical_or as logical_or
from slope.functions.arithmetic import logical_xor as logical_xor
from slope.functions.arithmetic import lt as lt
from slope.functions.arithmetic import maximum as maximum
from slope.functions.arithmetic import minimum as minimum
from slope.functions.arithmetic import mul as mul
from slope.functions.arithmetic import ne as ne
from slope.functions.arithmetic import pow as pow
from slope.functions.arithmetic import remainder as remainder
from slope.functions.arithmetic import result_type as result_type
from slope.functions.arithmetic import shift_left as shift_left
from slope.functions.arithmetic import shift_right_arithmetic as shift_right_arithmetic
from slope.functions.arithmetic import shift_right_logical as shift_right_logical
from slope.functions.arithmetic import sub as sub
from slope.functions.arithmetic import true_divide as true_divide
from slope.functions.arithmetic import where as where
from slope.functions.arithmetic import xlogy as xlogy
from slope.functions.arrangement import diag as diag
from slope.functions.arrangement import diag_embed as diag_embed
from slope.functions.arrangement import fliplr as fliplr
from slope.functions.arrangement import flipud as flipud
from slope.functions.arrangement import meshgrid as meshgrid
from slope.functions.arrangement import rot90 as rot90
from slope.functions.arrangement import swapaxes as swapaxes
from slope.functions.attention import alpha_dropout as alpha_dropout
from slope.functions.attention import dropout as dropout
from slope.functions.attention import dropout1d as dropout1d
from slope.functions.attention import dropout2d as dropout2d
from slope.functions.attention import dropout3d as dropout3d
from slope.functions.attention import scaled_dot_product_attention as scaled_dot_product_attention
from slope.functions.composites import cross_entropy_of_classes as cross_entropy_of_classes
from slope.functions.composites import l2_norm as l2_norm
from slope.functions.contraction import bmm as bmm
from slope.functions.contraction import dot as dot
from slope.functions.contraction import einsum as einsum
from slope.functions.contraction import linear as linear
from slope.functions.contraction import matmul as matmul
from slope.functions.contraction import mm as mm
from slope.functions.contraction import mv as mv
from slope.functions.contraction import outer as outer
from slope.functions.contraction import tensordot as tensordot
from slope.functions.convolution import conv1d as conv1d
from slope.functions.convolution import conv2d as conv2d
from slope.functions.convolution import conv3d as conv3d
from slope.functions.convolution import conv_transpose1d as conv_transpose1d
from slope.functions.convolution import conv_transpose2d as conv_transpose2d
from slope.functions.convolution import conv_transpose3d as conv_transpose3d
from slope.functions.creation import arange as arange
from slope.functions.creation import as_tensor as as_tensor
from slope.functions.creation import eye as eye
from slope.functions.creation import from_dlpack as from_dlpack
from slope.functions.creation import from_numpy as from_numpy
from slope.functions.creation import full as full
from slope.functions.creation import full_like as full_like
from slope.functions.creation import linspace as linspace
from slope.functions.creation import logspace as logspace
from slope.functions.creation import ones as ones
from slope.functions.creation import ones_like as ones_like
from slope.functions.creation import tensor as tensor
from slope.functions.creation import zeros as zeros
from slope.functions.creation import zeros_like as zeros_like
from slope.functions.elementwise import abs as abs
from slope.functions.elementwise import acos as acos
from slope.functions.elementwise import acosh as acosh
from slope.functions.elementwise import asin as asin
from slope.functions.elementwise import asinh as asinh
from slope.functions.elementwise import astype as astype
from slope.functions.elementwise import atan as atan
from slope.functions.elementwise import atanh as atanh
from slope.functions.elementwise import bitcast as bitcast
from slope.functions.elementwise import cast as cast
from slope.functions.elementwise import ceil as ceil
from slope.functions.elementwise import cos as cos
from slope.functions.elementwise import cosh as cosh
from slope.functions.elementwise import digamma as digamma
from slope.functions.elementwise import erf as erf
from slope.functions.elementwise import erfc as erfc
from slope.functions.elementwise import erfinv as erfinv
from slope.functions.elementwise import exp as exp
from slope.functions.elementwise import exp2 as exp2
from slope.functions.elementwise import expm1 as expm1
from slope.functions.elementwise import floor as floor
from slope.functions.elementwise import frac as frac
from slope.functions.elementwise import isfinite as isfinite
from slope.functions.elementwise import isinf as isinf
from slope.functions.elementwise import isnan as isnan
from slope.functions.elementwise import isneginf as isneginf
from slope.functions.elementwise import isposinf as isposinf
from slope.functions.elementwise import lgamma as lgamma
from slope.functions.elementwise import log as log
from slope.functions.elementwise import log1p as log1p
from slope.functions.elementwise import log2 as log2
from slope.functions.elementwise import log10 as log10
from slope.functions.elementwise import logit as logit
from slope.functions.elementwise import nan_to_num as nan_to_num
from slope.functions.elementwise import neg as neg
from slope.functions.elementwise import optimization_barrier as optimization_barrier
from slope.functions.elementwise import reciprocal as reciprocal
from slope.functions.elementwise import round as round
from slope.functions.elementwise import rsqrt as rsqrt
from slope.functions.elementwise import sigmoid as sigmoid
from slope.functions.elementwise import sign as sign
from slope.functions.elementwise import signbit as signbit
from slope.functions.elementwise import sin as sin
from slope.functions.elementwise import sinc as sinc
from slope.functions.elementwise import sinh as sinh
from slope.functions.elementwise import sqrt as sqrt
from slope.functions.elementwise import square as square
from slope.functions.elementwise import stop_gradient as stop_gradient
from slope.functions.elementwise import tan as tan
from slope.functions.elementwise import tanh as tanh
from slope.functions.elementwise import trunc as trunc
from slope.functions.generator import default_generator as default_generator
from slope.functions.generator import manual_seed as manual_seed
from slope.functions.grids import affine_grid as affine_grid
from slope.functions.grids import grid_sample as grid_sample
from slope.functions.indexing import embedding as embedding
from slope.functions.indexing import gather as gather
from slope.functions.indexing import index_select as index_select
from slope.functions.indexing import one_hot as one_hot
from slope.functions.indexing import take_along_dim as take_along_dim
from slope.functions.joining import channel_shuffle as channel_shuffle
from slope.functions.joining import column_stack as column_stack
from slope.functions.joining import diff as diff
from slope.functions.joining import dstack as dstack
from slope.functions.joining import hstack as hstack
from slope.functions.joining import vstack as vstack
from slope.functions.losses import binary_cross_entropy as binary_cross_entropy
from slope.functions.losses import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from slope.functions.losses import cosine_embedding_loss as cosine_embedding_loss
from slope.functions.losses import cosine_similarity as cosine_similarity
from slope.functions.losses import cross_entropy as cross_entropy
from slope.functions.losses import huber_loss as huber_loss
from slope.functions.losses import kl_div as kl_div
from slope.functions.losses import l1_loss as l1_loss
from slope.functions.losses import mse_loss as mse_loss
from slope.functions.losses import nll_loss as nll_loss
from slope.functions.losses import poisson_nll_loss as poisson_nll_loss
from slope.functions.losses import smooth_l1_loss as smooth_l1_loss
from slope.functions.losses import triplet_margin_loss as triplet_margin_loss
from slope.functions.margins import gaussian_nll_loss as gaussian_nll_loss
from slope.functions.margins import hinge_embedding_loss as hinge_embedding_loss
from slope.functions.margins import margin_ranking_loss as margin_ranking_loss
from slope.functions.margins import multi_margin_loss as multi_margin_loss
from slope.functions.moment_operators import vector_norm as vector_norm
from slope.functions.norm_operators import normalize_batch as normalize_batch
from slope.functions.norm_operators import rms_normalize as rms_normalize
from slope.functions.norm_operators import standardize as standardize
from slope.functions.normalization import batch_norm as batch_norm
from slope.functions.normalization import group_norm as group_norm
from slope.functions.normalization import instance_norm as instance_norm
from slope.functions.normalization import layer_norm as layer_norm
from slope.functions.normalization import local_response_norm as local_response_norm
from slope.functions.normalization import normalize as normalize
from slope.functions.normalization import rms_norm as rms_norm
from slope.functions.ordering import aminmax as aminmax
from slope.functions.ordering import argsort as argsort
from slope.functions.ordering import bucketize as bucketize
from slope.functions.ordering import cummax as cummax
from slope.functions.ordering import cummin as cummin
from slope.functions.ordering import cumprod as cumprod
from slope.functions.ordering import logcumsumexp as logcumsumexp
from slope.functions.ordering import median as median
from slope.functions.ordering import nanmedian as nanmedian
from slope.functions.ordering import searchsorted as searchsorted
from slope.functions.ordering import sort as sort
from slope.functions.ordering import topk as topk
from slope.functions.pooling import avg_pool1d as avg_pool1d
from slope.functions.pooling import avg_pool2d as avg_pool2d
from slope.functions.pooling import avg_pool3d as avg_pool3d
from slope.functions.pooling import max_pool1d as max_pool1d
from slope.functions.pooling import max_pool2d as max_pool2d
from slope.functions.pooling import max_pool3d as max_pool3d
from slope.functions.products import addbmm as addbmm
from slope.functions.products import addmm as addmm
from slope.functions.products import addmv as addmv
from slope.functions.products import baddbmm as baddbmm
from slope.functions.products import bilinear as bilinear
from slope.functions.products import cross as cross
from slope.functions.products import inner as inner
from slope.functions.products import kron as kron
from slope.functions.products import trace as trace
from slope.functions.products import vdot as vdot
from slope.functions.quantiles import nanquantile as nanquantile
from slope.functions.quantiles import quantile as quantile
from slope.functions.random import rand as rand
from slope.functions.random import rand_like as rand_like
from slope.functions.random import randints as randint
from slope.functions.random import randn as randn
from slope.functions.random import randn_like as randn_like
from slope.functions.reductions import all as all
from slope.functions.reductions import amax as amax
from slope.functions.reductions import amin as amin
from slope.functions.reductions import any as any
from slope.functions.reductions import argmax as argmax
from slope.functions.reductions import argmin as argmin
from slope.functions.reductions import count_nonzero as count_nonzero
from slope.functions.reductions import cumsum as cumsum
from slope.functions.reductions import logsumexp as logsumexp
from slope.functions.reductions import max as max
from slope.functions.reductions import mean as mean
from slope.functions.reductions import min as min
from slope.functions.reductions import nanmean as nanmean
from slope.functions.reductions import nansum as nansum
from slope.functions.reductions import norm as norm
from slope.functions.reductions import prod as prod
from slope.functions.reductions import std as std
from slope.functions.reductions import std_mean as std_mean
from slope.functions.reductions import sum as sum
from slope.functions.reductions import var as var
from slope.functions.reductions import var_mean as var_mean
from slope.functions.resizing import interpolate as interpolate
from slope.functions.resizing import pixel_shuffle as pixel_shuffle
from slope.functions.resizing import pixel_unshuffle as pixel_unshuffle
from slope.functions.resizing import unfold as unfold
from slope.functions.sampling import bernoulli as bernoulli
from slope.functions.sampling import multinomial as multinomial
from slope.functions.sampling import normal as normal
from slope.functions.sampling import randint_like as randint_like
from slope.functions.sampling import randperm as randperm
from slope.functions.scattering import argwhere as argwhere
from slope.functions.scattering import bincount as bincount
from slope.functions.scattering import dynamic_slice as dynamic_slice
from slope.functions.scattering import dynamic_update_slice as dynamic_update_slice
from slope.functions.scattering import gather_nd as gather_nd
from slope.functions.scattering import index_add as index_add
from slope.functions.scattering import index_copy as index_copy
from slope.functions.scattering import index_fill as index_fill
from slope.functions.scattering import index_put as index_put
from slope.functions.scattering import masked_fill as masked_fill
from slope.functions.scattering import masked_select as masked_select
from slope.functions.scattering import nonzero as nonzero
from slope.functions.scattering import scatter as scatter
from slope.functions.scattering import scatter_add as scatter_add
from slope.functions.scattering import scatter_nd as scatter_nd
from slope.functions.scattering import scatter_reduce as scatter_reduce
from slope.functions.scattering import take as take
from slope.functions.scattering import unique as unique
from slope.functions.selection import isin as isin
from slope.functions.selection import masked_scatter as masked_scatter
from slope.functions.selection import repeat_interleave as repeat_interleave
from slope.functions.selection import tril_indices as tril_indices
from slope.functions.selection import triu_indices as triu_indices
from slope.functions.selection import unique_consecutive as unique_consecutive
from slope.functions.shapes import broadcast_to as broadcast_to
from slope.functions.shapes import cat as cat
from slope.functions.shapes import chunk as chunk
from slope.functions.shapes import concatenate as concatenate
from slope.functions.shapes import diagonal as diagonal
from slope.functions.shapes import expand as expand
from slope.functions.shapes import flatten as flatten
from slope.functions.shapes import flip as flip
from slope.functions.shapes import movedim as movedim
from slope.functions.shapes import narrow as narrow
from slope.functions.shapes import pad as pad
from slope.functions.shapes import permute as permute
from slope.functions.shapes import repeat as repeat
from slope.functions.shapes import reshape as reshape
from slope.functions.shapes import roll as roll
from slope.functions.shapes import split as split
from slope.functions.shapes import squeeze as squeeze
from slope.functions.shapes import stack as stack
from slope.functions.shapes import tile as tile
from slope.functions.shapes import transpose as transpose
from slope.functions.shapes import tril as tril
from slope.functions.shapes import triu as triu
from slope.functions.shapes import unbind as unbind
from slope.functions.shapes import unflatten as unflatten
from slope.functions.shapes import unsqueeze as unsqueeze
from slope.functions.shapes import view as view
from slope.functions.statistics import cdist as cdist
from slope.functions.statistics import corrcoef as corrcoef
from slope.functions.statistics import cov as cov
from slope.functions.statistics import pairwise_distance as pairwise_distance
from slope.functions.statistics import trapezoid as trapezoid
from slope.functions.unpooling import max_unpool1d as max_unpool1d
from slope.functions.unpooling import max_unpool2d as max_unpool2d
from slope.functions.unpooling import max_unpool3d as max_unpool3d
from slope.ops import broadcast as broadcast
from slope.ops import conv as conv
from slope.ops import conv_input_grad as conv_input_grad
from slope.ops import conv_weight_grad as conv_weight_grad
from slope.ops import dot_general as dot_general
from slope.ops import gather as gather_slices
from slope.ops import integer_pow as integer_pow
from slope.ops import iota as iota
from slope.ops import max_with_indices as max_with_indices
from slope.ops import min_with_indices as min_with_indices
from slope.ops import pad as interior_pad
from slope.ops import scatter as scatter_slices
from slope.ops import slice_ as slice
from slope.ops import threefry2x32 as threefry2x32
from slope.ops import truncate_divide as truncate_divide
from slope.ops import window_max as window_max
from slope.ops import window_sum as window_sum

__all__ = [
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
    "baddbmm",
    "batch_norm",
    "bernoulli",
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
    "broadcast",
    "broadcast_to",
    "bucketize",
    "cast",
    "cat",
    "cdist",
    "ceil",
    "celu",
    "channel_shuffle",
    "chunk",
    "clamp",
    "clamp_max",
    "clamp_min",
    "column_stack",
    "concatenate",
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
    "cummax",
    "cummin",
    "cumprod",
    "cumsum",
    "default_generator",
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
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
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
    "grid_sample",
    "group_norm",
    "gt",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "heaviside",
    "hinge_embedding_loss",
    "hstack",
    "huber",
    "huber_loss",
    "hypot",
    "index_add",
    "index_copy",
    "index_fill",
    "index_put",
    "index_select",
    "inner",
    "instance_norm",
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
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "pow",
    "prelu",
    "prod",
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
    "relu",
    "relu6",
    "remainder",
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
    "scaled_dot_product_attention",
    "scatter",
    "scatter_add",
    "scatter_nd",
    "scatter_reduce",
    "scatter_slices",
    "searchsorted",
    "selu",
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
    "tril",
    "tril_indices",
    "triplet_margin_loss",
    "triu",
    "triu_indices",
    "true_divide",
    "trunc",
    "truncate_divide",
    "unbind",
    "unflatten",
    "unfold",
    "unique",
    "unique_consecutive",
    "unsqueeze",
    "var",
    "var_mean",
    "vdot",
    "vector_norm",
    "view",
    "vstack",
    "where",
    "window_max",
    "window_sum",
    "xlogy",
    "zeros",
    "zeros_like",
]
