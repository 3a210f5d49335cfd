"""What users call: functions that broadcast and promote, then call operators.

``slope`` exports every name here.

Operators without such a function are here as themselves, since printed programs call operators as
``slope.NAME``.
"""

from slope.functions import methods as _methods  # noqa: F401  # makes the methods of tensors
from slope.functions import random as random
from slope.functions.activations import cross_entropy as cross_entropy
from slope.functions.activations import gelu as gelu
from slope.functions.activations import leaky_relu as leaky_relu
from slope.functions.activations import log_softmax as log_softmax
from slope.functions.activations import mse_loss as mse_loss
from slope.functions.activations import nll_loss as nll_loss
from slope.functions.activations import relu as relu
from slope.functions.activations import silu as silu
from slope.functions.activations import softmax as softmax
from slope.functions.activations import softplus as softplus
from slope.functions.arithmetic import add as add
from slope.functions.arithmetic import atan2 as atan2
from slope.functions.arithmetic import bitwise_and as bitwise_and
from slope.functions.arithmetic import bitwise_left_shift as bitwise_left_shift
from slope.functions.arithmetic import bitwise_not as bitwise_not
from slope.functions.arithmetic import bitwise_or as bitwise_or
from slope.functions.arithmetic import bitwise_right_shift as bitwise_right_shift
from slope.functions.arithmetic import bitwise_xor as bitwise_xor
from slope.functions.arithmetic import clamp as clamp
from slope.functions.arithmetic import div as div
from slope.functions.arithmetic import eq as eq
from slope.functions.arithmetic import floor_divide as floor_divide
from slope.functions.arithmetic import fmod as fmod
from slope.functions.arithmetic import ge as ge
from slope.functions.arithmetic import gt as gt
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
from slope.functions.arithmetic import shift_left as shift_left
from slope.functions.arithmetic import shift_right_arithmetic as shift_right_arithmetic
from slope.functions.arithmetic import shift_right_logical as shift_right_logical
from slope.functions.arithmetic import sub as sub
from slope.functions.arithmetic import true_divide as true_divide
from slope.functions.arithmetic import where as where
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
from slope.functions.creation import arange as arange
from slope.functions.creation import as_tensor as as_tensor
from slope.functions.creation import eye as eye
from slope.functions.creation import from_dlpack as from_dlpack
from slope.functions.creation import from_numpy as from_numpy
from slope.functions.creation import full as full
from slope.functions.creation import full_like as full_like
from slope.functions.creation import linspace as linspace
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
from slope.functions.elementwise import erf as erf
from slope.functions.elementwise import erfc as erfc
from slope.functions.elementwise import exp as exp
from slope.functions.elementwise import exp2 as exp2
from slope.functions.elementwise import expm1 as expm1
from slope.functions.elementwise import floor as floor
from slope.functions.elementwise import frac as frac
from slope.functions.elementwise import isfinite as isfinite
from slope.functions.elementwise import isinf as isinf
from slope.functions.elementwise import isnan as isnan
from slope.functions.elementwise import log as log
from slope.functions.elementwise import log1p as log1p
from slope.functions.elementwise import log2 as log2
from slope.functions.elementwise import log10 as log10
from slope.functions.elementwise import nan_to_num as nan_to_num
from slope.functions.elementwise import neg as neg
from slope.functions.elementwise import reciprocal as reciprocal
from slope.functions.elementwise import round as round
from slope.functions.elementwise import rsqrt as rsqrt
from slope.functions.elementwise import sigmoid as sigmoid
from slope.functions.elementwise import sign as sign
from slope.functions.elementwise import sin as sin
from slope.functions.elementwise import sinh as sinh
from slope.functions.elementwise import sqrt as sqrt
from slope.functions.elementwise import square as square
from slope.functions.elementwise import stop_gradient as stop_gradient
from slope.functions.elementwise import tan as tan
from slope.functions.elementwise import tanh as tanh
from slope.functions.elementwise import trunc as trunc
from slope.functions.generator import default_generator as default_generator
from slope.functions.generator import manual_seed as manual_seed
from slope.functions.indexing import embedding as embedding
from slope.functions.indexing import gather as gather
from slope.functions.indexing import index_select as index_select
from slope.functions.indexing import one_hot as one_hot
from slope.functions.indexing import take_along_dim as take_along_dim
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
from slope.functions.reductions import norm as norm
from slope.functions.reductions import prod as prod
from slope.functions.reductions import std as std
from slope.functions.reductions import sum as sum
from slope.functions.reductions import var as var
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
from slope.ops import broadcast as broadcast
from slope.ops import dot_general as dot_general
from slope.ops import gather as gather_slices
from slope.ops import integer_pow as integer_pow
from slope.ops import iota as iota
from slope.ops import optimization_barrier as optimization_barrier
from slope.ops import pad as interior_pad
from slope.ops import scatter as scatter_slices
from slope.ops import slice_ as slice
from slope.ops import threefry2x32 as threefry2x32
from slope.ops import truncate_divide as truncate_divide

__all__ = [
    "abs",
    "acos",
    "acosh",
    "add",
    "all",
    "amax",
    "amin",
    "any",
    "arange",
    "argmax",
    "argmin",
    "as_tensor",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
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
    "cast",
    "cat",
    "ceil",
    "chunk",
    "clamp",
    "concatenate",
    "cos",
    "cosh",
    "count_nonzero",
    "cross_entropy",
    "cross_entropy_of_classes",
    "cumsum",
    "default_generator",
    "diagonal",
    "div",
    "dot",
    "dot_general",
    "einsum",
    "embedding",
    "eq",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expand",
    "expm1",
    "eye",
    "flatten",
    "flip",
    "floor",
    "floor_divide",
    "fmod",
    "frac",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "gather",
    "gather_slices",
    "ge",
    "gelu",
    "gt",
    "index_select",
    "integer_pow",
    "interior_pad",
    "iota",
    "isfinite",
    "isinf",
    "isnan",
    "l2_norm",
    "le",
    "leaky_relu",
    "lerp",
    "linear",
    "linspace",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "lt",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mm",
    "movedim",
    "mse_loss",
    "mul",
    "mv",
    "nan_to_num",
    "narrow",
    "ne",
    "neg",
    "nll_loss",
    "norm",
    "one_hot",
    "ones",
    "ones_like",
    "optimization_barrier",
    "outer",
    "pad",
    "permute",
    "pow",
    "prod",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "random",
    "reciprocal",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "round",
    "rsqrt",
    "scatter_slices",
    "shift_left",
    "shift_right_arithmetic",
    "shift_right_logical",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "sinh",
    "slice",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "sub",
    "sum",
    "take_along_dim",
    "tan",
    "tanh",
    "tensor",
    "tensordot",
    "threefry2x32",
    "tile",
    "transpose",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "truncate_divide",
    "unbind",
    "unflatten",
    "unsqueeze",
    "var",
    "view",
    "where",
    "zeros",
    "zeros_like",
]
