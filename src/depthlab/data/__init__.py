"""Raw files, verified, to one graph with splits."""
