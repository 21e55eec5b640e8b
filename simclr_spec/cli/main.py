"""The commands: parse, call, print. No logic; every import that costs time waits until a command needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from simclr_spec import __version__
from simclr_spec.cli.options import (
    Cli,
    budget,
    columns,
    completed,
    data_root_option,
    divided,
    keyed,
    located,
    rehash_option,
    runner_option,
    scaled,
    stored,
    stored_there,
    words_argument,
    words_of,
)
from simclr_spec.core.errors import UsageError

if TYPE_CHECKING:
    from simclr_spec.store.forecast import Forecast
    from simclr_spec.store.selection import Entry


@click.group(cls=Cli, context_settings={"help_option_names": ["-h", "--help"], "terminal_width": columns()})
@click.version_option(__version__, message="simclr-spec %(version)s")
def main() -> None:
    """SimCLRv2 as data: a spec becomes a plan, a plan trained networks, and those the paper's own tables.

    WORDS are names or paths of specs, and selectors such as stage=finetune depth=50 (+ before: and what they need; + after:
    and what needs them).
    """


@main.command("list")
def list_() -> None:
    """Declared specs, scales, recipes, data sets, runners, machines and reports."""
    from simclr_spec.language import declared
    from simclr_spec.language.document import parse

    for kind in declared.FOLDERS:
        for name in declared.names(kind):
            title = parse(declared.read(kind, name)).data.get("title", "")
            click.echo(f"{kind:<8} {name:<14} {title}".rstrip())


@main.command()
@click.argument("names", nargs=-1, metavar="[FILE]...", shell_complete=completed("spec"))
@scaled
@located
def check(names: Sequence[str], scale: str | None, sets: Sequence[str]) -> None:
    """Look for faults in FILEs of any kind, or in declared specs, and in what they name; without any, in all declared files."""
    from simclr_spec.cli.show.check import check_all, check_files

    for line in check_files(names, scale, sets) if names else check_all():
        click.echo(line)


@main.command()
@words_argument
@scaled
@located
@stored
@click.option("--format", "form", type=click.Choice(["table", "json", "dot"]), default="table", show_default=True)
@click.option("--steps", is_flag=True, help="List every Step with its coordinates, instead of the table.")
@click.option("--runner", metavar="NAME", shell_complete=completed("runner"), help="Tell costs on this runner's machine.")
@click.option(
    "--machine", metavar="NAME", shell_complete=completed("machine"), help="On this machine: h200, h100, a100, cpu or a file."
)
@budget
@click.option("-o", "--output", metavar="FILE", help="Write the plan as JSON, with its digest for `run --expect`.")
def plan(
    words: Sequence[str],
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
    from simclr_spec.cli.show import plan as shown
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.store.forecast import make_forecast

    names, selector = divided(words)
    if runner is not None:
        from simclr_spec.language import runner as runners

        machine = machine or runners.read(runner).machine
    forecast = make_forecast(names, selector, scale=scale, sets=sets, store=store, machine=machine, max_hours=max_gpu_hours)
    if steps and (output or form != "table"):
        raise UsageError("--steps lists Steps on the terminal; JSON and dot have each of them anyway")
    if output:
        if form == "dot":
            raise UsageError("-o writes JSON; to keep the graph write `--format dot > FILE`")
        from simclr_spec.core.words import counted

        shown.write(forecast, output)
        click.echo(
            f"{output}: {counted(len(forecast.steps), 'Step')}, digest {forecast.digest}", err=not os.path.isfile(output)
        )
        return
    if form == "table":
        click.echo(fitted(shown.as_list(forecast) if steps else shown.as_table(forecast)))
    else:
        click.echo(shown.as_json(forecast) if form == "json" else shown.as_dot(forecast))


@main.command()
@words_argument
@scaled
@located
def explain(words: Sequence[str], scale: str | None, sets: Sequence[str]) -> None:
    """Every hyper-parameter with value, status, source, origin; deviations, assumptions. Or one Step, by its coordinates.

    WORDS may name parameters, too: explain table1 learning_rate pretrain.memory."""
    from simclr_spec.cli.show.explain import explain_step, explain_steps, only
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.plan import compile

    names, selector, keys = keyed(words)
    steps = only(keys, compile(names, scale=scale, sets=sets).select(selector))
    click.echo(fitted(explain_step(steps[0]) if len(steps) == 1 else explain_steps(steps, axes=bool(keys))))


@main.command()
@click.argument("kind", type=click.Choice(["spec", "recipe", "dataset", "scale", "runner", "machine", "report"]))
def schema(kind: str) -> None:
    """Print the JSON Schema (Draft 4) of one kind of file, for editors."""
    import json

    from simclr_spec.language.schemas import published

    click.echo(json.dumps(published(kind), indent=1, ensure_ascii=False))


@main.command()
@words_of("report")
@scaled
@located
@stored_there
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json", "latex", "html"]), help="Instead of FILE's."
)
@click.option("-o", "--output", metavar="PATH", help="Write .txt .md .csv .json .tex or .html; of several reports, a folder.")
@click.option("--strict", is_flag=True, help="Exit code 1 when a cell is missing, or off the paper's value.")
def report(
    words: Sequence[str],
    scale: str | None,
    sets: tuple[str, ...],
    store: str,
    form: str | None,
    output: str | None,
    strict: bool,
) -> None:
    """Print a table: mean ± sd (n) over seeds, the state of what is missing, deviations and assumptions.

    Without a name: every declared one that has a result, on the terminal and into out/ as .md and .csv. Without --scale and
    --set it shows the plan that ran last; WORDS such as stage=finetune leave only the cells that match."""
    from pathlib import Path

    from simclr_spec.report.every import one, several
    from simclr_spec.store.layout import Store

    names, selector = divided(words, specs=False)
    made = Store(Path(store)), scale, sets, selector, form, output
    failed, off = (False, one(names[0], *made)) if len(names) == 1 else several(names, *made)
    if failed or (strict and off):
        raise click.exceptions.Exit(1)


@main.command()
@words_argument
@scaled
@stored
@runner_option
@data_root_option
@click.option("--dry-run", is_flag=True, help="Show what would run, and start nothing.")
@budget
@rehash_option
@click.option("--expect", metavar="PLAN", help="Refuse any other plan than the one that `plan -o` wrote: its digest, or FILE.")
def run(
    words: Sequence[str],
    scale: str | None,
    sets: Sequence[str],
    store: str,
    runner: str,
    data_root: Sequence[str],
    dry_run: bool,
    max_gpu_hours: float | None,
    rehash: bool,
    expect: str | None,
) -> None:
    """Train what is not done yet. The same command again goes on where it stopped, and retries what failed."""
    from pathlib import Path

    from simclr_spec.cli.show.plan import as_table, expected
    from simclr_spec.cli.show.run import look
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.dispatch.room import refuse_what_does_not_fit
    from simclr_spec.language import runner as runners
    from simclr_spec.store.forecast import make_forecast
    from simclr_spec.store.history import where
    from simclr_spec.store.layout import Store
    from simclr_spec.store.staleness import Images

    names, selector = divided(words)
    machine, selection = runners.read(runner).machine, Store(Path(store))
    images = Images(selection, names, where(selection, names, data_root), thorough=True, rehash=rehash, tell=_aside)
    options: dict[str, Any] = {"scale": scale, "sets": sets, "store": store, "machine": machine, "images": images}
    forecast = make_forecast(names, selector, max_hours=max_gpu_hours, **options)
    if expect is not None and forecast.digest != (wanted := expected(expect)):
        raise UsageError(f"the plan's digest is {forecast.digest}, not {wanted}: nothing started")
    refuse_what_does_not_fit(forecast)
    if dry_run:
        click.echo(fitted(as_table(forecast)))
        look(forecast, _aside, keep=False)
        raise click.exceptions.Exit(int(bool(forecast.stale)))
    _run(forecast, runner)


def _aside(text: str) -> None:
    click.echo(text, err=True)


def _run(forecast: Forecast, runner: str) -> None:
    import shlex

    from simclr_spec.cli.show import run as shown
    from simclr_spec.language import runner as runners

    command = shlex.join(["simclr-spec", *sys.argv[1:]])
    raise click.exceptions.Exit(shown.run(forecast, runners.read(runner), command, _aside))


@main.command()
@words_argument
@scaled
@located
@stored_there
@click.option("--watch", is_flag=True, help="Again every two seconds, until nothing runs.")
def status(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, watch: bool) -> None:
    """States of Steps: of the specs named, or of the whole store."""
    import time
    from pathlib import Path

    from simclr_spec.cli.show.status import status as shown
    from simclr_spec.cli.show.width import fitted
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    while True:
        found = _entries(words, scale, sets, store, some=not watch)
        if watch:
            click.clear()
        click.echo(fitted(shown(found)))
        if not watch or not (under_way(Store(Path(store))) or any(entry.state == "running" for entry in found)):
            return
        time.sleep(2)


def _entries(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, some: bool = True) -> list[Entry]:
    from pathlib import Path

    from simclr_spec.store.layout import Store
    from simclr_spec.store.selection import entries

    names, selector = divided(words, specs=False)
    return entries(Store(Path(store)), names, selector, scale, sets, some)


@main.command()
@words_argument
@scaled
@located
@stored_there
@click.option("-n", "--lines", type=click.IntRange(0), default=10, show_default=True, help="Last lines of each; 0 for all.")
@click.option("-f", "--follow", is_flag=True, help="And new lines as they come, until none of these Steps runs.")
def logs(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str, lines: int, follow: bool) -> None:
    """The newest log of Steps, as in: logs state=failed."""
    from functools import partial
    from pathlib import Path

    from simclr_spec.cli.show import status as shown
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    look = partial(_entries, words, scale, sets, store, some=not follow)
    found = shown.follow(look, lambda: under_way(Store(Path(store))), lines) if follow else shown.logs(look(), lines)
    for line in found:
        click.echo(line)


@main.command()
@words_argument
@scaled
@located
@stored_there
def cancel(words: Sequence[str], scale: str | None, sets: Sequence[str], store: str) -> None:
    """Stop Steps that run here, with a checkpoint, and keep a run from beginning the others."""
    from pathlib import Path

    from simclr_spec.store import selection
    from simclr_spec.store.jobs import under_way
    from simclr_spec.store.layout import Store

    if not words:
        raise UsageError("say what to cancel: a spec, or a selector such as state=running")
    for line in selection.cancel(_entries(words, scale, sets, store), under_way(Store(Path(store)))):
        click.echo(line)


@main.command()
@words_argument
@stored_there
@runner_option
@data_root_option
def retry(words: Sequence[str], store: str, runner: str, data_root: Sequence[str]) -> None:
    """Run again what failed or was interrupted in the last plan, or what is selected of that, and all that waits for it."""
    from simclr_spec.dispatch.room import refuse_what_does_not_fit
    from simclr_spec.language import runner as runners
    from simclr_spec.store.retry import forecast_again

    names, selector = divided(words, specs=False)
    forecast = forecast_again(store, names, selector, runners.read(runner).machine, data_root)
    refuse_what_does_not_fit(forecast)
    _run(forecast, runner)


@main.command()
@stored_there
@located
@click.option("--delete", is_flag=True, help="Delete it; without this nothing is touched.")
def gc(store: str, delete: bool) -> None:
    """Run folders that no declared spec and no spec that was run needs as it stands now, and attempts that did not win."""
    from pathlib import Path

    from simclr_spec.cli.show.status import garbage
    from simclr_spec.store import garbage as unneeded
    from simclr_spec.store.layout import Store

    found = unneeded.waste(Store(Path(store)))
    if delete:
        unneeded.delete(found)
    for line in garbage(found, delete):
        click.echo(line)


@main.command()
@stored
@data_root_option
@rehash_option
def doctor(store: str, data_root: Sequence[str], rehash: bool) -> None:
    """Versions, devices, data roots, schedulers, the store."""
    from simclr_spec.cli.show.doctor import doctor as examine

    for line in examine(store, data_root, rehash):
        click.echo(line)


@main.command()
@click.argument("dataset", metavar="DATASET", shell_complete=completed("dataset"))
@stored
@data_root_option
@rehash_option
def pin(dataset: str, store: str, data_root: Sequence[str], rehash: bool) -> None:
    """Say which images are meant: their digest goes into the data-set file DATASET, and so into new Steps.

    Of a declared data set the digest is printed, for --set."""
    from pathlib import Path

    from simclr_spec.store.layout import Store
    from simclr_spec.store.pin import pin as pinned

    click.echo(pinned(dataset, Store(Path(store)), data_root, rehash=rehash, tell=_aside))


@main.command("fetch-lists")
@click.option("--data-root", "data_root", multiple=True, metavar="DIR", help="Where to put them: DIR/imagenet_subsets.")
def fetch_lists(data_root: Sequence[str]) -> None:
    """Fetch the published lists of labelled images, verified by SHA-256, unless they are there."""
    from simclr_spec.language.fetch import fetch_lists as fetched

    for line in fetched(data_root):
        click.echo(line)
