"""Architectures, one per file, and what runs them."""
