"""Hyperparameter search with Optuna: pruned, resumable, parallel, and tested on fresh seeds."""
