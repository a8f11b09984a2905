"""Many runs along depth: the grid, its execution, its statistics."""
