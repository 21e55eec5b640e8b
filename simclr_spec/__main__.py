"""The command line: `simclr-spec`, or `python -m simclr_spec`."""

import gc
import io
import sys


def run() -> None:
    gc.disable()  # nothing that imports make is garbage, and looking for it is a twentieth of `--help`
    from simclr_spec.cli import main

    gc.enable()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal knows ± and –
    main(prog_name="simclr-spec")


if __name__ == "__main__":
    run()
