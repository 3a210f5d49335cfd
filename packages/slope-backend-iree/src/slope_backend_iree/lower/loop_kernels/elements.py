"""Scalars and short vectors: what the rules of elementwise operators write inside of a kernel.

The rules are those of the whole-array lowering (``lower.elementwise``, ``lower.logic``): they call
methods of a :class:`~slope_backend_iree.lower.context.Context` by the names of StableHLO's
operations. Here the same methods write operations of MLIR's ``arith`` and ``math`` dialects, whose
operands have the shape ``()``, or ``(n,)`` for a vector of n lanes. Both mean the same, so one rule
decides what NaN, overflow or a division by zero give.
"""

from __future__ import annotations

from collections.abc import Sequence

from slope.extend import DType, TensorType, dtypes
from slope_backend_iree.lower import elementwise, linear, logic
from slope_backend_iree.lower.context import Context, Rule, Value, number

_FLOAT = {
    "add": "arith.addf",
    "subtract": "arith.subf",
    "multiply": "arith.mulf",
    "divide": "arith.divf",
    "remainder": "arith.remf",
    "maximum": "arith.maximumf",
    "minimum": "arith.minimumf",
    "power": "math.powf",
    "abs": "math.absf",
    "round_nearest_even": "math.roundeven",
    "exponential": "math.exp",
    "exponential_minus_one": "math.expm1",
    "log_plus_one": "math.log1p",
    "sine": "math.sin",
    "cosine": "math.cos",
    **{
        name: f"math.{name}"
        for name in ("floor", "ceil", "log", "sqrt", "rsqrt", "tan", "tanh", "atan2", "erf")
    },
}
_INTEGER = {
    "add": "arith.addi",
    "subtract": "arith.subi",
    "multiply": "arith.muli",
    "and": "arith.andi",
    "or": "arith.ori",
    "xor": "arith.xori",
}
_SIGNED = {"maximum": "arith.maxsi", "minimum": "arith.minsi", "abs": "math.absi"}
_UNSIGNED = {"maximum": "arith.maxui", "minimum": "arith.minui"}
_BOOL = {"add": "arith.ori", "multiply": "arith.andi", "maximum": "arith.ori"}
_BOOL["minimum"] = "arith.andi"

_SHIFTS = {
    "shift_left": "arith.shli",
    "shift_right_logical": "arith.shrui",
    "shift_right_arithmetic": "arith.shrsi",
}
_ORDERED = {"EQ": "oeq", "NE": "une", "LT": "olt", "LE": "ole", "GT": "ogt", "GE": "oge"}


class Elements(Context):
    """The body of a kernel, line by line.

    Attributes:
        header: constants and memory, which stand before all other lines.
    """

    def __init__(self) -> None:
        super().__init__(_no_program)
        self.header: list[str] = []

    def constant(self, value: bool | float, tensor_type: TensorType) -> Value:
        text = number(value, tensor_type.dtype)
        key = text, tensor_type
        found = self._constants.get(key)
        if found is None:
            name = self.name()
            dense = f"dense<{text}>" if tensor_type.shape else text
            kind = "" if dense in ("true", "false") else f" : {element_type(tensor_type)}"
            self.header.append(f"{name} = arith.constant {dense}{kind}")
            found = self._constants[key] = Value(name, tensor_type, value)
        return found

    def same(self, name: str, *xs: Value) -> Value:
        dtype = xs[0].dtype
        special = _SPECIAL.get(name)
        if special is not None:
            return special(self, *xs)
        if dtype.is_floating_point:
            return self.write(_FLOAT[name], *xs)
        if name in ("divide", "remainder"):
            return _integer_division(self, name, *xs)
        if name == "abs" and dtype.kind != "i":
            return xs[0]
        own = {"b": _BOOL, "i": _SIGNED, "u": _UNSIGNED}[dtype.kind]
        return self.write(own.get(name) or _INTEGER[name], *xs)

    def op(self, name: str, xs: Sequence[Value], result: TensorType, attributes: str = "") -> Value:
        """``is_finite``, the one operation of this form that elementwise rules use."""
        if name != "is_finite":
            # No user meets it: `fits` lets in what the table has, and tests run all of that.
            raise NotImplementedError(f"{name} of single elements")
        x = xs[0]
        return self.compare("LT", self.same("abs", x), self.like(float("inf"), x))

    def write(
        self, name: str, *xs: Value, result: TensorType | None = None, flags: str = ""
    ) -> Value:
        """An operation whose operands have one type, by default the result's.

        ``flags`` are what LLVM may do to floating-point arithmetic.
        """
        operands = ", ".join(x.name for x in xs)
        flags = f" fastmath<{flags}>" if flags else ""
        kind = element_type(xs[0].type)
        return self.emit(f"{name} {operands}{flags} : {kind}", result or xs[0].type)

    def compare(self, direction: str, x: Value, y: Value) -> Value:
        result = x.type.with_dtype(dtypes.bool_)
        if x.dtype.is_floating_point:
            return self.write(f"arith.cmpf {_ORDERED[direction]},", x, y, result=result)
        sign = "" if direction in ("EQ", "NE") else "s" if x.dtype.kind == "i" else "u"
        return self.write(f"arith.cmpi {sign}{direction.lower()},", x, y, result=result)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        types = f"{element_type(condition.type)}, {element_type(x.type)}"
        types = types if x.shape else element_type(x.type)
        return self.emit(f"arith.select {condition}, {x}, {y} : {types}", x.type)

    def convert(self, x: Value, dtype: DType) -> Value:
        name = _conversion(x.dtype, dtype)
        return Value(x.name, x.type.with_dtype(dtype)) if name is None else self._to(name, x, dtype)

    def bitcast(self, x: Value, dtype: DType) -> Value:
        if x.dtype.is_floating_point == dtype.is_floating_point:
            return Value(x.name, x.type.with_dtype(dtype))
        return self._to("arith.bitcast", x, dtype)

    def _to(self, name: str, x: Value, dtype: DType) -> Value:
        result = x.type.with_dtype(dtype)
        return self.emit(f"{name} {x} : {element_type(x.type)} to {element_type(result)}", result)


def element_type(tensor_type: TensorType) -> str:
    """``f32`` for the shape (), ``vector<8xf32>`` for (8,). Integers carry no sign."""
    dtype = tensor_type.dtype
    name = "i1" if dtype.kind == "b" else f"{'f' if dtype.is_floating_point else 'i'}{dtype.bits}"
    return f"vector<{tensor_type.shape[0]}x{name}>" if tensor_type.shape else name


def _no_program(*_: object) -> list[Value]:
    # What a Context asks for nested programs; loops and branches of kernels stand in `programs`.
    raise NotImplementedError("elementwise rules hold no programs")


def _conversion(old: DType, new: DType) -> str | None:
    """The operation that converts numbers of one dtype to another; None where there is none."""
    if old.is_floating_point:
        if new.is_floating_point:
            return None if old is new else "arith.extf" if new.bits > old.bits else "arith.truncf"
        return "arith.fptosi" if new.kind == "i" else "arith.fptoui"
    if new.is_floating_point:
        return "arith.sitofp" if old.kind == "i" else "arith.uitofp"
    widths = [1 if each.kind == "b" else each.bits for each in (old, new)]
    if widths[0] == widths[1]:
        return None
    if widths[1] < widths[0]:
        return "arith.trunci"
    return "arith.extsi" if old.kind == "i" else "arith.extui"


# --- operations that arith and math lack, or define elsewhere


def _logistic(ctx: Elements, x: Value) -> Value:
    one = ctx.like(1.0, x)
    grown = ctx.same("exponential", ctx.same("negate", x))
    return ctx.same("divide", one, ctx.same("add", one, grown))


def _sign(ctx: Elements, x: Value) -> Value:
    zero = ctx.like(0, x)
    if x.dtype.is_floating_point:  # zeros and NaN stay
        moves = ctx.write("arith.cmpf one,", x, zero, result=x.type.with_dtype(dtypes.bool_))
        return ctx.select(moves, ctx.write("math.copysign", ctx.like(1.0, x), x), x)
    up = ctx.convert(ctx.compare("GT", x, zero), x.dtype)
    return ctx.same("subtract", up, ctx.convert(ctx.compare("LT", x, zero), x.dtype))


def _not(ctx: Elements, x: Value) -> Value:
    ones = True if x.dtype.kind == "b" else (1 << x.dtype.bits) - 1 if x.dtype.kind == "u" else -1
    return ctx.same("xor", x, ctx.like(ones, x))


def _negate(ctx: Elements, x: Value) -> Value:
    if x.dtype.is_floating_point:
        return ctx.write("arith.negf", x)
    return ctx.same("subtract", ctx.like(0, x), x)


def _shift(name: str) -> Rule:
    def lowered(ctx: Elements, x: Value, y: Value) -> Value:
        # LLVM leaves shifts by the width and beyond undefined; all bits are gone then.
        last = ctx.like(x.dtype.bits - 1, y)
        inside = ctx.write("arith.cmpi ule,", y, last, result=y.type.with_dtype(dtypes.bool_))
        if name == "shift_right_arithmetic":
            return ctx.write(_SHIFTS[name], x, ctx.select(inside, y, last))
        made = ctx.write(_SHIFTS[name], x, ctx.select(inside, y, last))
        return ctx.select(inside, made, ctx.like(0, x))

    return lowered


def _integer_division(ctx: Elements, name: str, x: Value, y: Value) -> Value:
    """Processors trap on division by zero and on the lowest number by -1."""
    zero, one = ctx.like(0, y), ctx.like(1, y)
    odd = ctx.compare("EQ", y, zero)
    kind = "u"
    if y.dtype.kind == "i":
        kind = "s"
        negative = ctx.compare("EQ", y, ctx.like(-1, y))
        odd = ctx.same("or", odd, negative)
    safe = ctx.select(odd, one, y)
    made = ctx.write(f"arith.{'div' if name == 'divide' else 'rem'}{kind}i", x, safe)
    if kind == "s" and name == "divide":
        return ctx.select(negative, ctx.same("subtract", ctx.like(0, x), x), made)
    return made


_SPECIAL: dict[str, Rule] = {
    "logistic": _logistic,
    "sign": _sign,
    "not": _not,
    "negate": _negate,
    **{name: _shift(name) for name in _SHIFTS},
}


def _lambert(depth: int) -> tuple[list[int], list[int]]:
    """Polynomials p, q of x^2, lowest power first, so that tanh(x) is near x p / q.

    J. H. Lambert, 1761: tanh(x) = x / (1 + x^2 / (3 + x^2 / (5 + ...))).
    """
    q_before, q, p_before, p = [1], [1], [0], [1]
    for k in range(1, depth):
        q_before, q = q, _recurred(2 * k + 1, q, q_before)
        p_before, p = p, _recurred(2 * k + 1, p, p_before)
    return p, q


def _recurred(factor: int, last: list[int], before: list[int]) -> list[int]:
    shifted = [0, *before]
    longest = max(len(last), len(shifted))
    pairs = (each + [0] * (longest - len(each)) for each in (last, shifted))
    return [factor * a + b for a, b in zip(*pairs, strict=True)]


_TANH = _lambert(9)  # exact to 1e-18 up to 0.625
_TANH_NEAR_ZERO = 0.625


def _tanh(ctx: Elements, x: Value) -> Value:
    """For float64 in vectors: the C library's takes one number at a time."""
    if x.dtype is not dtypes.float64:
        return ctx.same("tanh", x)
    one, two, size = ctx.like(1.0, x), ctx.like(2.0, x), ctx.same("abs", x)
    grown = ctx.same("exponential", ctx.same("add", size, size))
    far = ctx.same("subtract", one, ctx.same("divide", two, ctx.same("add", grown, one)))
    square = ctx.same("multiply", x, x)
    above, below = (_polynomial(ctx, square, each) for each in _TANH)
    near = ctx.same("divide", ctx.same("multiply", x, above), below)
    is_far = ctx.compare("GT", size, ctx.like(_TANH_NEAR_ZERO, x))
    return ctx.select(is_far, ctx.write("math.copysign", far, x), near)


def _polynomial(ctx: Elements, x: Value, coefficients: Sequence[int]) -> Value:
    total = ctx.like(float(coefficients[-1]), x)
    for each in reversed(coefficients[:-1]):
        total = ctx.same("add", ctx.same("multiply", total, x), ctx.like(float(each), x))
    return total


def _erf(ctx: Elements, x: Value) -> Value:
    return ctx.same("erf", x)


RULES: dict[str, Rule] = {
    **elementwise.RULES,
    **logic.RULES,
    "cast": linear.RULES["cast"],
    "erf": _erf,
    "tanh": _tanh,
}
