"""`python -m src.study ...` is `depthlab study ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("study")
