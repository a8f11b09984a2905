"""`python -m src.sweep ...` is `depthlab sweep ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("sweep")
