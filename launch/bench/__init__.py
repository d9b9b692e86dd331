"""Benchmarks: neural-computer bench --suite=NAME. A suite is a file of this folder."""
