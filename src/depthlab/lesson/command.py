"""`depthlab lesson`: train five small networks, and write a page that explains why deep networks collapse.

    depthlab lesson                       on Cora; if it cannot be downloaded, on dataset=digits
    depthlab lesson epochs=50             quicker, but trains the networks less

Under three minutes on two cores. The runs are ordinary runs, recorded in the experiment `lesson` of your store; a run
that has already finished is not repeated. The page is results/lesson/lesson.html: one file, which works offline.

dataset=cora | digits                     the graph
epochs=200                                largest number of epochs, the same for all networks
tracking.uri=URI                          where to record (default: MLFLOW_TRACKING_URI, or mlflow.db in this folder)
open=true                                 open the page in a browser, if there is one and the output is a terminal
"""

import os
import sys
import webbrowser

from depthlab.cli import guarded
from depthlab.config.command_line import for_hydra, read_words
from depthlab.config.compose import compose_settings
from depthlab.config.errors import UnavailableError, UserError
from depthlab.study.command import planned

EXPERIMENT = "lesson"
GRAPHS = ("cora", "digits")
EPOCHS = 200
REWIRING = ("rewiring=fosr", "rewiring.num_edges=200")  # of all rewirings it brings remote nodes nearest
PAGE = "lesson.html"
SETTINGS = {"dataset": "", "epochs": str(EPOCHS), "tracking.uri": "", "open": "true"}


def main() -> None:
    """Check what was typed, train what has no result yet, and write the page."""
    settings = read_words(sys.argv[1:], SETTINGS)
    opened, dataset = settings["open"], settings["dataset"]
    if opened not in ("true", "false"):
        raise UserError(f"open must be true or false, got {opened}")
    if dataset and dataset not in GRAPHS:
        raise UserError(f"the lesson's dataset must be one of {', '.join(GRAPHS)}, got {dataset}")
    dataset = dataset or available()
    name = f"{EXPERIMENT}-{dataset}"
    typed = [f"dataset={dataset}", f"tracking.experiment={EXPERIMENT}", f"name={name}", "study=lesson"]
    if settings["epochs"] != str(EPOCHS):
        typed.append(f"epochs={settings['epochs']}")
    if settings["tracking.uri"]:
        typed.append(f"tracking.uri={settings['tracking.uri']}")
    config, runs = planned(for_hydra(typed))

    from depthlab.files import atomic_write
    from depthlab.lesson.content import read_lesson
    from depthlab.lesson.facts import facts
    from depthlab.lesson.page import page
    from depthlab.study.methods import results_folder
    from depthlab.study.run import run_study
    from depthlab.tracking.search import Records
    from depthlab.tracking.ui import how_to_compare

    complete = run_study(name, runs, config)
    print("drawing the page", file=sys.stderr)
    records = Records(runs[0].settings.tracking.store, EXPERIMENT, create=False)
    rewired = compose_settings([f"dataset={dataset}", "model=gcn", *REWIRING])
    lesson = read_lesson(records, name, runs, rewired)
    path = results_folder(EXPERIMENT) / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as part:
        part.write_text(page(lesson), encoding="utf-8")
    for sentence in facts(lesson):
        print(f"  {sentence}")
    print(f"the lesson:     {path}")
    print(f"its runs:       {how_to_compare(records.uri, records.experiment_id, name)}")
    print(f"what is next:   depthlab train dataset={dataset} model=gcnii depth=64, or depthlab study for several seeds")
    if opened == "true" and has_browser():
        webbrowser.open(path.resolve().as_uri())
    sys.exit(0 if complete else 1)


def available() -> str:
    """`cora` if its files are there or can be fetched, else `digits`, which needs none."""
    from depthlab.data.raw import check

    try:
        check(compose_settings(["dataset=cora"]).dataset)
    except UserError:
        from depthlab.data.fetch import MIRROR, fetch, files_of, mirror, upstream

        own = os.environ.get(MIRROR)
        try:
            fetch(files_of("cora"), [*([mirror(own)] if own else []), upstream()])
        except UnavailableError:
            print("Cora cannot be downloaded: the lesson uses dataset=digits, which needs no download", file=sys.stderr)
            return "digits"
    return "cora"


def has_browser() -> bool:
    """Whether the output is a terminal and a browser with windows can open."""
    windows = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(windows)


def command() -> None:
    """Run `main` as a command; ends the process."""
    guarded(main)
