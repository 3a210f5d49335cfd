"""A small builder of ONNX graphs: what every lowering rule of this backend writes into.

It fills the protobuf messages directly, names the values, and refuses what ONNX would refuse later
and less clearly. A node costs 2 to 3 us (as with `onnx.helper`), so a training step of 1,300 nodes
is written in 5 ms.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, overload

import numpy as np
import onnx
import onnx.printer

from slope.extend import ShapeError, dims

__all__ = [
    "ELEMENT_TYPES",
    "IR_VERSION",
    "OPSET",
    "Attribute",
    "Graph",
    "GraphError",
    "element_type",
]

OPSET = 21
"""The version of the ONNX operators that graphs are written in.

ONNX Runtime refuses a model newer than itself and offers no query for its limit: 1.20 takes opset
21, 1.31 takes 26, while onnx 1.23 would write 28 by default. 21 is the oldest version that holds
what lowerings want (Gelu came with 20, LayerNormalization with 17, bool ReduceMax with 20, and the
4-, 8- and 16-bit integers everywhere that slope needs them with 21), so every ONNX Runtime from
1.20 on runs what slope writes.
"""

IR_VERSION = 10
"""The version of the model file format: 10 belongs to opset 21; ONNX Runtime 1.31 takes up 13."""

_IR_VERSIONS = {26: 13}  # of the newer operator versions that graphs may ask for

ELEMENT_TYPES: dict[str, int] = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "bfloat16": 16,
}
"""NumPy dtype names (bfloat16 is that of ml_dtypes) to the codes of `onnx.TensorProto.DataType`."""

# Above this many bytes a constant is known by its digest, so that no second copy is kept as a key.
_KEY_BYTES = 256

_List: TypeAlias = Sequence[int] | Sequence[float] | Sequence[str]
Attribute: TypeAlias = "int | float | str | np.ndarray | np.generic | Graph | _List"
"""What a node attribute may be; an array becomes a tensor attribute, a `Graph` a subgraph."""

_Dim: TypeAlias = "int | str | dims.DimExpr"


class GraphError(ValueError):
    """A graph was built wrongly: an unknown dtype or value, or a name given twice."""


class Graph:
    """One ONNX graph under construction; values are known by their names.

    A node must be added after the nodes it reads, as ONNX asks of the order. One thread builds one
    graph.

    Example:
        >>> graph = Graph("double")
        >>> x = graph.input("x", "float32", (4,))
        >>> graph.output(graph.op("Mul", x, graph.constant(np.float32(2))))
        'v0'
        >>> data = graph.model().SerializeToString()
    """

    def __init__(self, name: str = "slope", *, parent: Graph | None = None) -> None:
        """Start an empty graph.

        Args:
            name: The graph's name, for people.
            parent: The graph in whose node this one is an attribute (a branch or loop body). Its
                values are visible here, its names are not used again, and constants go to it.
        """
        self._proto = onnx.GraphProto(name=name)
        self._parent = parent
        self._root: Graph = self if parent is None else parent._root
        self._known: set[str] = set()  # the values that this graph itself holds
        self._inputs: set[str] = set()
        self._outputs: set[str] = set()
        if parent is None:
            self._count = 0
            self._names: set[str] = set()  # of the whole model: no name shadows another
            self._constants: dict[tuple[np.dtype, tuple[int, ...], bytes], str] = {}
            self._constant_names: set[str] = set()
            self._domains: dict[str, int] = {"": OPSET}

    def input(self, name: str, dtype: np.dtype | type | str, shape: Sequence[_Dim]) -> str:
        """Declare an input and return its name.

        Args:
            name: A name not used in this graph yet.
            dtype: Anything `np.dtype` takes.
            shape: Sizes; a string or a symbolic dimension is known only when the graph runs.

        Raises:
            GraphError: The name is taken, or ONNX has no such dtype.
        """
        if self._sees(name) or not name:
            raise GraphError(
                f"graph input {name!r}: the name is empty or already stands for a value"
            )
        _fill_type(self._proto.input.add(name=name), dtype, shape)
        self._root._names.add(name)
        self._known.add(name)
        self._inputs.add(name)
        return name

    def constant(self, value: np.ndarray | np.generic, name: str = "") -> str:
        """Store an array in the model and return its name; equal arrays are stored once.

        Equal means same dtype, shape and bits, so 0.0 and -0.0 stay apart. The name is the one
        given where the array is new and the name is free.

        Raises:
            GraphError: ONNX has no such dtype.
        """
        root = self._root
        array = np.asarray(value)
        data = array.tobytes()
        digest = data if len(data) <= _KEY_BYTES else hashlib.blake2b(data).digest()
        key = (array.dtype, array.shape, digest)
        known = root._constants.get(key)
        if known is not None:
            return known
        name = name or f"c{len(root._constants)}"
        while name in root._names:  # an input may carry that name
            name += "_"
        _fill_tensor(root._proto.initializer.add(name=name), array, data)
        root._constants[key] = name
        root._names.add(name)
        root._known.add(name)
        root._constant_names.add(name)
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Keep names free, for values that are called so when the model is finished."""
        self._root._names.update(names)

    @property
    def node_count(self) -> int:
        """How many nodes it has so far, without those of graphs inside nodes."""
        return len(self._proto.node)

    def node_names(self, start: int) -> list[str]:
        """The names of its nodes from a number on."""
        return [node.name for node in self._proto.node[start:]]

    @overload
    def op(
        self,
        op_type: str,
        *inputs: str,
        outputs: Literal[1] = 1,
        domain: str = "",
        **attrs: Attribute | None,
    ) -> str: ...
    @overload
    def op(
        self, op_type: str, *inputs: str, outputs: int, domain: str = "", **attrs: Attribute | None
    ) -> tuple[str, ...]: ...
    def op(
        self,
        op_type: str,
        *inputs: str,
        outputs: int = 1,
        domain: str = "",
        **attrs: Attribute | None,
    ) -> str | tuple[str, ...]:
        """Add a node and return the name of its output, or a tuple of names if there are several.

        Args:
            op_type: The ONNX operator.
            *inputs: Names of values; "" leaves an optional input out.
            outputs: How many outputs the node has.
            domain: The operator set: "" for ONNX itself, "com.microsoft" for ONNX Runtime's own.
            **attrs: Attributes; None leaves one out.

        Raises:
            GraphError: An input is no value of this graph, or an attribute has no ONNX form.
        """
        for name in inputs:
            if name and not self._sees(name):
                raise GraphError(f"{op_type}: input {name!r} is no value of graph {self.name!r}")
        root = self._root
        names = tuple([self._fresh() for _ in range(outputs)])
        # Named, since ONNX Runtime 1.20 derives the names of fused nodes from these, and refuses
        # equal ones.
        node = self._proto.node.add(op_type=op_type, name=names[0], input=inputs, output=names)
        if domain:
            node.domain = domain
            root._domains.setdefault(domain, 1)
        for key, value in attrs.items():
            if value is not None:
                _fill_attribute(node.attribute.add(name=key), op_type, value)
        self._known.update(names)
        return names[0] if outputs == 1 else names

    def output(
        self,
        name: str,
        dtype: np.dtype | type | str | None = None,
        shape: Sequence[_Dim] | None = None,
    ) -> str:
        """Make a value an output and return the name that the output has.

        The type may be left out, since runtimes infer it; give it in models that others will read.
        An input, a constant, a value of an outer graph and a second use of one value go through an
        Identity and so have a name of their own: ONNX wants output names distinct, and ONNX Runtime
        1.20 hands out an input that is also an output as an alias which does not keep the
        caller's memory alive.

        Raises:
            GraphError: No such value, or ONNX has no such dtype.
        """
        if not self._sees(name):
            raise GraphError(f"graph output {name!r} is no value of graph {self.name!r}")
        made_here = name in self._known and name not in self._inputs
        if not made_here or name in self._outputs or name in self._root._constant_names:
            name = self.op("Identity", name)
        info = self._proto.output.add(name=name)
        if dtype is not None:
            _fill_type(info, dtype, () if shape is None else shape, ranked=shape is not None)
        self._outputs.add(name)
        return name

    def updates(self) -> dict[str, str]:
        """Inputs that a scatter updates and nothing else reads, each with the output that it makes.

        The kernels write to their first operand if they find it where the result belongs.
        """
        reads = Counter(_reads(self._proto))
        found = {}
        for node in self._proto.node:
            if node.op_type in ("ScatterND", "ScatterElements") and not node.domain:
                source, (made,) = node.input[0], node.output
                if source in self._inputs and reads[source] == 1 and made in self._outputs:
                    found[source] = made
        return found

    def require_opset(self, version: int) -> None:
        """Write the model in a newer version of the ONNX operators, for one that `OPSET` lacks.

        Only runtimes that know that version load the model then.
        """
        domains = self._root._domains
        domains[""] = max(domains[""], version)

    def fresh(self) -> str:
        """A name that nothing in the model has, for an input of a subgraph."""
        return self._fresh()

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs, in order."""
        return [each.name for each in self._proto.output]

    @property
    def name(self) -> str:
        """The graph's name."""
        return self._proto.name

    def model(self) -> onnx.ModelProto:
        """The finished model; it holds a copy, so the graph may grow on.

        Nodes that nothing reads are left out: runtimes would run them.

        Raises:
            GraphError: This graph is a subgraph, which is no model by itself.
        """
        if self._parent is not None:
            raise GraphError(f"graph {self.name!r} is a subgraph: only the outermost is a model")
        opset = self._domains[""]
        ir_version = IR_VERSION if opset == OPSET else _IR_VERSIONS[opset]
        model = onnx.ModelProto(ir_version=ir_version, producer_name="slope", graph=self._proto)
        _drop_unread(model.graph)
        for domain, version in self._domains.items():
            model.opset_import.add(domain=domain, version=version)
        return model

    def text(self) -> str:
        """The model in ONNX's textual syntax, for people."""
        return onnx.printer.to_text(self.model())

    def _fresh(self) -> str:
        root = self._root
        while True:
            name = f"v{root._count}"
            root._count += 1
            if name not in root._names:
                root._names.add(name)
                return name

    def _sees(self, name: str) -> bool:
        scope: Graph | None = self
        while scope is not None:
            if name in scope._known:
                return True
            scope = scope._parent
        return False


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove the nodes whose outputs nothing reads, and those that only they read."""
    reads = Counter(_reads(graph))
    dead = []
    for place in reversed(range(len(graph.node))):
        node = graph.node[place]
        if not any(reads[name] for name in node.output):
            dead.append(place)
            reads.subtract(_node_reads(node))
    for place in dead:  # from the last to the first, so that places stay
        del graph.node[place]


def _reads(graph: onnx.GraphProto) -> Iterator[str]:
    """The name of every value that is read, as often as it is."""
    for node in graph.node:
        yield from _node_reads(node)
    for each in graph.output:
        yield each.name


def _node_reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield from _reads(attribute.g)


def element_type(dtype: np.dtype | type | str) -> int:
    """The code of a dtype in `onnx.TensorProto.DataType`.

    Raises:
        GraphError: ONNX has no such dtype, or slope has none.
    """
    name = np.dtype(dtype).name
    try:
        return ELEMENT_TYPES[name]
    except KeyError:
        known = ", ".join(ELEMENT_TYPES)
        raise GraphError(f"dtype {name} has no ONNX form here; these have: {known}") from None


def _fill_type(
    info: onnx.ValueInfoProto,
    dtype: np.dtype | type | str,
    shape: Sequence[_Dim],
    *,
    ranked: bool = True,
) -> None:
    tensor = info.type.tensor_type
    tensor.elem_type = element_type(dtype)
    if ranked:
        tensor.shape.SetInParent()  # without it a 0-d tensor would read as one of unknown rank
    for size in shape:
        if isinstance(size, int):
            tensor.shape.dim.add(dim_value=size)
        else:
            tensor.shape.dim.add(dim_param=str(size))


def _fill_tensor(tensor: onnx.TensorProto, array: np.ndarray, data: bytes | None = None) -> None:
    tensor.data_type = element_type(array.dtype)
    tensor.dims.extend(array.shape)
    if sys.byteorder == "big" or array.dtype.byteorder == ">":  # ONNX stores little-endian
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    tensor.raw_data = array.tobytes() if data is None else data


def _fill_attribute(attribute: onnx.AttributeProto, op_type: str, value: Attribute) -> None:
    kinds = onnx.AttributeProto
    if isinstance(value, (list, tuple)) and any(isinstance(each, dims.DimExpr) for each in value):
        raise ShapeError(f"{op_type}: an attribute would depend on a dimension of {value}.")
    if isinstance(value, np.generic):
        _fill_attribute(attribute, op_type, value.item())
    elif isinstance(value, int):
        attribute.type, attribute.i = kinds.INT, int(value)  # a bool is an int here
    elif isinstance(value, float):
        attribute.type, attribute.f = kinds.FLOAT, value
    elif isinstance(value, str):
        attribute.type, attribute.s = kinds.STRING, value.encode()
    elif isinstance(value, np.ndarray):
        attribute.type = kinds.TENSOR
        _fill_tensor(attribute.t, value)
    elif isinstance(value, Graph):
        attribute.type = kinds.GRAPH
        attribute.g.CopyFrom(value._proto)
    else:
        _fill_list(attribute, op_type, value)


def _fill_list(attribute: onnx.AttributeProto, op_type: str, value: _List) -> None:
    kinds = onnx.AttributeProto
    if all(isinstance(item, int | np.integer) for item in value):  # the empty list too
        attribute.type = kinds.INTS
        attribute.ints.extend([int(item) for item in value])
    elif all(isinstance(item, int | float | np.number) for item in value):
        attribute.type = kinds.FLOATS
        attribute.floats.extend([float(item) for item in value])
    elif all(isinstance(item, str) for item in value):
        attribute.type = kinds.STRINGS
        attribute.strings.extend([str(item).encode() for item in value])
    else:
        raise GraphError(
            f"{op_type}: attribute {attribute.name!r} = {value!r} has no ONNX form; give an int, "
            "float, str, array, Graph, or a list of ints, of floats or of strings"
        )
