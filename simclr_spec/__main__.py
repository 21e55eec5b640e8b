"""The command line: `simclr-spec`, or `python -m simclr_spec`."""

import gc
import io
import os
import sys
from typing import TextIO


def run() -> None:
    gc.disable()  # nothing that imports make is garbage, and looking for it is a twentieth of `--help`
    from simclr_spec.cli.main import main

    gc.enable()
    sys.stdout = sys.stdout or _nowhere()  # closed, as under a daemon
    sys.stderr = sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal knows ± and –
    main(prog_name="simclr-spec")


def _nowhere() -> TextIO:
    return open(os.devnull, "w")


if __name__ == "__main__":
    run()
