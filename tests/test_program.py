"""What a hash of code covers."""

import ast
from pathlib import Path

import pytest

from src import program as module
from src.program import program, sources

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
    monkeypatch.setattr(module, "ROOT", tmp_path)
    files = {
        "src/a/one.py": "from src.a.two import f\nfrom src.c.four import g\nimport torch",
        "src/a/two.py": "from src.b import three\nimport src.a.one",
        "src/b/three.py": "import math",
        "src/c/four.py": "",
        "src/ab/five.py": "",
        "src/a/six.py": "from src.ab.five import h",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def found(start: str) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in sources(start, ("src.a", "src.b"))]

    assert found("src.a.one") == ["src/a/one.py", "src/a/two.py", "src/b/three.py"]
    assert found("src.b.three") == ["src/b/three.py"]
    assert found("src.a.six") == ["src/a/six.py"]
