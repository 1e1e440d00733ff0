"""Measurements of Kern beside a bare Temporal workflow; `python -m benchmarks` prints them."""
