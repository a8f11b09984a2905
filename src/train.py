"""`python -m src.train ...` is `depthlab train ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("train")
