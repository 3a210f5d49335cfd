"""slope: a small automatic-differentiation engine for machine learning, made to be taken apart.

Tensor code reads like PyTorch, transforms of functions like JAX, and programs run on whichever
backend is installed.
"""

from __future__ import annotations

from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import TYPE_CHECKING, Any

from slope.api import associative_scan as associative_scan
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
from slope.control import debug_callback as debug_callback
from slope.control import debug_print as debug_print
from slope.control import host_call as host_call
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
from slope.plugins.contributions import tensor_names as _tensor_names
from slope.plugins.manager import plugins as plugins
from slope.plugins.selection import backend as backend
from slope.plugins.selection import set_backend as set_backend
from slope.plugins.selection import use_backend as use_backend
from slope.renamed import check_name as _check_name
from slope.renamed import method as _method
from slope.renamed import no_compile as _no_compile
from slope.renamed import refuse_fields as _refuse_fields
from slope.tree import register_node as register_node
from slope.tree import tree_flatten as tree_flatten
from slope.tree import tree_leaves as tree_leaves
from slope.tree import tree_map as tree_map
from slope.tree import tree_structure as tree_structure
from slope.tree import tree_unflatten as tree_unflatten

from .functions import *

if TYPE_CHECKING:
    from slope import debug as debug
    from slope import extend as extend
    from slope import linalg as linalg
    from slope import nn as nn
    from slope import special as special
    from slope import testing as testing
    from slope.api._callbacks import pure_callback as pure_callback
    from slope.api._compare import compare as compare
    from slope.api._export import export as export
    from slope.api._exports.loaded import load_exported as load_exported
    from slope.api._profile import profile as profile
    from slope.linalg import cholesky as cholesky
    from slope.linalg import cholesky_inverse as cholesky_inverse
    from slope.linalg import cholesky_solve as cholesky_solve
    from slope.linalg import det as det
    from slope.linalg import logdet as logdet
    from slope.linalg import matrix_exp as matrix_exp
    from slope.linalg import matrix_power as matrix_power
    from slope.linalg import slogdet as slogdet
    from slope.nn import load as load
    from slope.nn import save as save
    from slope.special import i0 as i0
    from slope.special import igamma as igamma
    from slope.special import igammac as igammac
    from slope.special import mvlgamma as mvlgamma
    from slope.special import polygamma as polygamma

    bool: DType
    double: DType
    float: DType
    half: DType
    int: DType
    long: DType
    short: DType

# Methods that operator packages offer, and the new names of old ones: looked up on a miss alone.
Tensor.__dir__ = _tensor_names
_refuse_fields()
Tensor.__getattr__ = _method  # pyright: ignore[reportAttributeAccessIssue]  # undeclared: checkers refuse unknown names

newaxis = None  # x[:, newaxis], as NumPy, PyTorch and JAX call it
compile = _no_compile  # of the module slope.compile users know nothing

__version__ = "0.1.0"

__all__ = [
    "DType",
    "Device",
    "Dim",
    "Program",
    "Tensor",
    "__version__",
    "associative_scan",
    "backend",
    "bfloat16",
    "bool_",
    "can_cast",
    "checkpoint",
    "compare",
    "cond",
    "ctc_loss",
    "custom_jvp",
    "custom_vjp",
    "debug_callback",
    "debug_nans",
    "debug_print",
    "device",
    "e",
    "export",
    "finfo",
    "float16",
    "float32",
    "float64",
    "fori_loop",
    "grad",
    "hessian",
    "host_call",
    "iinfo",
    "inf",
    "int8",
    "int16",
    "int32",
    "int64",
    "jacfwd",
    "jacrev",
    "jit",
    "jvp",
    "linearize",
    "load_exported",
    "map",
    "nan",
    "newaxis",
    "pi",
    "plugins",
    "profile",
    "program_of",
    "promote_types",
    "pure_callback",
    "register_node",
    "rematerialize",
    "run_branch",
    "run_scan",
    "run_while",
    "scan",
    "set_backend",
    "switch",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_structure",
    "tree_unflatten",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "use_backend",
    "value_and_grad",
    "vjp",
    "vmap",
    "while_loop",
]
__all__ += functions.__all__


# What is imported when first asked for, so that nobody else pays for it: submodules, and names by
# the module that has them. slope-nn writes pytrees to files, as it knows modules; PyTorch has
# some of `linalg` and `special` in both places, and printed programs call operators by these names.
_SUBMODULES = ("debug", "extend", "linalg", "nn", "special", "testing")
_OF_LINALG = (
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "logdet",
    "matrix_exp",
    "matrix_power",
    "slogdet",
)
_MATRIX_OPERATORS = (
    "cholesky_factor",
    "eigh_factors",
    "inverse_matrix",
    "lu_factors",
    "matrix_exponential",
    "pseudo_inverse",
    "qr_factors",
    "sign_log_det",
    "solve_matrix",
    "solve_triangle",
    "svd_factors",
    "symmetric",
)
_OF_SPECIAL = ("i0", "igamma", "igammac", "mvlgamma", "polygamma")
_LAZY = {
    **dict.fromkeys(_OF_LINALG, "slope.linalg"),
    **dict.fromkeys(_MATRIX_OPERATORS, "slope.linalg.operators"),
    **dict.fromkeys(_OF_SPECIAL, "slope.special"),
    **dict.fromkeys(("load", "save"), "slope.nn"),
    "compare": "slope.api._compare",
    "export": "slope.api._export",
    "load_exported": "slope.api._exports.loaded",
    "profile": "slope.api._profile",
    "pure_callback": "slope.api._callbacks",
}


# PyTorch's other names of dtypes; not in __all__, since ``import *`` would hide Python's own.
_DTYPES = {
    "bool": bool_,
    "double": float64,
    "float": float32,
    "half": float16,
    "int": int32,
    "long": int64,
    "short": int16,
}


def __getattr__(name: str) -> Any:
    """Submodules, tools, and what plugins offer: imported when first asked for."""
    import importlib

    if name in _DTYPES:
        return _DTYPES[name]
    if name in _SUBMODULES:
        return importlib.import_module(f"slope.{name}")
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    from slope.plugins.contributions import module_attribute

    _check_name(name, globals().__contains__)
    return module_attribute(name)


def __dir__() -> list[str]:
    """All names, also those that plugins offer: for completion, and for what was misspelt."""
    from slope.plugins.contributions import offered

    return sorted({*globals(), *_SUBMODULES, *_LAZY, *_DTYPES, *__all__, *offered()})
