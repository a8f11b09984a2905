"""torch and Lightning without what no run uses, in processes of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

from depthlab.folders import SOURCE

START = """
import sys
from depthlab.config.compose import compose_settings
from depthlab.lean import import_lightning, may_be_lean
settings = compose_settings({overrides})
if may_be_lean(settings):
    import_lightning()
"""
TRAIN = """
import torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([weight])
torch.utils.checkpoint.checkpoint(lambda x: x.sum(), weight, use_reentrant=False).backward()
optimizer.step()
"""


def imported(code: str, *overrides: str) -> str:
    """What the code prints at its end."""
    script = START.format(overrides=list(overrides)) + code
    done = subprocess.run([sys.executable, "-c", script], cwd=SOURCE, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.slow
def test_training_imports_neither_the_compiler_nor_optional_libraries() -> None:
    unused = ["sympy", "torch._dynamo.config", "matplotlib", "scipy", "torch_geometric", "mlflow"]
    assert imported(f"{TRAIN}\nprint([name for name in {unused} if name in sys.modules])") == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "use",
    [
        "compiled = torch.compile(lambda x: x + 1, backend='eager')",
        "import torch._dynamo.config; compiled = torch.compile(lambda x: x + 1, backend='eager')",
        "assert not torch._dynamo.config.verbose; compiled = torch.compile(lambda x: x + 1, backend='eager')",
    ],
)
def test_the_compiler_is_imported_where_it_is_used(use: str) -> None:
    same = "sys.modules['torch._dynamo.config'] is torch._dynamo.config"
    assert imported(f"{TRAIN}\n{use}\nprint(float(compiled(torch.zeros(()))), {same})") == "1.0 True"


@pytest.mark.slow
def test_a_class_of_the_user_finds_everything(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("import torch\n\nclass Net(torch.nn.Linear):\n    pass\n")
    target = f"model.target={tmp_path / 'net.py'}:Net"
    assert imported("import torchmetrics.utilities.plot as p; print(p.plt.__name__)", "model=module", target) == (
        "matplotlib.pyplot"
    )


@pytest.mark.slow
def test_libraries_are_found_again_afterwards() -> None:
    code = "from lightning_utilities.core.imports import RequirementCache, package_available\n"
    assert imported(f"{code}print(package_available('scipy'), bool(RequirementCache('scipy')))") == "True True"
