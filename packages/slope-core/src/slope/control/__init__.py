"""Operators that hold programs."""

from slope.control.branch import run_branch as run_branch
from slope.control.checkpoint import rematerialize as rematerialize
from slope.control.custom import custom_jvp_call as custom_jvp_call
from slope.control.custom import custom_vjp_call as custom_vjp_call
from slope.control.host import debug_callback as debug_callback
from slope.control.host import debug_print as debug_print
from slope.control.host import host_call as host_call
from slope.control.scan import run_scan as run_scan
from slope.control.while_loop import run_while as run_while
