"""The one surface for those who extend slope.

They are the authors of operators, of backends and of packages of layers.

- Operators: :class:`Operator`, or one of the families :class:`Pointwise` and
  :class:`LinearOperator`, whose rules bind the operators in :mod:`slope.extend.ops` or call
  functions of ``slope``. What users call may be a function around one, which takes in numbers and
  NumPy arrays, promotes and broadcasts them with :func:`operands_of`, and reads dimensions with
  :func:`dim_of` and :func:`dims_of`.
- Backends: :class:`Backend`, :class:`Executable`, :class:`ExportedProgram` (for those that write
  files) and what a :class:`Program` consists of. Those of :func:`known_operators` that have neither
  ``expand`` nor ``host`` are what a whole backend must lower.
- Plugins: :data:`hookimpl` marks the hooks ``slope_operators()``, ``slope_lowerings(backend)`` and
  ``slope_backends()`` of a module that an entry point of the group ``slope`` names; they give
  :class:`OperatorSpec`, lowering rules by operator name, :class:`BackendSpec`. What a rule gets and
  gives, the backends say: ``help("slope_backend_numpy.context")``,
  ``help("slope_backend_onnx.lower.context")``, ``help("slope_backend_iree.lower.context")``.
  :func:`register_plugin` does without an entry point.

Everything here is stable in the sense of :data:`API_VERSION`; nothing else below ``slope`` is.
"""

from __future__ import annotations

from slope import dims as dims
from slope import dtypes as dtypes
from slope import ops as ops
from slope.core.donation import held_once as held_once
from slope.core.donation import only_reference as only_reference
from slope.core.host import host_function as host_function
from slope.core.operator import Linear as Linear
from slope.core.operator import Operator as Operator
from slope.core.operator import Sample as Sample
from slope.core.operator import known_operators as known_operators
from slope.core.printer import programs_in as programs_in
from slope.core.program import Atom as Atom
from slope.core.program import Instr as Instr
from slope.core.program import Literal as Literal
from slope.core.program import Program as Program
from slope.core.program import Var as Var
from slope.core.program import trace_program as trace_program
from slope.core.tensor import Splat as Splat
from slope.core.tensor import Tensor as Tensor
from slope.core.tensor import aligned_empty as aligned_empty
from slope.core.tensor import splat_scalar as splat_scalar
from slope.core.trace import is_tracing as is_tracing
from slope.core.types import TensorType as TensorType
from slope.devices import ANYWHERE as ANYWHERE
from slope.devices import CPU as CPU
from slope.devices import Device as Device
from slope.devices import cpu_count as cpu_count
from slope.dtypes import DType as DType
from slope.errors import ArgumentError as ArgumentError
from slope.errors import BackendError as BackendError
from slope.errors import CompileError as CompileError
from slope.errors import DeviceError as DeviceError
from slope.errors import DTypeError as DTypeError
from slope.errors import ExportError as ExportError
from slope.errors import IndexingError as IndexingError
from slope.errors import NaNError as NaNError
from slope.errors import PluginError as PluginError
from slope.errors import RenamedError as RenamedError
from slope.errors import ShapeError as ShapeError
from slope.errors import SlopeError as SlopeError
from slope.errors import Source as Source
from slope.errors import TreeError as TreeError
from slope.errors import UnsupportedOperatorError as UnsupportedOperatorError
from slope.functions._arguments import dim_of as dim_of
from slope.functions._arguments import dims_of as dims_of
from slope.functions._base import operands_of as operands_of
from slope.ops._pointwise import Pointwise as Pointwise
from slope.ops.linear import LinearOperator as LinearOperator
from slope.plugins.backend import Backend as Backend
from slope.plugins.backend import Executable as Executable
from slope.plugins.backend import ExportedProgram as ExportedProgram
from slope.plugins.backend import Timed as Timed
from slope.plugins.cache_root import cache_root as cache_root
from slope.plugins.cache_root import is_caching as is_caching
from slope.plugins.hookspecs import API_VERSION as API_VERSION
from slope.plugins.hookspecs import BackendSpec as BackendSpec
from slope.plugins.hookspecs import OperatorSpec as OperatorSpec
from slope.plugins.hookspecs import hookimpl as hookimpl
from slope.plugins.manager import register_plugin as register_plugin
from slope.plugins.manager import unregister_plugin as unregister_plugin
from slope.tree import Static as Static
from slope.tree import fetcher as fetcher
