"""The algebra under `slope.dims`: integer polynomials, their bounds and normal forms.

A polynomial is a tuple of (monomial, coefficient), a monomial a sorted tuple of atoms. All
functions are pure and take and give such tuples, so hashing, equality and pickling are a tuple's.

Division by a polynomial takes the quotient that long division gives out of the floor and leaves an
atom ``r // d``. A maximum gives up what its arguments share. Both make equal sizes, written in the
usual different ways, one form; they do not promise it for every identity of floors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from slope.errors import ShapeError


class Atom(NamedTuple):
    """A factor of a monomial; a tuple, so that order, hash, equality and pickle come for free.

    ``kind`` is "dim" (``name`` and ``limits``), "floordiv" (``args`` are numerator and a
    denominator that is at least 1) or "max"; "min" and "mod" occur only while printing, "shift"
    only in bounds.
    """

    kind: str
    name: str = ""
    limits: tuple[int, int | float] = (0, 0)
    args: tuple[Poly, ...] = ()


Monomial: TypeAlias = tuple[Atom, ...]  # sorted, an atom repeated for its power; () is the constant
Poly: TypeAlias = tuple[tuple[Monomial, int], ...]  # largest monomial first, no zero coefficient
Bound: TypeAlias = int | float  # a float is always an infinity

ONE: Poly = (((), 1),)
MAX_POWER = 64  # of an expression: a typing slip must not expand to millions of terms


# Polynomials ------------------------------------------------------------------------------------


def collect(terms: Iterable[tuple[Monomial, int]]) -> Poly:
    total: dict[Monomial, int] = {}
    for mono, c in terms:
        total[mono] = total.get(mono, 0) + c
    kept = [term for term in total.items() if term[1]]
    # Graded lexicographic order: polynomial division needs an order that multiplication keeps.
    kept.sort(key=lambda term: (-len(term[0]), term[0]))
    return tuple(kept)


def const(value: int) -> Poly:
    return (((), value),) if value else ()


def single(atom: Atom) -> Poly:
    return (((atom,), 1),)


def add(*polys: Poly) -> Poly:
    return collect(term for poly in polys for term in poly)


def scale(poly: Poly, c: int) -> Poly:
    return tuple((mono, c * k) for mono, k in poly) if c else ()


def sub(a: Poly, b: Poly) -> Poly:
    return add(a, scale(b, -1))


def mul(a: Poly, b: Poly) -> Poly:
    return collect((tuple(sorted(m + n)), c * k) for m, c in a for n, k in b)


def as_int(poly: Poly) -> int | None:
    """The integer that ``poly`` is, if it has no variable."""
    if not poly:
        return 0
    return poly[0][1] if not poly[0][0] else None


def _quotient(mono: Monomial, factor: Monomial) -> Monomial | None:
    """``mono / factor``, or None where it does not divide."""
    rest = list(mono)
    for atom in factor:
        if atom not in rest:
            return None
        rest.remove(atom)
    return tuple(rest)


def _divide(n: Poly, d: Poly) -> tuple[Poly, Poly]:
    """Polynomials q, r with ``n = q*d + r`` and no term of r divisible by the first term of d."""
    lead, unit = d[0]
    quotient: Poly = ()
    while True:
        for mono, c in n:
            rest = _quotient(mono, lead) if c // unit else None
            if rest is not None:
                step: Poly = ((rest, c // unit),)
                quotient, n = add(quotient, step), sub(n, mul(step, d))
                break
        else:
            return quotient, n


def _split(poly: Poly, atom: Atom) -> tuple[Poly, Poly]:
    """``(c, r)`` with ``poly = c*atom + r`` and no ``atom`` in r."""
    with_atom = [(m[: m.index(atom)] + m[m.index(atom) + 1 :], c) for m, c in poly if atom in m]
    return collect(with_atom), tuple(term for term in poly if atom not in term[0])


def _atoms(poly: Poly, *kinds: str) -> list[Atom]:
    return sorted({atom for mono, _ in poly for atom in mono if atom.kind in kinds})


def variables(poly: Poly) -> Iterator[Atom]:
    for mono, _ in poly:
        for atom in mono:
            if atom.kind == "dim":
                yield atom
            for arg in atom.args:
                yield from variables(arg)


# Bounds -----------------------------------------------------------------------------------------


def _plus(a: Bound, b: Bound) -> Bound:
    return a if isinstance(a, float) else b if isinstance(b, float) else a + b


def _times(a: Bound, b: Bound) -> Bound:
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if a == 0 or b == 0:
        return 0
    return math.inf if (a > 0) == (b > 0) else -math.inf


def _over(a: Bound, b: Bound) -> Bound:
    if isinstance(a, float):
        return a
    return (0 if a >= 0 else -1) if isinstance(b, float) else a // b


def _atom_bounds(atom: Atom, depth: int) -> tuple[Bound, Bound]:
    if not atom.args or atom.kind == "shift":
        return atom.limits
    ranges = [interval(arg, max(depth - 1, 0)) for arg in atom.args]
    if atom.kind == "max":
        return max(lo for lo, _ in ranges), max(hi for _, hi in ranges)
    (lo, hi), (d_lo, d_hi) = ranges
    # The denominator is known to be at least 1 even where this (shallower) look cannot see it.
    d_lo = max(1, d_lo)
    return min(_over(lo, d_lo), _over(lo, d_hi)), max(_over(hi, d_lo), _over(hi, d_hi))


def _interval_low(poly: Poly, depth: int) -> Bound:
    total: Bound = 0
    for mono, c in poly:
        lo: Bound = c
        hi: Bound = c
        for atom in mono:
            a, b = _atom_bounds(atom, depth)
            ends = [_times(x, y) for x in (lo, hi) for y in (a, b)]
            lo, hi = min(ends), max(ends)
        total = _plus(total, lo)
    return total


def _shifted(poly: Poly, depth: int) -> Poly:
    """``poly`` with each atom as ``low + t``, t >= 0: shows that ``b*s - b`` is not negative."""
    swap: dict[Atom, Poly] = {}
    for atom in {atom for mono, _ in poly for atom in mono}:
        lo, hi = _atom_bounds(atom, depth)
        if isinstance(lo, int):
            gap = Atom("shift", limits=(0, _plus(hi, -lo)), args=(single(atom),))
            swap[atom] = add(single(gap), const(lo))
    parts: list[Poly] = []
    for mono, c in poly:
        product = const(c)
        for atom in mono:
            product = mul(product, swap.get(atom, single(atom)))
        parts.append(product)
    return add(*parts)


DEPTH = 3  # atoms replaced in one search for a bound; each more costs a factor of the atoms there


@functools.lru_cache(maxsize=4096)  # the search meets the same polynomials again and again
def lower(poly: Poly, depth: int = DEPTH) -> Bound:
    """A lower bound of ``poly`` (the best of several sound ones; ``depth`` limits the search)."""
    # Without its constant and common factor, so that a bound does not depend on how poly is scaled.
    g = math.gcd(*(c for mono, c in poly if mono))
    primitive = tuple((mono, c // g) for mono, c in poly if mono)
    shift = poly[-1][1] if poly and not poly[-1][0] else 0
    return _plus(_times(_primitive_low(primitive, depth), g), shift) if primitive else shift


def _primitive_low(poly: Poly, depth: int) -> Bound:
    best = _interval_low(poly, depth)
    if all(len(mono) == 1 and mono[0].kind == "dim" for mono, _ in poly):
        return best  # exact: each variable occurs once
    if len(poly[0][0]) > 1:
        best = max(best, _interval_low(_shifted(poly, depth), depth))
    if depth:
        for atom in _atoms(poly, "floordiv", "max"):
            best = max(best, _low_without(poly, atom, depth - 1))
    return best


def _low_without(poly: Poly, atom: Atom, depth: int) -> Bound:
    """A lower bound of ``poly`` through what ``atom`` stands for, -inf where that says nothing."""
    c, rest = _split(poly, atom)
    if any(atom in mono for mono, _ in c):
        return -math.inf
    if atom.kind == "max":
        lows = [lower(add(mul(c, arg), rest), depth) for arg in atom.args]
        # max(args) is at least each argument (which helps if c >= 0) and equal to one of them.
        return max(lows) if lower(c, depth) >= 0 else min(lows)
    n, d = atom.args
    q, left = _divide(c, d)
    unit = 1
    if left:
        if (unit := as_int(d) or 0) == 0:
            return -math.inf
        q, rest = c, scale(rest, unit)
    # n - d + 1 <= d*atom <= n, so q*d*atom is bounded once the sign of q is known.
    if -lower(scale(q, -1), depth) <= 0:
        low = lower(add(mul(q, n), rest), depth)
    elif lower(q, depth) >= 0:
        low = lower(add(mul(q, add(n, scale(d, -1), ONE)), rest), depth)
    else:
        return -math.inf
    return low if isinstance(low, float) else -(-low // unit)


def interval(poly: Poly, depth: int = DEPTH) -> tuple[Bound, Bound]:
    return lower(poly, depth), -lower(scale(poly, -1), depth)


# Normal forms of division and maximum -----------------------------------------------------------


def _cancel(n: Poly, d: Poly) -> tuple[Poly, Poly]:
    """n, d without common factors; for ints g, k: (g*n + k) // (g*d) is (n + k//g) // d."""
    if (value := as_int(d)) is not None:
        g = math.gcd(value, *(c for mono, c in n if mono))
        return collect((mono, c // g) for mono, c in n), const(value // g)
    common = list((n or d)[0][0])
    for mono, _ in n + d:
        common = [a for i, a in enumerate(common) if mono.count(a) > common[:i].count(a)]
    g = math.gcd(*(c for _, c in n + d))
    factor: Poly = ((tuple(common), g),)
    smaller = _divide(d, factor)[0]
    return (_divide(n, factor)[0], smaller) if lower(smaller) >= 1 else (n, d)


def floordiv(n: Poly, d: Poly) -> Poly:
    lo, hi = interval(d)
    if lo <= 0 <= hi:
        raise ShapeError(
            f"cannot divide {to_text(n)} by {to_text(d)}: the divisor may be zero ({known(d)}). "
            f"Declare bounds that exclude zero, such as Dim(name, min=1)."
        )
    if hi < 0:
        n, d = scale(n, -1), scale(d, -1)
    n, d = _cancel(n, d)
    q, r = _divide(n, d)
    value = as_int(d)
    lo, hi = interval(r)
    if value is not None and isinstance(lo, int) and isinstance(hi, int):
        if lo // value == hi // value:
            return add(q, const(lo // value))
    elif lo >= 0 and lower(sub(d, r)) >= 1:
        return q
    smaller = _cancel(r, d)
    if smaller != (r, d):
        return add(q, floordiv(*smaller))
    inner = r[0][0]
    if value is not None and len(inner) == 1 and r[0][1] == 1 and inner[0].kind == "floordiv":
        m, by = inner[0].args
        k, inner_value = as_int(r[1:]), as_int(by)
        if k is not None and inner_value is not None:  # (m//a + k)//c is (m + a*k)//(a*c)
            return add(q, floordiv(add(m, const(k * inner_value)), scale(by, value)))
    return add(q, single(Atom("floordiv", args=(r, d))))


def mod(n: Poly, d: Poly) -> Poly:
    return sub(n, mul(d, floordiv(n, d)))


def _without_inner_max(args: Iterable[Poly]) -> list[Poly]:
    """``max(k*max(a, b) + p, c)`` is ``max(k*a + p, k*b + p, c)`` for k > 0."""
    done: list[Poly] = []
    todo = list(args)
    while todo:
        poly = todo.pop()
        for atom in _atoms(poly, "max"):
            k, rest = _split(poly, atom)
            if (value := as_int(k)) is not None and value > 0:
                todo += [add(scale(arg, value), rest) for arg in atom.args]
                break
        else:
            done.append(poly)
    return sorted(set(done))


def maximum(args: Iterable[Poly]) -> Poly:
    flat = _without_inner_max(args)
    for poly in list(flat):
        if any(other != poly and lower(sub(other, poly)) >= 0 for other in flat):
            flat.remove(poly)
    if len(flat) == 1:
        return flat[0]
    # What all arguments share comes out, and so does the common factor: max(2*b + 2, 6) is
    # 2*max(b, 2) + 2. It also makes max(-a, -b) and -min(a, b) one form.
    coefficients = [dict(poly) for poly in flat]
    monos = {mono for poly in flat for mono, _ in poly}
    shared = collect((m, min(table.get(m, 0) for table in coefficients)) for m in monos)
    flat = [sub(poly, shared) for poly in flat]
    g = math.gcd(*(c for poly in flat for _, c in poly))
    flat = sorted(tuple((mono, c // g) for mono, c in poly) for poly in flat)
    again = _without_inner_max(flat)
    inner = maximum(again) if again != flat else single(Atom("max", args=tuple(flat)))
    return add(shared, scale(inner, g))


def minimum(args: Iterable[Poly]) -> Poly:
    return scale(maximum(scale(poly, -1) for poly in args), -1)


# Printing ---------------------------------------------------------------------------------------


def _other_name(atom: Atom) -> tuple[Poly, Atom]:
    """A polynomial in ``atom`` and the atom that it reads better as: a remainder or a minimum."""
    if atom.kind == "floordiv":
        n, d = atom.args
        return sub(n, mul(d, single(atom))), Atom("mod", args=atom.args)
    tables = [dict(poly) for poly in atom.args]
    monos = {mono for table in tables for mono in table}
    top = collect((mono, max(table.get(mono, 0) for table in tables)) for mono in monos)
    return sub(top, single(atom)), Atom("min", args=tuple(sub(top, arg) for arg in atom.args))


def _folded(poly: Poly) -> Poly:
    """``poly`` for reading: with remainders and minima wherever they save a term."""
    for atom in _atoms(poly, "floordiv", "max"):
        form, name = _other_name(atom)
        lead, unit = next(term for term in form if atom in term[0])
        for mono, c in poly:
            rest = _quotient(mono, lead)
            if rest is None or c % unit:
                continue
            step: Poly = ((rest, c // unit),)
            shorter = add(poly, mul(step, sub(single(name), form)))
            if len(shorter) < len(poly):
                return _folded(shorter)
    return poly


def _reading_order(args: Iterable[Poly]) -> list[Poly]:
    return sorted(args, key=lambda poly: (as_int(poly) is not None, poly))


def _atom_text(atom: Atom) -> str:
    if atom.kind == "dim":
        return atom.name
    if atom.kind in ("max", "min"):
        return f"{atom.kind}({', '.join(to_text(arg) for arg in _reading_order(atom.args))})"
    n, d = atom.args
    left, right = to_text(n), to_text(d)
    left = f"({left})" if len(_folded(n)) > 1 else left
    right = right if right.isalnum() or right.isidentifier() else f"({right})"
    return f"({left} {'//' if atom.kind == 'floordiv' else '%'} {right})"


def to_text(poly: Poly) -> str:
    terms = list(_folded(poly))
    first = next((i for i, (_, c) in enumerate(terms) if c > 0), 0)
    terms.insert(0, terms.pop(first)) if terms else None
    out = ""
    for mono, c in terms:
        powers = {_atom_text(a): mono.count(a) for a in mono}
        factors = [text if p == 1 else f"{text}**{p}" for text, p in powers.items()]
        if abs(c) != 1 or not mono:
            factors.insert(0, str(abs(c)))
        sign = (" - " if c < 0 else " + ") if out else ("-" if c < 0 else "")
        out += sign + "*".join(factors)
    return out or "0"


def known(*polys: Poly) -> str:
    """What was declared of the variables, for messages: ``1 <= batch, 2 <= seq <= 8``."""
    seen = sorted({atom for poly in polys for atom in variables(poly)})
    said = [
        f"{a.limits[0]} <= {a.name}" + ("" if a.limits[1] == math.inf else f" <= {a.limits[1]}")
        for a in seen
    ]
    return "known: " + ", ".join(said)
