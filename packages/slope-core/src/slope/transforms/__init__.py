"""Transforms of flat lists of tensors and of programs: jvp, linearize, transpose, vmap."""
