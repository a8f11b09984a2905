"""What is done to edges: normalise, drop, rewire, describe."""
