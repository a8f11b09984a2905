"""What the lesson has shown, in three plain sentences from the recorded numbers."""

from depthlab.lesson.content import Lesson, Network
from depthlab.measures.diagnosis import shown

GCNII, DROPPED = "GCNII 32", "GCN 32 + DropEdge"


def facts(lesson: Lesson) -> list[str]:
    """At most three sentences; one is left out if its network has no result."""
    plain = [network for network in lesson.networks if network.name.startswith("GCN ") and network.name != DROPPED]
    sentences = [f"A plain GCN: {_scores(plain)}. A random guess: {100 * lesson.guess:.1f} %."] if plain else []
    deepest = max(plain, key=lambda network: network.depth, default=None)
    if deepest and (inside := _inside(deepest)):
        sentences.append(f"Inside {deepest.name} ({deepest.mark}): {inside}.")
    others = {GCNII: "GCNII", DROPPED: "a GCN with DropEdge"}
    known = [f"{text} {lesson.found[name].score_text} ({lesson.found[name].mark})" for name, text in others.items()
             if name in lesson.found]  # fmt: skip
    if known:
        sentences.append(f"Two remedies with 32 layers: {', '.join(known)}.")
    return sentences


def untrained(lesson: Lesson) -> str:
    """A sentence about the networks whose first epoch was their best; empty if there is none."""
    names = [network.name for network in lesson.networks if network.best_epoch == 0 and network.epochs > 1]
    if not names:
        return ""
    return (
        f"Training did not help {' and '.join(names)}: on the validation nodes no later epoch was better than the"
        " first. So the tested weights are nearly untrained."
    )


def _scores(networks: list[Network]) -> str:
    return ", ".join(f"{network.score_text} with {network.depth} layers" for network in networks)


def _inside(network: Network) -> str:
    quotient, rank = network.inner("rayleigh_quotient"), network.inner("effective_rank")
    if not quotient or not rank:
        return ""
    last = max(1, network.depth - 1)
    return (
        f"from layer 1 to layer {last} the difference between neighbours goes from {shown(quotient[0], '.2g')} to"
        f" {shown(quotient[1], '.2g')} (Rayleigh quotient, 0 = equal), and the states span {rank[1]:.1f} directions"
        f" instead of {rank[0]:.0f}"
    )
