"""Experiments: each file has a `get_config()`; values are read by `neural_computer.build` alone."""
