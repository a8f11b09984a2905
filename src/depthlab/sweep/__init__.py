"""Optuna over the knobs that hold a deep network together: pruned, resumable, parallel, and tested on fresh seeds."""
