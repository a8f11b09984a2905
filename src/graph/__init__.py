"""What is done to edges: normalise, drop, describe."""
