"""`python -m src.trust ...` is `depthlab trust ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("trust")
