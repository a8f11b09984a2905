"""A page as a parser and as a real browser see it."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OFFLINE = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1600,1000", "--virtual-time-budget=15000", "--dump-dom",
]  # fmt: skip
# A window of Chromium is at least 500 pixels wide, a frame may be as narrow as a phone.
FRAME = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body style="margin:0"><script>
addEventListener("message", (event) => {
  const box = document.createElement("pre");
  box.textContent = event.data;
  document.body.append(box);
});
</script><iframe src="page.html" style="width:WIDTHpx;height:900px;border:0"></iframe>"""


class Parsed(HTMLParser):
    """Tags with their attributes, and the text below each kind of tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        self.texts = {tag: [text.strip() for text in texts] for tag, texts in self.texts.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts[self.tags[-1][0]][-1] += data

    def script(self, key: str) -> str:
        """The script with this id."""
        scripts = [attributes for tag, attributes in self.tags if tag == "script"]
        return self.texts["script"][next(k for k, a in enumerate(scripts) if a.get("id") == key)]


def browse(html: str, script: Path, folder: Path, width: int) -> dict[str, Any]:
    """Open a page in a frame of `width` pixels, without a network.

    Args:
        script: runs in the page, and sends what it found to the parent window as JSON.
    """
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        if os.environ.get("CI"):
            pytest.fail("a browser is needed to test the page: install chromium")
        pytest.skip("no chromium here to open the page in")
    (folder / "page.html").write_text(html.replace("<head>", f"<head><script>{script.read_text()}</script>", 1))
    (folder / "frame.html").write_text(FRAME.replace("WIDTH", str(width)))
    place = [f"--user-data-dir={folder / 'profile'}", (folder / "frame.html").as_uri()]
    done = subprocess.run([browser, *OFFLINE, *place], capture_output=True, text=True, timeout=120, check=True)
    boxes = Parsed(done.stdout).texts.get("pre")
    assert boxes, f"the page did not get to its end: {done.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(boxes[-1])
    return found
