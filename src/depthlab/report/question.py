"""What a study asks, in a sentence."""

import re

import pandas as pd

from depthlab.config.files import config_file

EMPTY = "custom"  # the study without a grid of its own


def question(study: str, runs: pd.DataFrame) -> str:
    """The comment at the top of the study's yaml; without one, a sentence about its methods, graphs and depths."""
    path = config_file("study", study)
    if study != EMPTY and path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = [line.lstrip("# ") for line in lines[: next((k for k, s in enumerate(lines) if s[:1] != "#"), 0)]]
        if comment:
            return re.sub(r"`([^`]*)`", r"\1", " ".join(comment))
    methods, graphs = (list(dict.fromkeys(runs[name])) for name in ("method", "dataset"))
    return f"What happens to {listed(methods)} on {listed(graphs)} {depths_of(sorted(runs['depth'].unique()))}?"


def layers(depth: int) -> str:
    return f"{depth} layer{'s' if depth != 1 else ''}"


def depths_of(depths: list[int]) -> str:
    """`with 8 layers`, or `from 2 to 64 layers`."""
    return f"with {layers(depths[0])}" if len(depths) == 1 else f"from {depths[0]} to {layers(depths[-1])}"


def listed(names: list[str], most: int = 4) -> str:
    """`GCN, GCNII and MLP`; long lists end in a count."""
    if len(names) > most:
        return f"{', '.join(map(str, names[: most - 1]))} and {len(names) - most + 1} more"
    return " and ".join(filter(None, [", ".join(map(str, names[:-1])), str(names[-1])]))
