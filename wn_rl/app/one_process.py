"""One process is one run, whatever number a cluster gives it: runs of other seeds beside it are no parts of it."""

from lightning.fabric.plugins.environments import ClusterEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only


class OneProcess(ClusterEnvironment):
    """The only process of its training, for Lightning, which else believes RANK, SLURM_PROCID, ...

    Under ``srun`` or ``torchrun`` those count processes that each train a run of their own. Believed, they silence the
    loggers of all but the first, Slurm's number of tasks is compared with the devices, and Slurm's signals submit the
    job a second time. To be made before any logger.
    """

    def __init__(self) -> None:
        rank_zero_only.rank = 0  # type: ignore[attr-defined]  # read from RANK, LOCAL_RANK or SLURM_PROCID when Lightning is imported

    @property
    def creates_processes_externally(self) -> bool:
        """Nobody creates any."""
        return True

    @property
    def main_address(self) -> str:
        """This machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """None: nothing connects."""
        return 0

    @staticmethod
    def detect() -> bool:
        """It is asked for, and never found."""
        return False

    def world_size(self) -> int:
        """One process."""
        return 1

    def set_world_size(self, size: int) -> None:
        """It stays one."""

    def global_rank(self) -> int:
        """The first."""
        return 0

    def set_global_rank(self, rank: int) -> None:
        """It stays the first."""

    def local_rank(self) -> int:
        """The first on this machine."""
        return 0

    def node_rank(self) -> int:
        """On the first machine."""
        return 0
