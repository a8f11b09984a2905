"""Faults injected on purpose: every test here counts what it tried and what survived.

make test ARGS="-m faults"  (make test-all has them too)
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

Tally = Callable[[str, bool], None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Counts one try of a kind of fault and whether it was survived; shown at the end, and lost ones fail the test."""
    lost: list[str] = []

    def count(kind: str, survived: bool) -> None:
        request.node.user_properties.append(("fault", f"{kind}|{int(survived)}"))
        if not survived:
            lost.append(kind)

    request.addfinalizer(lambda: pytest.fail(f"not survived: {', '.join(lost)}") if lost else None)
    return count


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tried: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") != "call":
                continue
            for name, value in report.user_properties:
                if name == "fault":
                    kind, _, passed = str(value).partition("|")
                    tried[kind] += 1
                    survived[kind] += int(passed)
    for kind in sorted(tried):
        terminalreporter.write_line(f"{kind}: {survived[kind]} of {tried[kind]} survived")
