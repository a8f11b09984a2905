"""The weights of a run as a model of MLflow."""

from pathlib import Path

import yaml

from depthlab.tracking.model import record_model
from depthlab.tracking.search import Records
from tests.tracking.conftest import Start


def test_the_folder_of_a_model(records: Records, start: Start, tmp_path: Path) -> None:
    tracked = start()
    (tmp_path / "final.ckpt").write_text("weights")
    record_model(tracked, tmp_path / "final.ckpt")
    tracked.finish("FINISHED", "finished")
    anywhere = Records(records.uri, None, create=False)
    assert anywhere.run(tracked.run_id) is not None and anywhere.experiment_id == ""
    (tmp_path / "copy").mkdir()
    path = anywhere.file(tracked.run_id, "model/MLmodel", tmp_path / "copy")
    assert path is not None and anywhere.file(tracked.run_id, "model/nothing", tmp_path) is None
    flavor = yaml.safe_load(path.read_text())["flavors"]["python_function"]
    assert (flavor["loader_module"], flavor["data"]) == ("depthlab.api.pyfunc", "final.ckpt")
