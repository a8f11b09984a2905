"""A process of a run that trains with process 0 and leaves everything else to it.

`python -m depthlab.training.follow` is what process 0 starts: settings come by its standard input, its one sentence
goes out by its standard output.
"""

import json
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from depthlab.cli import explain
from depthlab.parallel import end_with
from depthlab.training.place import Place


def follow(settings: dict[str, Any], place: Place, announce: Callable[[], int] | None = None) -> None:
    """Train until process 0 says that it is over.

    Args:
        settings: as for `depthlab.training.run.run`.
        place: of this process.
        announce: as in `depthlab.training.ranks.team_of`.

    Raises:
        UserError: data or checkpoint are not on this machine, or another process has ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # process 0 hears Ctrl-C and says when it is over
    from depthlab.training.checkpoint import without_damaged
    from depthlab.training.device import on_what_is_here
    from depthlab.training.fit import make_fit, quiet_libraries
    from depthlab.training.identity import checkpoint_folder
    from depthlab.training.prepared import prepare, use_threads
    from depthlab.training.ranks import team_of
    from depthlab.training.together import Silent

    quiet_libraries()
    settings = on_what_is_here(settings)
    use_threads(settings["trainer"])
    folder = checkpoint_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    settings = without_damaged(settings, folder)
    with team_of(place, settings, announce) as team:
        assert team is not None, "a run of one process has no follower"
        found = prepare(settings, folder, team)
        fit = make_fit(settings, found.model, found.batches, Silent(), folder, found.identity, team=team)
        if found.content and fit.ended(found.content):
            return
        with team.hearing():
            fit.run(found.model, found.checkpoint)


def _announce() -> int:
    from depthlab.training.ranks import READY

    print(READY, file=sys.__stdout__, flush=True)
    return int(sys.stdin.readline())


def main() -> None:
    """One sentence on standard output if it fails, to be shown by process 0."""
    told = json.loads(sys.stdin.readline())
    end_with(told["parent"])
    sys.stdout = sys.stderr  # what libraries print
    try:
        follow(told["settings"], Place(**told["place"]), _announce)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if explain(error) is None:
            traceback.print_exc()
        with suppress(OSError):  # process 0 may be gone
            print(explain(error) or f"{type(error).__name__}: {error}", file=sys.__stdout__, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
