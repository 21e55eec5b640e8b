"""The command line: `simclr-spec`, or `python -m simclr_spec`."""

import gc


def run() -> None:
    gc.disable()  # nothing that imports make is garbage, and looking for it is a twentieth of `--help`
    from simclr_spec.cli import main

    gc.enable()
    main(prog_name="simclr-spec")


if __name__ == "__main__":
    run()
