"""`python -m src.close ...` is `depthlab close ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("close")
