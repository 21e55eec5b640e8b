"""What `doctor`'s job does on a compute node: looks around, and writes what it saw beside what it was asked.

`python -m simclr_spec.dispatch.slurm.visit FOLDER SCONTROL OUTSIDE`: the trial's folder, where the batch script found
`scontrol`, and whether it could start Python with this package; empty where not.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from simclr_spec.core.code import code_version
from simclr_spec.core.files import read_json, write_json
from simclr_spec.store.arrays import ArrayFolder


def software() -> dict[str, str]:
    """Versions of what decides a result's last bits; torch is not loaded."""
    return {"Python": python_version(), "torch": _version("torch"), "simclr-spec": code_version()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def look(folders: list[str]) -> dict[str, Any]:
    """From this node: of these folders those that are not there, and what a Step would find."""
    return {
        "node": os.environ["SLURMD_NODENAME"],
        "software": software(),
        "cores": len(os.sched_getaffinity(0)),
        "lacking": [folder for folder in folders if not os.path.isdir(folder)],
        **_devices(),
    }


def _devices() -> dict[str, Any]:
    """GPUs as torch sees them: name and bytes; or why it cannot be asked."""
    try:
        import torch

        seen = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    except Exception as error:
        return {"gpus": [], "torch_fault": f"{type(error).__name__}: {error}"}
    return {"gpus": [[gpu.name, gpu.total_memory] for gpu in seen], "torch_fault": ""}


def main(folder: ArrayFolder, scontrol: str, outside: str) -> None:
    asked = read_json(folder.intent, "folders")
    write_json(folder.receipt, {"scontrol": scontrol, "outside": outside, **look(asked["folders"])})


if __name__ == "__main__":
    main(ArrayFolder(Path(sys.argv[1])), *sys.argv[2:])
