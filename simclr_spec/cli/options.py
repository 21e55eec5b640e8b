"""What the commands share: how errors are told, and arguments and options that are alike on several of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from simclr_spec.core.errors import SimclrSpecError, SpecError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from simclr_spec.language.coordinates import Selector
    from simclr_spec.language.declared import FileKind
    from simclr_spec.store.layout import Store

Command = Callable[..., Any]
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


class Cli(click.Group):
    """Prints every error of ours as its sentences, without a traceback; exit codes as in `errors`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SimclrSpecError as error:
            for line in str(error).splitlines():
                click.echo(line, err=True)
            if isinstance(error, SpecError):
                from simclr_spec.core.words import counted

                click.echo(f"{counted(len(error.faults), 'fault')}, nothing planned.", err=True)
            ctx.exit(2 if isinstance(error, (SpecError, UsageError)) else 1)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            from simclr_spec.core.files import refusal

            if refused := refusal(error):
                click.echo(f"{refused}, and try again", err=True)
                ctx.exit(1)
            what = "go on" if error.filename is None else f"use {os.fsdecode(error.filename)}"
            click.echo(f"cannot {what}: {error.strerror or error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            ctx.exit(130)


def help_width() -> int:
    """Width of help. Asking the terminal ourselves spares click the import of shutil, a tenth of `--help`."""
    try:
        return min(110, os.get_terminal_size().columns)
    except OSError:
        return 80


def completes(*kinds: FileKind, more: Sequence[str] = ()) -> Complete:
    """Completes names of declared files of these kinds, `more` words, and paths."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from simclr_spec.language import declared

        return _completions(incomplete, sorted({name for kind in kinds for name in declared.names(kind)}.union(more)))

    return complete


def _completions(incomplete: str, words: Sequence[str]) -> list[CompletionItem]:
    """The shell's own paths first: click's script for bash drops what stands before them."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file"), *(CompletionItem(word) for word in words if word.startswith(incomplete))]


def scale_options(command: Command) -> Command:
    """--scale, --set and --weights, which is --set weights=NAME; alike on plan, run, explain and report."""

    @wraps(command)
    def with_weights(*args: Any, sets: tuple[str, ...], weights: str | None, **options: Any) -> Any:
        return command(*args, sets=sets if weights is None else (*sets, f"weights={weights}"), **options)

    released = click.option(
        "--weights",
        metavar="NAME",
        shell_complete=completes("weights", more=["official"]),
        help="Begin with published weights instead of pretraining: 'official' are the paper's own.",
    )
    sets = click.option(
        "--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set a value: epochs=2, pretrain.temperature=0.2."
    )
    scale = click.option(
        "--scale",
        metavar="NAME",
        shell_complete=completes("scale", more=["paper"]),
        help="Another scale; 'paper' is the recipe as it stands.",
    )
    return scale(sets(released(with_weights)))


def store_option(command: Command, *, there: bool = False) -> Command:
    """--store, alike on everything that reads or writes run folders."""

    def existing_folder(ctx: click.Context, param: click.Parameter, folder: str) -> str:
        if not folder:
            raise UsageError("--store wants the name of a folder")
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise UsageError(f"cannot use {os.path.abspath(folder)}: it is a file, and --store wants the name of a folder")
        typed = ctx.get_parameter_source(str(param.name)) is click.core.ParameterSource.COMMANDLINE
        if there and typed and not os.path.exists(folder):
            raise UsageError(f"there is nothing at {os.path.abspath(folder)}: --store names the folder in which Steps were run")
        return folder

    option = click.option(
        "--store",
        envvar="SIMCLR_SPEC_STORE",
        default="runs",
        show_default=True,
        callback=existing_folder,
        help="Folder of the run folders.",
    )
    return option(command)


def existing_store_option(command: Command) -> Command:
    """--store of a command that shows what was run: one that is typed must be there."""
    return store_option(command, there=True)


def tell_queue(store: Store) -> None:
    """What a scheduler knows of queued Steps is written down before anybody looks; a note where it could not be asked."""
    if store.arrays.is_dir():  # else nothing is imported for it
        from simclr_spec.dispatch import scheduled

        if silent := scheduled.refresh(store):
            note(silent)


def note(line: str) -> None:
    """Beside what is asked for: to standard error."""
    click.echo(line, err=True)


def rehash_option(command: Command) -> Command:
    """--rehash, alike on everything that looks at images itself."""
    text = "Read every image again, whatever its size, time and inode say."
    return click.option("--rehash", is_flag=True, help=text)(command)


def words_argument_of(kind: FileKind) -> Callable[[Command], Command]:
    """Names or paths of files of this kind, and selectors."""

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from simclr_spec.language import coordinates, declared

        keys = [f"{key}=" for key in (*coordinates.KEYS, "state", "fingerprint")]
        names = {*declared.names(kind), *declared.names("report")}
        return _completions(incomplete, [*sorted(names), *keys, *(f"+{key}" for key in keys)])

    return click.argument("words", nargs=-1, metavar="[WORDS]...", shell_complete=complete)


words_argument = words_argument_of("spec")


def split_words(words: Sequence[str], *, specs: bool = True) -> tuple[list[str], Selector | None]:
    """Names of specs, and the selector. Raises UsageError when `specs` are needed and none is named."""
    from simclr_spec.language.coordinates import parse

    names = [word for word in words if ("=" not in word and word != "+") or _is_file(word)]
    if specs and not names:
        from simclr_spec.language import declared

        raise UsageError(f"name a spec: {', '.join(declared.names('spec'))}, or the path of yours (.toml or .json)")
    return names, parse([word for word in words if word not in names])


def cells_option(command: Command) -> Command:
    """--cell, alike on everything that takes specs."""
    option = click.option(
        "--cell", "cells", multiple=True, metavar="REPORT/ROW/COLUMN", help="Only what this cell, row or report needs."
    )
    return option(command)


def all_option(command: Command) -> Command:
    """--all, alike on plan, run and report."""
    return click.option("--all", "everything", is_flag=True, help="All tables and figures of the paper.")(command)


def asked_for(
    words: Sequence[str],
    cells: Sequence[str],
    scale: str | None,
    sets: Sequence[str],
    *,
    everything: bool = False,
    specs: bool = True,
) -> tuple[list[str], Selector | None]:
    """Names of specs, and what selects Steps of them: selectors, cells, and names of reports, which mean all their cells."""
    names, selector = split_words(words, specs=specs and not (cells or everything))
    if everything:
        from simclr_spec.report.addresses import of_the_paper, specs_of

        if names or cells:
            raise UsageError("--all is every table and figure of the paper: name no spec, report or cell beside it")
        return specs_of(of_the_paper()), selector
    return cells_too(names, cells, selector, scale, sets)


def cells_too(
    names: Sequence[str], cells: Sequence[str], selector: Selector | None, scale: str | None, sets: Sequence[str]
) -> tuple[list[str], Selector | None]:
    """The same of names of which some are reports."""
    reports = [name for name in names if _is_report(name)]
    if not (reports or cells):
        return [*names], selector
    from simclr_spec.report.addresses import wanted

    return wanted([name for name in names if name not in reports], [*reports, *cells], selector, scale, sets)


def _is_report(name: str) -> bool:
    """A declared name that no spec has."""
    from simclr_spec.language import declared

    return name not in declared.names("spec") and name in declared.names("report")


def split_parameters(words: Sequence[str], *, specs: bool = True) -> tuple[list[str], Selector | None, list[str]]:
    """As `split_words`, and the words that name parameters: neither paths nor declared. Raises UsageError at others."""
    from simclr_spec.cli.show.origins import is_parameter, unknown_word
    from simclr_spec.language import declared

    names, selector = split_words(words, specs=specs)
    known = {*declared.names("spec"), *declared.names("report")}
    named = [name for name in names if declared.is_path(name) or name in known]
    parameters = [name for name in names if name not in named]
    for word in parameters:
        if not is_parameter(word):
            raise UsageError(unknown_word(word))
    if specs and not named:
        split_words([word for word in words if word not in parameters])
    return named, selector, parameters


def _is_file(word: str) -> bool:
    from simclr_spec.language.declared import is_path

    return is_path(word) and os.path.isfile(word)


def budget_option(command: Command) -> Command:
    """--max-gpu-hours, alike on plan and run."""

    def positive(_ctx: click.Context, _param: click.Parameter, hours: float | None) -> float | None:
        if hours is not None and not hours >= 0:
            from simclr_spec.core.words import number

            raise UsageError(f"--max-gpu-hours wants a number of hours, not {number(hours)}")
        return hours

    option = click.option(
        "--max-gpu-hours", type=float, metavar="HOURS", callback=positive, help="Refuse a plan that costs more."
    )
    return option(command)


def runner_option(command: Command) -> Command:
    """--runner, alike on run and retry."""
    option = click.option(
        "--runner", default="local", show_default=True, metavar="NAME", shell_complete=completes("runner"), help="Where to run."
    )
    return option(command)


def data_root_option(command: Command) -> Command:
    """--data-root, alike on everything that looks for images."""
    return _data_root()(command)


def data_root_for_compiling(command: Command) -> Command:
    """--data-root on what compiles a spec only: a data-set file of one's own may leave the counts to its folder."""
    return _data_root(expose_value=False)(command)


def _data_root(**more: Any) -> Callable[[Command], Command]:
    """While the command runs, the environment says the same: compiling asks it, and so do workers."""

    def into_environment(ctx: click.Context, _param: click.Parameter, roots: tuple[str, ...]) -> tuple[str, ...]:
        if roots:
            from simclr_spec.data.roots import in_environment, owner_and_folder

            if any(not folder.strip() or "\n" in folder for _, folder in map(owner_and_folder, roots)):
                raise UsageError("--data-root wants the name of a folder, on one line; NAME=DIR for one data set only")
            ctx.with_resource(in_environment(roots))
        return roots

    return click.option(
        "--data-root",
        "data_root",
        multiple=True,
        metavar="DIR",
        callback=into_environment,
        help="Where data sets lie; NAME=DIR for one of them.",
        **more,
    )


def weights_root_option(command: Command) -> Command:
    """--weights-root, alike on plan, run and retry; while the command runs, the environment says the same."""

    def into_environment(ctx: click.Context, _param: click.Parameter, roots: tuple[str, ...]) -> None:
        if roots:
            from simclr_spec.data.weights import in_environment

            if any(not folder.strip() or os.pathsep in folder for folder in roots):
                raise UsageError(f"--weights-root wants the name of a folder, without '{os.pathsep}'")
            ctx.with_resource(in_environment(roots))

    return click.option(
        "--weights-root",
        multiple=True,
        metavar="DIR",
        callback=into_environment,
        expose_value=False,
        help="Where weights that were trained elsewhere lie, by their published names.",
    )(command)
