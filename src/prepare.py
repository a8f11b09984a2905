"""`python -m src.prepare ...` is `depthlab prepare ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("prepare")
