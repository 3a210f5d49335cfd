"""Checks for authors of operators and backends; nothing here is imported by slope itself."""

from slope.testing.operators import check_batching as check_batching
from slope.testing.operators import check_derivatives as check_derivatives
from slope.testing.operators import check_operator as check_operator
from slope.testing.operators import check_types as check_types
from slope.testing.operators import check_values as check_values
from slope.testing.operators import tolerance as tolerance
