"""`python -m src.lesson ...` is `depthlab lesson ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("lesson")
