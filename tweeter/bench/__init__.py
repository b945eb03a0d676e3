"""Benchmarks, as ratios of contenders that are measured side by side in one run."""
