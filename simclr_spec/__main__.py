"""`python -m simclr_spec` is `simclr-spec`."""

from simclr_spec.cli import main

main(prog_name="simclr-spec")
