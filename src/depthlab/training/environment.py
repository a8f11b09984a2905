"""What Lightning asks of whoever has started the processes of a run."""

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

from depthlab.training.place import Place


class Environment(ClusterEnvironment):
    """Its answers are those of a place: nothing is left to be found out."""

    creates_processes_externally = True
    main_address, main_port = "", 0  # never asked for: the processes are connected

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self.place.count

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        return self.place.number

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        return self.place.local

    def node_rank(self) -> int:
        return self.place.node
