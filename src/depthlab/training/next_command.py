"""The command to try after a run, by its verdict."""

import shlex
from collections.abc import Sequence

from depthlab.config.schema import Settings

NEXT = {  # verdict -> what to try next, in words and settings
    "healthy": ("twice as many layers", "depth={twice}"),
    "over-smoothed": ("the initial residual, which keeps deep states apart", "model=gcnii"),
    "untrainable": ("residuals, which carry gradients to the first layers", "model=residual_gcn"),
    "over-squashed": ("edges that bring distant nodes nearer", "rewiring=fosr"),
    "over-fitted": ("more dropout", "dropout=0.7"),
    "under-fitted": ("a network that does not average over neighbours, for comparison", "model=mlp"),
    "diverged": ("a smaller learning rate", "lr={tenth}"),
    "unknown": ("the measures that the verdict needs", "measures=[effective_rank,rayleigh_quotient]"),
}
LONGER = ("ten times as many epochs, because early stopping did not end this run", "epochs={longer}")


def next_command(verdict: str, settings: Settings, overrides: Sequence[str], epochs: int) -> str:
    """`the initial residual, ...: depthlab train depth=32 model=gcnii`; empty if there is nothing new to try.

    Args:
        overrides: of the run, as typed.
        epochs: that the run trained.
    """
    if verdict not in NEXT:
        return ""
    words, template = LONGER if verdict == "under-fitted" and epochs >= settings.epochs else NEXT[verdict]
    values = {"twice": 2 * settings.depth, "tenth": f"{settings.lr / 10:g}", "longer": 10 * settings.epochs}
    key, _, value = template.format(**values).partition("=")
    if key == "model" and settings.model.label == value:
        return ""
    typed = dict(text.partition("=")[::2] for text in overrides)
    if key == "model":  # the settings of another model are not its own
        typed = {name: text for name, text in typed.items() if not name.startswith("model.")}
    if typed.get(key) == value:
        return ""
    typed[key] = value
    return f"{words}: {shlex.join(['depthlab', 'train', *(f'{name}={text}' for name, text in typed.items())])}"
