"""`python -m tests.train.weights.reading`: reads the files named on standard input, a JSON list [layout, depth, path] a line.

For each it writes a line: the sentence that was said (empty where it was read) and by how many bytes the process grew at most.
It may reserve little more than it has once torch is loaded.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import torch

from simclr_spec.core.errors import WeightsError
from simclr_spec.train.weights.read import read
from tests.train.weights.foreign import narrow, wish

MORE = 2**30


def peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    torch.set_num_threads(1)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MORE, size + MORE))
    for line in sys.stdin:
        layout, depth, path = json.loads(line)
        before, said = peak(), ""
        try:
            read(wish(narrow(depth), layout=layout), Path(path), str)
        except WeightsError as error:
            said = str(error)
        print(json.dumps([said, peak() - before]), flush=True)


if __name__ == "__main__":
    main()
