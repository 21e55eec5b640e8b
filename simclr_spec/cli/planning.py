"""What is declared, and what it means: list, check, schema, plan, explain. Nothing here starts anything."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from simclr_spec.cli.options import (
    all_option,
    asked_for,
    budget_option,
    cells_option,
    cells_too,
    completes,
    data_root_for_compiling,
    scale_options,
    split_parameters,
    store_option,
    weights_root_option,
    words_argument,
)
from simclr_spec.core.errors import UsageError


@click.command("list")
def list_() -> None:
    """Declared specs, scales, recipes, data sets, runners, machines and reports."""
    from simclr_spec.language import declared
    from simclr_spec.language.document import parse

    for kind in declared.FOLDERS:
        for name in declared.names(kind):
            title = parse(declared.read(kind, name)).data.get("title", "")
            click.echo(f"{kind:<8} {name:<18} {title}".rstrip())


@click.command()
@click.argument("names", nargs=-1, metavar="[FILE]...", shell_complete=completes("spec", "report"))
@click.option("--all", "everything", is_flag=True, help="All declared files, which is also meant without any FILE.")
@scale_options
@data_root_for_compiling
def check(names: Sequence[str], everything: bool, scale: str | None, sets: Sequence[str]) -> None:
    """Look for faults in FILEs, declared specs and reports, and in what they name; without any, in all declared files."""
    from simclr_spec.cli.show.faults import look_through, look_through_all

    if names and everything:
        raise UsageError("--all is every declared file: name none beside it")
    for line in look_through(names, scale, sets) if names else look_through_all():
        click.echo(line)


@click.command()
@click.argument("kind", type=click.Choice(["spec", "recipe", "dataset", "scale", "runner", "machine", "report", "weights"]))
def schema(kind: str) -> None:
    """Print the JSON Schema (Draft 4) of one kind of file, for editors."""
    import json

    from simclr_spec.language.schemas import published

    click.echo(json.dumps(published(kind), indent=1, ensure_ascii=False))


@click.command()
@words_argument
@cells_option
@all_option
@scale_options
@data_root_for_compiling
@weights_root_option
@store_option
@click.option("--format", "form", type=click.Choice(["table", "json", "dot"]), default="table", show_default=True)
@click.option("--steps", is_flag=True, help="List every Step with its coordinates, instead of the table.")
@click.option("--runner", metavar="NAME", shell_complete=completes("runner"), help="Estimate costs for this runner.")
@click.option(
    "--machine", metavar="NAME", shell_complete=completes("machine"), help="For this machine: h200, h100, a100, cpu or a file."
)
@budget_option
@click.option("-o", "--output", metavar="FILE", help="Write the plan as JSON, with its digest for `run --expect`.")
def plan(
    words: Sequence[str],
    cells: Sequence[str],
    everything: bool,
    scale: str | None,
    sets: Sequence[str],
    store: str,
    form: str,
    steps: bool,
    runner: str | None,
    machine: str | None,
    max_gpu_hours: float | None,
    output: str | None,
) -> None:
    """Show what would run, why, and what it costs. Starts nothing."""
    from pathlib import Path

    from simclr_spec.cli.show import plan_file, plan_table
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.core.words import counted
    from simclr_spec.language import runner as runners
    from simclr_spec.store.forecast import make_forecast
    from simclr_spec.store.layout import Store
    from simclr_spec.store.staleness import Images

    names, selector = asked_for(words, cells, scale, sets, everything=everything)
    forecast = make_forecast(
        names,
        selector,
        images=Images(Store(Path(store)), names),
        scale=scale,
        sets=sets,
        runner=None if runner is None else runners.read(runner),
        machine=machine,
        max_hours=max_gpu_hours,
    )
    if steps and (output or form != "table"):
        raise UsageError("--steps lists Steps on the terminal; JSON and dot have each of them anyway")
    if output and form == "dot":
        raise UsageError("-o writes JSON; to keep the graph write `--format dot > FILE`")
    serves = None
    if everything:
        from simclr_spec.cli.show.serving import serving
        from simclr_spec.report.addresses import of_the_paper, served

        reports = of_the_paper()
        serves = served(forecast.plan, reports)
    if output:
        plan_file.write(forecast, output, serves)
        written = f"{output}: {counted(len(forecast.selected), 'Step')}, digest {forecast.digest}"
        click.echo(written, err=not os.path.isfile(output))
    elif form == "table":
        click.echo(
            fitted(plan_table.as_list(forecast, serves) if steps else plan_table.as_table(forecast, of_cells=not serves))
        )
        if serves and not steps:
            click.echo(fitted(serving(forecast, serves, reports)))
    else:
        click.echo(plan_file.as_json(forecast, serves) if form == "json" else plan_file.as_dot(forecast))


@click.command()
@words_argument
@cells_option
@scale_options
@data_root_for_compiling
def explain(words: Sequence[str], cells: Sequence[str], scale: str | None, sets: Sequence[str]) -> None:
    """Every hyper-parameter with value, status, source, origin; deviations, assumptions. Or one Step, by its coordinates.

    WORDS may name parameters, too: explain table1 learning_rate pretrain.memory."""
    from simclr_spec.cli.show.origins import explain_step, explain_steps, only
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.plan import compile

    specs, chosen, parameters = split_parameters(words, specs=not cells)
    names, selector = cells_too(specs, cells, chosen, scale, sets)
    steps = only(parameters, compile(names, scale=scale, sets=sets).select(selector))
    click.echo(fitted(explain_step(steps[0]) if len(steps) == 1 else explain_steps(steps, axes=bool(parameters))))


COMMANDS = (list_, check, schema, plan, explain)
