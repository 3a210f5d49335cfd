"""How much memory calls take, and how often from the system."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from slope_backend_iree import memory

FAULTS = """
import resource
import numpy as np
import slope

slope.set_backend("iree")
x = slope.tensor(np.ones((2048, 2048), np.float32))

@slope.jit
def step(x):  # some 100 MB of scratch memory
    return slope.sum(slope.stack([slope.tanh(x + i) @ x for i in range(6)], 0), 0)[:1]

for _ in range(2):
    step(x).numpy()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step(x).numpy()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


RELEASED = """
import numpy as np
from slope_backend_iree import memory

def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096

assert memory.tune_allocator()
taken = [np.ones(1 << 17) for _ in range(200)]  # 200 MB, in blocks
kept = [taken[0], taken[-1]]
del taken
before = resident()
memory.release_freed()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is tuned")
def test_freed_memory_can_be_given_back():
    command = [sys.executable, "-c", RELEASED]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout) > 100e6


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is tuned")
def test_scratch_memory_is_kept_from_call_to_call():
    def faults(**settings: str) -> int:
        environment = {**os.environ, **settings}
        command = [sys.executable, "-c", FAULTS]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return int(run.stdout)

    assert faults() < 1000
    assert faults(SLOPE_IREE_MALLOPT="0") > 10000


def test_the_allocator_can_be_left_alone(monkeypatch):
    memory.tune_allocator.cache_clear()
    monkeypatch.setenv("SLOPE_IREE_MALLOPT", "0")
    assert not memory.tune_allocator()
    assert not memory.release_freed()
    memory.tune_allocator.cache_clear()
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    monkeypatch.delenv("SLOPE_IREE_MALLOPT")
    assert not memory.tune_allocator()
    memory.tune_allocator.cache_clear()
