"""What a hash of code covers."""

import ast
from pathlib import Path

import pytest

from depthlab.config import program as module
from depthlab.config.program import program, sources

WRITTEN = '"""Words."""\n\n\ndef twice(x):\n    """More words."""\n    return 2 * x  # a comment\n'


def test_words_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(WRITTEN)
    before = ast.unparse(program(path))
    assert before == "def twice(x):\n    return 2 * x"
    path.write_text(WRITTEN.replace("ords", "hatever").replace("  # a comment", ""))
    assert ast.unparse(program(path)) == before
    path.write_text(WRITTEN.replace("2 *", "3 *"))
    assert ast.unparse(program(path)) != before


def test_sources_are_a_module_and_what_it_imports_from_some_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SOURCE", tmp_path)
    files = {
        "code/a/one.py": "from code.a.two import f\nfrom code.c.four import g\nimport torch",
        "code/a/two.py": "from code.b import three\nimport code.a.one",
        "code/b/three.py": "import math",
        "code/c/four.py": "",
        "code/ab/five.py": "",
        "code/a/six.py": "from code.ab.five import h",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def found(start: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in sources(start, ("code.a", "code.b"))]

    assert found("code.a.one") == ["code/a/one.py", "code/a/two.py", "code/b/three.py"]
    assert found("code.b.three") == ["code/b/three.py"]
    assert found("code.a.six") == ["code/a/six.py"]
