"""Store the weights of a run as an MLflow model: `mlflow.pyfunc.load_model("runs:/RUN_ID/model")`."""

import platform
from pathlib import Path

import depthlab
from depthlab.tracking.record import CombinedRecord
from depthlab.tracking.run import TrackedRun

FOLDER = "model"  # artifact folder of a run
LOADER = "depthlab.api.pyfunc"  # module whose `_load_pyfunc` gets the path of the checkpoint


def record_model(tracked: TrackedRun | CombinedRecord, checkpoint: Path) -> None:
    """Store a checkpoint with the two files of an MLflow model.

    The model consists of a state_dict and the code of this package, so nothing is pickled. MLflow's `log_model` would
    take seconds, because it loads the model to infer its requirements.

    Args:
        checkpoint: as `depthlab.training.result.final_checkpoint`; the file must exist until the run is finished.
    """
    from mlflow.models import Model

    model = Model(artifact_path=FOLDER, run_id=tracked.run_id)
    model.add_flavor(
        "python_function", loader_module=LOADER, data=checkpoint.name, python_version=platform.python_version()
    )
    tracked.file(checkpoint, FOLDER)
    tracked.text(model.to_yaml(), f"{FOLDER}/MLmodel")
    tracked.text(f"depthlab=={depthlab.__version__}\n", f"{FOLDER}/requirements.txt")
