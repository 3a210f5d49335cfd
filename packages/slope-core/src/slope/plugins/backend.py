"""What a backend is.

It lists devices, moves host arrays in and out, and compiles programs for a device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from slope.core.operator import Operator
from slope.core.program import Instr, Program
from slope.core.tensor import splat_scalar
from slope.core.types import TensorType
from slope.devices import CPU, Device
from slope.dtypes import DType
from slope.errors import BackendError, ExportError


class Timed(NamedTuple):
    """How long a part of a compiled program took in one call; see :meth:`Backend.profile`.

    Attributes:
        name: of the operator, or of the runtime's kernel.
        seconds: in one call, all of its ``count`` runs together.
        count: how often it ran in a call.
        instr: the program's instruction that each run of it computes, where it is one; its
            floating-point operations and bytes are counted from that.
        flops: floating-point operations, where there is no ``instr`` and they are known.
        bytes: read and written, likewise.
        detail: anything more in a few words, such as shapes.
        source: where there is no ``instr``, that of the instruction that it is a part of.
    """

    name: str
    seconds: float
    count: int = 1
    instr: Instr | None = None
    flops: int | None = None
    bytes: int | None = None
    detail: str = ""
    source: object = None


class ExportedProgram(NamedTuple):
    """A program as it is to be written to a file; see :meth:`Backend.export`.

    Attributes:
        program: without constants; the first of its inputs have names, the others are constants.
        inputs: the names of the first inputs, all different.
        outputs: the names of the outputs, different from each other and from the inputs'.
        constants: the names and values of the other inputs, which are written into the file.
        options: the format's own, from ``slope.export(..., options=...)``.
    """

    program: Program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: tuple[tuple[str, np.ndarray[Any, Any]], ...]
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the function that was exported."""
        return self.program.name

    def refuse_options(self, known: Collection[str], suffix: str) -> None:
        """Refuse options that the format does not have.

        Raises:
            ExportError: naming them and those that there are.
        """
        unknown = [name for name in self.options if name not in known]
        if unknown:
            raise ExportError(
                f"the format {suffix} has no options {', '.join(map(repr, unknown))}; it has "
                f"{', '.join(map(repr, known)) or 'none'}."
            )


class Executable:
    """A compiled program.

    Attributes:
        code: the backend's own text of it (Python source, an ONNX graph, StableHLO), for people.
    """

    code: str = ""

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        """Run it. Threads may call at once.

        Args:
            handles: one for each program input, as ``from_host`` made them or as an executable of
                the same backend returned them.

        Returns:
            One handle for each program output. It may be an input's handle, or share memory with
            one (a reshape may be a view); no input is ever written to but those that the program
            was compiled to take as donated, and no earlier result but one that came back as those.
        """
        raise NotImplementedError  # a duty of every backend


class Backend:
    """The base of backends. A backend is made once in a process, when it is first selected.

    Class attributes:
        name: what ``SLOPE_BACKEND`` selects it by.
        eager: how operators outside ``jit`` run on CPU tensors: ``"numpy"`` (by the numpy backend,
            for backends whose compilation is slow) or ``"compile"`` (as one-operator programs of
            this backend).
        layout: the layout of convolutions that programs are turned to (:mod:`slope.ops.conv`);
            ``None``: as they are.
        donates: whether :meth:`compile` takes ``donated=``, so that compiled programs may write to
            inputs that are given to them; then :meth:`exclusive` must tell which handles those may
            be.
        dynamic: whether :meth:`compile` takes programs with symbolic dimensions, whose executables
            run for all sizes. It may raise :class:`~slope.errors.ShapeError` for a program that it
            can compile for known sizes alone; then each size gets an executable of its own.
        rules_of: the names of backends whose lowering rules it understands, since it derives from
            them: it takes what plugins offer for those, too.
        lowered: the classes of what lowering rules take for operands and return for results,
            checked in plugins' rules. Where they have an attribute ``type``, a
            :class:`~slope.extend.TensorType`, that is checked as well. Empty: rules may return
            anything.

    Attributes:
        lowerings: the lowering rules by operator name.
        origin: the plugin that it comes from, for messages.
    """

    name: ClassVar[str] = ""
    eager: ClassVar[Literal["numpy", "compile"]] = "compile"
    layout: ClassVar[str | None] = None
    donates: ClassVar[bool] = False
    dynamic: ClassVar[bool] = False
    rules_of: ClassVar[tuple[str, ...]] = ()
    lowered: ClassVar[tuple[type, ...]] = ()
    origin: str = ""

    def __init__(self) -> None:
        self.lowerings: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    # --- devices and buffers

    def devices(self) -> list[Device]:
        """The devices that are there, the default one first."""
        return [CPU]

    def absent(self, device: Device) -> str:
        """Why a device is not among :meth:`devices`, and what to do: the end of an error."""
        return (
            "Move tensors with .to('cpu'), let DEFAULT_DEVICE name one of these, or choose another "
            "backend."
        )

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Any:
        """A handle for a host array (C-contiguous or not, read-only or not).

        On CPU it may share the array's memory, and then must keep it alive. slope never writes to
        the array afterwards.
        """
        raise NotImplementedError  # a duty of every backend

    def to_host(self, handle: Any) -> np.ndarray[Any, Any]:
        """The elements of a handle as a host array.

        On CPU it may share memory, and then must keep it alive.
        """
        raise NotImplementedError  # a duty of every backend

    def scalar(self, value: bool | float, dtype: DType, device: Device) -> Any:
        """A handle for a Python number as a tensor of shape ()."""
        return self.from_host(np.asarray(splat_scalar(value, dtype)), device)

    def exclusive(self, handle: Any) -> bool:
        """Whether nothing refers to a handle's memory but the list that the handle was taken from.

        So a call may write to it. Handles that share memory with a host array of somebody, with
        another handle, or that were exported are not exclusive; in doubt they are not. For handles
        that are NumPy arrays, ``slope.extend.only_reference`` tells; whether others are referred to
        elsewhere, ``slope.extend.held_once``. Asked only where :attr:`donates`.
        """
        return False

    def copied(self, handle: Any, device: Device) -> Any:
        """A handle with memory of its own and the same elements."""
        return self.from_host(np.array(self.to_host(handle)), device)

    def spared(self, handles: Sequence[Any], donated: Collection[int], device: Device) -> list[Any]:
        """Handles for one call: copies of those at the donated positions, so that they stay."""
        return [
            self.copied(handle, device) if place in donated else handle
            for place, handle in enumerate(handles)
        ]

    # --- programs

    def supports(self, op: Operator, dtype: DType) -> bool:
        """Whether the operator can be compiled for operands (for ``iota``: a result) of this dtype.

        Programs that need another are refused before :meth:`compile`; the conformance kit counts
        them as declared unsupported and holds the backend to the others. Operators without a
        lowering here, ``expand`` and ``host`` are refused in any case. By default all dtypes.
        """
        return self.lowers(op) or op.has("expand") or op.has("host")

    def lowers(self, op: Operator) -> bool:
        """Whether there is a lowering rule for the operator.

        Operators without one are expanded before ``compile`` sees them. Those that their ``host``
        computes (``slope.extend.host_function``) divide a program into stages, and ``compile`` sees
        what is between.
        """
        return op.name in self.lowerings

    def left_to_numpy(self, op: Operator, types: Sequence[TensorType], device: Device) -> bool:
        """Whether the numpy backend computes an operator faster than its expansion runs here.

        Asked for operators that have an expansion and no lowering rule here, in programs of known
        sizes that run on ``device``, outside of their loops and branches. What is left to NumPy
        divides the program into stages, each of which costs some microseconds. By default nothing
        is. A package that leaves operators to NumPy depends on ``slope-backend-numpy``.

        Args:
            op: the operator.
            types: those of its operands.
            device: where the program runs.
        """
        return False

    def add_lowerings(self, rules: Mapping[str, Callable[..., Any]]) -> None:
        """Add lowering rules by operator name, this backend's own and those of plugins.

        What a rule is, the backend says.
        """
        self.lowerings.update(rules)

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> Executable:
        """Compile a program for a device.

        Args:
            program: has no constants (they were made inputs) and holds only operators that
                :meth:`lowers` accepts. The same variable may be an output twice, and an input or a
                literal may be an output.
            device: one of :meth:`devices`.
            options: the backend's own options, from ``slope.jit(f, options=...)``.
            donated: positions of inputs whose handles no one will read after a call: the executable
                may write to them, return them as outputs or keep them for later calls. Each call
                gets exclusive handles there. Passed only where :attr:`donates`, and not empty.

        Raises:
            CompileError: the compiler refused the program; the text holds its diagnostics.
        """
        raise NotImplementedError  # a duty of every backend

    def profile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        handles: Sequence[Any],
        rounds: int,
        donated: frozenset[int] = frozenset(),
    ) -> Sequence[Timed]:
        """Where the time of a compiled program goes, for :func:`slope.profile`.

        Args:
            program: as :meth:`compile` gets it; what is measured must be compiled in the same way.
            device: where it runs.
            options: as of :meth:`compile`.
            handles: one for each program input; nothing may be written to them, so that calls get
                copies of the donated ones (:meth:`spared`).
            rounds: how many calls to measure, behind one or more to warm up; the numbers given are
                the median (or what the runtime has) over them.
            donated: as of :meth:`compile`, and likewise passed only where :attr:`donates`, and not
                empty.

        Raises:
            BackendError: the backend cannot tell.
        """
        raise BackendError(
            f"the backend {self.name!r} cannot tell where the time of a program goes: "
            f"{type(self).__name__} does not define profile(). Profile on another backend, with "
            f"slope.profile(f, ..., backend='numpy')."
        )

    # --- files

    def export(self, program: ExportedProgram, path: Path) -> Device | None:
        """Write a program to a file, for :func:`slope.export`.

        The :class:`~slope.extend.BackendSpec` lists the suffixes in ``formats``.

        Args:
            program: what to write: a program in operators that :meth:`lowers` accepts, and the
                names of what goes in and comes out.
            path: where to; its suffix says in which format. Other files that belong to it stand
                beside it, with names that begin with this one's.

        Returns:
            The device on which :meth:`open_export` can run the file here; ``None`` if none can:
            then it is not checked.

        Raises:
            ExportError: the format has no form for something in the program.
        """
        raise NotImplementedError  # a duty of backends that list formats

    def open_export(
        self,
        path: Path,
        inputs: Sequence[TensorType],
        outputs: Sequence[TensorType],
        device: Device,
    ) -> Executable:
        """Load a file that :meth:`export` wrote, without the program.

        Args:
            path: of the file.
            inputs: the types of what its function takes, in order.
            outputs: the types of what it gives.
            device: where it is to run.

        Raises:
            ExportError: the runtime refuses the file.
        """
        raise NotImplementedError  # a duty of backends that list formats

    # --- information

    def version(self) -> str:
        """Versions of what the backend runs on, for ``python -m slope info``."""
        return ""
