"""docs/contribute/adding.md: its measure is recorded."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

import depthlab as dl
from depthlab.measures import registry
from tests.docs.pages import DOCS


@pytest.mark.slow
def test_a_measure_of_ones_own_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("my_measures.py").write_text("def spread(x, edge_index):\n    return float(x.std())\n")
    text = (DOCS / "contribute" / "adding.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    request.addfinalizer(lambda: registry.MEASURES.pop("spread", None))  # other modules hold the same dict
    exec(code, {})
    settings: dict[str, Any] = {"dataset.nodes": 60, "trainer.threads": 1}
    run = dl.train(model="gcn", depth=3, dataset="csbm", epochs=2, progress=False, measures=["spread"], **settings)
    assert len(run.curves["spread"]) == 4
    sys.modules.pop("my_measures")
