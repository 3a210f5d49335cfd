"""The core: types, operators, programs, traces and tensors."""
