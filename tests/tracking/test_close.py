"""A run is closed by its id, unless its process is alive."""

import re
import sys

import pytest

from depthlab.config.errors import UserError
from depthlab.tracking.close import close, main
from depthlab.tracking.owner import OWNER, owner
from depthlab.tracking.search import Records
from tests.tracking.conftest import Start


def test_a_run_is_closed_unless_its_process_is_alive(
    records: Records, start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = start().run_id
    assert records.runs()[0].tags[OWNER] == owner()
    with pytest.raises(UserError, match=f"^the run {run_id} is still running: stop process .* first$"):
        close(records, run_id)
    records.tag(run_id, OWNER, "node7/1 1 1")
    monkeypatch.setattr(sys, "argv", ["close", run_id, "--uri", records.uri, "--experiment", "mine"])
    main()
    assert capsys.readouterr().out == f"the run {run_id} is closed\n"
    assert (records.runs()[0].status, records.runs()[0].tags["outcome"]) == ("KILLED", "interrupted")
    with pytest.raises(UserError, match="has ended already, with status KILLED"):
        main()
    records.delete(run_id)
    for gone in (run_id, "0" * 32, "nonsense"):
        with pytest.raises(UserError, match=f"^there is no run {gone} in {re.escape(records.uri)}$"):
            close(records, gone)
