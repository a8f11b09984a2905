"""See, measure and beat what happens to a graph neural network as it grows deeper."""
