"""A Ray cluster of three nodes on the loopback interface of this machine, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.making.hidden_home import DAMAGED, HIDDEN, customize

TOKEN = "0123456789abcdef" * 4


class RayNodes:
    """A head without cores and two nodes of one core each, below `folder`, whose name has to be short.

    Where `hidden` is given, a folder, the two nodes see no homes below it, and the head damages what it hands out as
    often as `damaged` has bytes; what the nodes keep for a while lies in `temporary`.
    """

    def __init__(self, folder: Path, hidden: Path | None = None) -> None:
        self.damaged, self.temporary = folder / "damaged", folder / "tmp"
        self.temporary.mkdir()
        customize(folder)
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(TOKEN)
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.making.ray_nodes",
                str(folder / "ray"),
                *([str(hidden), str(self.temporary)] if hidden else []),
            ],
            env={
                **os.environ,
                **self.environment,
                **({DAMAGED: str(self.damaged)} if hidden else {}),
                "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)]),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self._answer()

    def lose(self, worker: int) -> None:
        """End the node with this worker as a power cut would, and start another one."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{worker}\n")
        self._process.stdin.flush()
        assert self._answer() == "lost"

    def close(self) -> None:
        """End all of them."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("nodes: "):
                return line.removeprefix("nodes: ").strip()
        raise AssertionError("the nodes of Ray did not start")


def parent(pid: int) -> int:
    """Return the process that started this one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def main(folder: str, hidden: str | None = None, temporary: str = "") -> None:
    """Start nodes, and lose them as standard input tells, until it ends."""
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    ray_constants.ENABLE_RAY_CLUSTER = False  # else Ray replaces 127.0.0.1 by an address that others reach
    options: dict[str, Any] = {"node_ip_address": "127.0.0.1", "temp_dir": folder, "object_store_memory": 80 * 2**20}
    nodes: Any = Cluster(initialize_head=True, head_node_args={**options, "num_cpus": 0, "include_dashboard": False})
    if hidden is not None:
        os.environ |= {HIDDEN: hidden, "TMPDIR": temporary}
    for _ in range(2):
        nodes.add_node(**options, num_cpus=1)
    print("nodes:", nodes.address, flush=True)
    for line in sys.stdin:
        raylet = parent(int(line))
        (lost,) = (node for node in nodes.worker_nodes if node.all_processes["raylet"][0].process.pid == raylet)
        nodes.remove_node(lost, allow_graceful=False)
        print("nodes: lost", flush=True)
        nodes.add_node(**options, num_cpus=1)
    nodes.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
