"""MLflow's own server in a thread, with a password if wanted, that can answer late, never, or with rubbish."""

import base64
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from depthlab.address import sqlite_address
from depthlab.tracking.sqlite import move_artifacts


@dataclass
class Server:
    """A server that is running.

    Attributes:
        database: that it serves.
        port: on 127.0.0.1.
        user, password: that it asks for, if any.
        mode: `works`, `late`, `never`, `rubbish` or `away`; may be changed at any time.
        asked: path of every request.
    """

    database: Path
    port: int = 0
    user: str = ""
    password: str = ""
    mode: str = "works"
    asked: list[str] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> str:
        """With user and password, as they have to be encoded."""
        before = f"{self.user}:{quote(self.password, safe='')}@" if self.user else ""
        return f"http://{before}127.0.0.1:{self.port}"

    def become(self, mode: str) -> None:
        """Change the mode; requests that hang are refused."""
        self.mode = mode
        self.changed.set()
        self.changed = threading.Event()


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: Any) -> None:
        pass


@contextmanager
def tracking_server(
    database: Path, monkeypatch: pytest.MonkeyPatch, user: str = "", password: str = ""
) -> Iterator[Server]:
    """Serve a database of MLflow's, which may be a copy, as long as this lasts."""
    move_artifacts(database)  # else the server writes beside the original
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", sqlite_address(database))
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", (database.parent / "served").as_uri())
    from mlflow.server import app, handlers

    monkeypatch.setattr(handlers, "_tracking_store", None)
    monkeypatch.setattr(handlers.utils, "set_tracking_uri", lambda _: None)  # it sets MLFLOW_TRACKING_URI
    server = Server(database, user=user, password=password)
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        server.asked.append(environ["PATH_INFO"])
        mode, changed = server.mode, server.changed
        if mode == "late":
            time.sleep(0.5)
        if mode == "never":
            changed.wait(120)
        if mode in ("never", "away"):
            start("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"away"]
        if mode == "rubbish":
            start("200 OK", [("Content-Type", "text/html")])
            return [b"<html>\xff\x00 welcome"]
        if user and environ.get("HTTP_AUTHORIZATION") != expected:
            start("401 Unauthorized", [("Content-Type", "text/plain")])
            return [b"who are you?"]
        return app(environ | {"HTTP_HOST": "127.0.0.1"}, start)  # also where it stands in for a proxy

    running = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=_Quiet)
    server.port = running.server_port
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.become("away")
        running.shutdown()
        thread.join()
        running.server_close()
