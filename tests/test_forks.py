"""Forked children compute, whatever the parent's other threads were doing."""

import contextlib
import gc
import os
import threading
import time
from importlib import import_module

import pytest

import slope
from slope.core import tensor
from slope.core.trace import paused_collection
from slope.functions.random import default_generator
from slope.plugins import contributions, selection
from slope.plugins.manager import MANAGER

compiling = import_module("slope.compile")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(function, seconds=60):
    """What a function returns, an int below 256, in a forked child."""
    child = os.fork()
    if child == 0:
        code = 255
        try:
            code = function()
        finally:
            os._exit(code)
    for _ in range(seconds * 100):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def work():
    loss = slope.jit(lambda x: (slope.tanh(x) * slope.rand(3)).sum())
    value, gradient = slope.value_and_grad(loss)(slope.zeros(3))
    return 7 if value.item() == 0 and gradient.shape == (3,) else 1


LOCKS = [
    compiling._compiling,
    tensor._adoption,
    paused_collection._lock,
    default_generator.lock,
    contributions._lock,
    selection._lock,
    MANAGER._lock,
]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # from Python 3.12 on
def test_a_child_works_while_another_thread_of_its_parent_holds_every_lock(backend):
    work()
    held, done = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            stack.enter_context(paused_collection())
            for lock in LOCKS:
                stack.enter_context(lock)
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(60)
        assert in_child(work) == 7
        assert in_child(gc.isenabled) == 1
    finally:
        done.set()
        thread.join()


def test_children_draw_numbers_of_their_own_unless_seeded():
    def drawn():
        return int(slope.random.bits(default_generator.draw(), (1,)).item()) % 251

    with slope.use_backend("numpy"):
        mark, default_generator._is_seeded = default_generator._is_seeded, False
        try:
            fresh = {in_child(drawn) for _ in range(8)}
            default_generator.manual_seed(3)
            alike = {in_child(drawn) for _ in range(3)}
        finally:
            default_generator._is_seeded = mark
    assert len(fresh) > 1
    assert len(alike) == 1
