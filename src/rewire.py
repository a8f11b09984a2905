"""`python -m src.rewire ...` is `depthlab rewire ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("rewire")
