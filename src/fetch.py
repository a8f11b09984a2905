"""`python -m src.fetch ...` is `depthlab fetch ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("fetch")
