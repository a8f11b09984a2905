"""`python -m src.ui ...` is `depthlab ui ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("ui")
