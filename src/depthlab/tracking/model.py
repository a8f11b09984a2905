"""The weights of a run as a model that MLflow loads: `mlflow.pyfunc.load_model("runs:/RUN_ID/model")`."""

import platform
from pathlib import Path

from mlflow.models import Model

import depthlab
from depthlab.tracking.record import CombinedRecord
from depthlab.tracking.run import TrackedRun

FOLDER = "model"  # of the artifacts of a run
LOADER = "depthlab.api.pyfunc"  # a module; its `_load_pyfunc` gets the path of the checkpoint


def record_model(tracked: TrackedRun | CombinedRecord, checkpoint: Path) -> None:
    """Store a checkpoint with the two files that make it a model of MLflow.

    The model is code of this package and a state_dict: nothing in it is pickled. MLflow's own `log_model` would do the
    same and take seconds, because it loads the model to find out what it needs.

    Args:
        checkpoint: as `depthlab.training.result.final_checkpoint`; it must exist until the run is finished.
    """
    model = Model(artifact_path=FOLDER, run_id=tracked.run_id)
    model.add_flavor(
        "python_function", loader_module=LOADER, data=checkpoint.name, python_version=platform.python_version()
    )
    tracked.file(checkpoint, FOLDER)
    tracked.text(model.to_yaml(), f"{FOLDER}/MLmodel")
    tracked.text(f"depthlab=={depthlab.__version__}\n", f"{FOLDER}/requirements.txt")
