"""Published weights: the files that declare them, and the networks of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simclr_spec.cli.show.columns import aligned
from simclr_spec.core.errors import MissingDataError
from simclr_spec.core.words import counted, fixed, footnote, plain
from simclr_spec.data import weights as places
from simclr_spec.language import declared
from simclr_spec.language.setting import Setting
from simclr_spec.language.weights import Network, Set, Weights, read_weights
from simclr_spec.language.written import ASSUMED
from simclr_spec.report.published import papers

_NONE = "–"


def declared_files() -> str:
    """A line for each declared weights file."""
    rows = [["name", "files", "title"]]
    for name in declared.names("weights"):
        weights = read_weights(name)
        rows.append([name, str(sum(len(each.networks) for each in weights.sets.values())), weights.document.data["title"]])
    return "\n".join(_left(rows))


def networks(name: str) -> str:
    """Every network of a weights file: whose it is, the paper's number and who measured it again, and whether it is at hand."""
    weights = read_weights(name)
    numbers = papers(weights)
    rows = [["set", "encoder", "at hand", "SHA-256", "paper", "re-measured", "published as"]]
    for each in weights.sets.values():
        rows += [_row(each, network, paper) for network, paper in zip(each.networks, numbers[each.name], strict=True)]
    there = sum(row[2] == "yes" for row in rows[1:])
    lines = [weights.document.data["title"], *_facts(weights), "", *_left(rows), ""]
    lines += [f"{there} of {counted(len(rows) - 1, 'file')} at hand; they are looked for in {' '.join(places.weights_roots())}"]
    return "\n".join([*lines, *_assumed(weights)])


def _left(rows: Sequence[Sequence[str]]) -> list[str]:
    """As columns; the last one to the left, since names are read from there."""
    return [f"{line}  {row[-1]}" for line, row in zip(aligned([row[:-1] for row in rows]), rows, strict=True)]


def _facts(weights: Weights) -> Iterator[str]:
    """What is true of all its networks, and whose their numbers are."""
    settings = _settings(weights)[0]
    for name in ("origin", "licence"):
        yield f"{name:<12} {settings[f'weights.{name}'].value}"
    layouts = dict.fromkeys(str(each["weights.layout"].value) for each in _settings(weights))
    yield f"{'layout':<12} {', '.join(layouts)}"
    for each in weights.sets.values():
        if each.paper:
            yield f"{'paper':<12} {each.name}: {each.paper}"
    if "remeasured_by" in weights.document.data:
        yield f"{'re-measured':<12} {weights.document.data['remeasured_by']}"


def _settings(weights: Weights) -> list[dict[str, Setting]]:
    return [dict(network.settings) for each in weights.sets.values() for network in each.networks]


def _row(each: Set, network: Network, paper: float | None) -> list[str]:
    encoder = f"{network.encoder['depth']} {network.encoder['width']}×{' SK' * network.encoder['sk']}"
    sha256 = footnote(network.settings["weights.sha256"].value or _NONE)
    numbers = (_NONE if number is None else fixed(number, 1) for number in (paper, network.remeasured))
    return [each.name, encoder, "yes" if _at_hand(network) else _NONE, sha256, *numbers, network.file]


def _at_hand(network: Network) -> bool:
    try:
        places.place(network.file, str(network.settings["weights.origin"].value))
    except MissingDataError:
        return False
    return True


def _assumed(weights: Weights) -> Iterator[str]:
    """Each assumption once."""
    said = {
        f"assumed: {name.removeprefix('weights.')} {plain(setting.value)} ({setting.source})"
        for settings in _settings(weights)
        for name, setting in settings.items()
        if setting.status == ASSUMED and name != "weights.sha256"
    }
    yield from sorted(said)
    if unknown := sum(not settings["weights.sha256"].value for settings in _settings(weights)):
        yield f"assumed: the bytes of {counted(unknown, 'file')} are what their names say; the first read records their SHA-256"
