"""Benchmarks: python -m launch.bench --suite=NAME. A suite is a file of this folder."""
