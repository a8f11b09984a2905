"""Connects to the workers of a Dask cluster and checks them before anything is sent. Imports nothing heavy."""

import importlib
import ipaddress
import logging
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from depthlab.config.errors import UserError
from depthlab.config.files import set_config_dir, user_folder
from depthlab.parallel import Workers


def connect(scheduler: str | None, stores: Mapping[str, str]) -> Workers:
    """Connect to the Dask cluster at an address, which must be encrypted or on this machine only.

    Anyone who reaches a scheduler or worker without certificates can run code there. The certificates are in Dask's
    own settings below `distributed.comm.tls`.

    Args:
        stores: setting -> its file or address, which every worker must reach.

    Raises:
        UserError: no scheduler answers, it or a worker is open to a network, it has no workers, or a worker has more
            than one thread, cannot import the program or cannot reach a store.
    """
    if not scheduler:
        raise UserError("backend=dask needs the address of a scheduler: scheduler=tcp://127.0.0.1:8786")
    if not _is_private(scheduler):
        raise UserError(
            f"scheduler={scheduler} is on another machine and not encrypted, so anyone on the network can run code on"
            " it: use tls://HOST:8786 and certificates, as docs/guides/cluster.md shows"
        )
    try:
        from distributed import Client
    except ModuleNotFoundError:
        raise UserError("backend=dask needs dask: pip install 'depthlab[dask]'") from None
    for name in ("distributed", "distributed.client"):  # both have their own log level
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are reported below
    try:
        client = Client(scheduler, timeout=10)
    except (TypeError, RuntimeError) as error:  # Dask's own: a certificate is missing, or tcp:// where one is required
        raise UserError(
            f"scheduler={scheduler} needs tls:// and certificates, as docs/guides/cluster.md shows: {error}"
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"no Dask scheduler answers at {scheduler}: {error}") from None
    threads = client.nthreads()
    info = client.scheduler_info(n_workers=-1)
    processes = [info["address"], *info["workers"], *(worker["nanny"] for worker in info["workers"].values())]
    opened = [address for address in processes if address and not _is_private(address)]
    hosts = set(client.run(socket.gethostname).values())
    here = [key for key, store in stores.items() if store.startswith("sqlite") or "://" not in store]

    def finds_program() -> bool:  # nested, so that Dask sends its code: a worker may not be able to import it
        try:
            importlib.import_module("depthlab.dask_cluster")
        except ImportError:
            return False
        return True

    problem = ""
    if opened:
        problem = (
            f"the Dask process at {opened[0]} is open to the network without encryption: start scheduler and workers"
            " with --host 127.0.0.1, or with certificates, as docs/guides/cluster.md shows"
        )
    elif not threads:
        problem = f"the Dask scheduler {scheduler} has no workers: start some with `dask worker {scheduler}`"
    elif max(threads.values()) > 1:  # initialisation uses the global random generator of the process
        problem = "a Dask worker must have one thread: start it with `dask worker --nthreads 1`"
    elif not (client.run_on_scheduler(finds_program) and all(client.run(finds_program).values())):
        problem = "Dask cannot import the program: start `PYTHONPATH=src dask scheduler` and its workers in this folder"
    elif here and hosts - {socket.gethostname()}:
        problem = f"Dask workers on other machines cannot reach {here[0]}={stores[here[0]]}: use a server's address"
    if problem:
        client.close()
        raise UserError(problem)
    client.run(set_config_dir, str(user_folder().resolve()))
    return Workers(len(threads), 1, client)


def _is_private(address: str) -> bool:
    """Whether a Dask address is encrypted, or reachable from this machine only."""
    protocol, _, rest = address.rpartition("://")
    host = urlsplit(f"//{rest}").hostname or ""
    if protocol in ("tls", "inproc") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False
