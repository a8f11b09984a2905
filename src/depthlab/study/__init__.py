"""Many runs along depth: a grid, its execution, its statistics."""
