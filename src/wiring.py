"""`python -m src.wiring ...` is `depthlab wiring ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("wiring")
