"""What loops and checkpoints keep for their gradients."""

from array_checks import close, draw

import slope
from slope.core.printer import programs_in
from slope.extend import Program


def all_instrs(program: Program):
    """The instructions of a program and of those that it holds."""
    for instr in program.instrs:
        yield instr
        for nested in programs_in(list(instr.params.values())):
            yield from all_instrs(nested)


def optimized(function, *args):
    return slope.jit(function).lower(*args).program


def of(program, name):
    return [instr for instr in program.instrs if instr.op.name == name]


W, XS, H0 = draw(3, 3) * 0.5, draw(5, 3, seed=1), slope.ones(3)


def test_the_gradient_of_a_scan_stacks_what_it_needs_alone():
    def value(w, xs, h):
        def step(h, x):
            return slope.sin(h) @ (w @ w) + x * slope.exp(w[0]), None

        return slope.scan(step, h, xs)[0].sum()

    program = optimized(slope.grad(value, argnums=(0, 2)), W, XS, H0)
    forward, back = of(program, "run_scan")
    stacked = [each.type.shape for each in forward.outputs[forward.params["carries"] :]]
    assert sorted(stacked) == [(5, 3), (5, 3)]  # sin(h) and cos(h); neither w, w @ w nor exp(w[0])
    assert back.params["reverse"]
    assert (
        sum(1 for instr in all_instrs(program) if instr.op.name == "exp") <= 2
    )  # once in the loop, once before it


def test_a_scan_of_cotangents_stacks_nothing_for_linear_bodies():
    program = optimized(
        slope.grad(lambda h: slope.scan(lambda h, x: (W @ h + x, h), h, XS)[0].sum()), H0
    )
    assert [len(instr.outputs) for instr in of(program, "run_scan")] == [
        1
    ]  # the loop back alone: no residuals, no forward loop


def test_results_that_nothing_reads_are_not_stacked():
    program = optimized(
        lambda h: slope.scan(lambda c, x: ((c[0] + x, c[1] * 2), (c[0], c[1])), (h, h), XS)[0][0],
        H0,
    )
    (instr,) = of(program, "run_scan")
    assert len(instr.outputs) == 1
    assert len(list(instr.params["body"].outputs)) == 1


def test_checkpoint_computes_again(backend):
    def layer(x):
        return slope.sin(slope.sin(slope.sin(x)))

    plain = lambda x: layer(layer(x)).sum()  # noqa: E731  # two short functions side by side
    saving = lambda x: slope.checkpoint(layer)(slope.checkpoint(layer)(x)).sum()  # noqa: E731  # as above
    x = draw(4)
    close(slope.jit(slope.grad(saving))(x), slope.grad(plain)(x))
    close(slope.grad(saving)(x), slope.grad(plain)(x))
    close(slope.jit(slope.hessian(saving))(x), slope.hessian(plain)(x), 1e-4)
    close(
        slope.jit(slope.vmap(slope.grad(saving)))(draw(2, 4)),
        slope.vmap(slope.grad(plain))(draw(2, 4)),
    )

    def sines(f):
        return sum(
            1
            for instr in all_instrs(optimized(slope.value_and_grad(f), x))
            if instr.op.name == "sin"
        )

    assert sines(plain) == 6
    assert sines(saving) == 6 + 4  # each derivative computes two sines of its layer again
    from slope.lowering import lower_program

    lowered = lower_program(
        slope.jit(slope.value_and_grad(saving)).trace(x), slope.backend(backend)
    )
    assert lowered.count("sin") == 10
    assert lowered.count("optimization_barrier") == 2


def test_checkpoint_in_a_scan_keeps_the_carries_alone():
    def step(h, x):
        return slope.tanh(slope.tanh(W @ h + x) * x), None

    def stacked(f):
        program = optimized(slope.grad(lambda h: slope.scan(f, h, XS)[0].sum()), H0)
        forward = of(program, "run_scan")[0]
        return len(forward.outputs) - forward.params["carries"]

    assert stacked(step) >= 2
    assert stacked(slope.checkpoint(step)) == 1
    close(
        slope.jit(slope.grad(lambda h: slope.scan(slope.checkpoint(step), h, XS)[0].sum()))(H0),
        slope.grad(lambda h: slope.scan(step, h, XS)[0].sum())(H0),
    )
