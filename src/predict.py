"""`python -m src.predict ...` is `depthlab predict ...`."""

from depthlab.__main__ import run

if __name__ == "__main__":
    run("predict")
