"""Shared by commands and benchmarks: arguments, errors, sites of ini files, progress."""
