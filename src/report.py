"""`python -m src.report ...` is `depthlab report ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("report")
