"""Other edges than the graph's own to propagate over: one pure function a file."""
