"""`python -m src.rewired_edges ...` is `depthlab rewired_edges ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("rewired_edges")
