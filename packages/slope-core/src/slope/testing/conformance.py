"""The conformance kit as tests: ``pytest --pyargs slope.testing.conformance --slope-backend NAME``.

One test for each operator, each group of meaning rules and each buffer rule. ``--slope-backend``
may be given several times; ``--slope-fast`` runs a few cases of each operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.plugins.selection import backend as backend_named
from slope.testing.buffers import CALLS, RULES, Bench, run_rule
from slope.testing.cases import all_operators
from slope.testing.kit import conformance, is_slow
from slope.testing.meaning import GROUPS, meaning_cases
from slope.testing.runner import FAILED, UNSUPPORTED, Outcome, run_cases


def pytest_generate_tests(metafunc: Any) -> None:
    """One test for each backend and operator or rule."""
    given = metafunc.config.getoption("slope_backend", default=None) or []
    wanted = set(metafunc.fixturenames)
    if "slope_backend" in wanted:
        metafunc.parametrize("slope_backend", given)
    if "operator" in wanted:
        metafunc.parametrize("operator", [op.name for op in all_operators()])
    if "meaning" in wanted:
        metafunc.parametrize("meaning", GROUPS)
    if "buffer_rule" in wanted:
        metafunc.parametrize("buffer_rule", list(RULES))


_slow: dict[str, bool] = {}


def test_operator(slope_backend: str, operator: str, pytestconfig: Any) -> None:
    """An operator's samples in every dtype and under every transform."""
    fast = bool(pytestconfig.getoption("slope_fast", default=False))
    if slope_backend not in _slow:
        _slow[slope_backend] = is_slow(backend_named(slope_backend))
    thorough = not fast and not _slow[slope_backend]
    judge(conformance(slope_backend, [operator], fast=fast, thorough=thorough).outcomes)


def test_meaning(slope_backend: str, meaning: str) -> None:
    """A group of meaning rules."""
    judge(run_cases([case for case in meaning_cases() if case.group == meaning], slope_backend))


def test_buffers(slope_backend: str, buffer_rule: str, pytestconfig: Any) -> None:
    """A buffer rule."""
    fast = bool(pytestconfig.getoption("slope_fast", default=False))
    bench = Bench(backend_named(slope_backend), CALLS // 10 if fast else CALLS)
    judge([run_rule(bench, buffer_rule, RULES[buffer_rule])])


def judge(outcomes: Sequence[Outcome]) -> None:
    """Fail where a case failed, skip where all are declared unsupported or there is none.

    Raises:
        AssertionError: a case failed; says which and why.
    """
    failed = [f"{each.label}: {each.message}" for each in outcomes if each.status == FAILED]
    assert not failed, "\n".join([f"{len(failed)} of {len(outcomes)} cases fail:", *failed[:20]])
    if all(each.status == UNSUPPORTED for each in outcomes):
        import pytest

        told = {each.message for each in outcomes}
        pytest.skip("; ".join(sorted(told)[:3]) or "no cases")
