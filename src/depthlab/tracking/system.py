"""Record system metrics during a run, with the names of MLflow's system metrics."""

import threading

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from depthlab.tracking.record import EpochRecord

SECONDS = 10.0  # seconds between two samples, as in MLflow
FIRST = "system/cpu_utilization_percentage"


class SystemMetrics:
    """Sample CPU, memory, disk and network with psutil in a thread until `stop`; step = index of the sample.

    MLflow's own monitor opens a second connection to the store. Here the samples use the connection of the run.

    Args:
        record: the record of the run.
    """

    def __init__(self, record: EpochRecord) -> None:
        self._record = record
        self._monitors = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        self._step = record.last_step(FIRST) + 1 if record.resumed else 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="system metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end the thread."""
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopped.wait(SECONDS):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        values: dict[str, float] = {}
        for monitor in self._monitors:
            monitor.collect_metrics()
            values |= monitor.aggregate_metrics()
            monitor.clear_metrics()
        self._record.log({f"system/{name}": value for name, value in values.items()}, self._step)
        self._step += 1
