"""`python -m src.examine ...` is `depthlab examine ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("examine")
