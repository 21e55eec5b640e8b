"""The paper's numbers in reports/, against a second transcription, from its text, and against what it says of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from simclr_spec.core.errors import SpecError
from simclr_spec.core.fields import build
from simclr_spec.language import declared
from simclr_spec.language import report as report_language
from simclr_spec.language.report import OPEN
from simclr_spec.language.weights import read_weights
from simclr_spec.plan import compile
from simclr_spec.report.formats.registry import render
from simclr_spec.report.table import make
from simclr_spec.stages.common import EncoderConfig
from simclr_spec.store.layout import Store
from simclr_spec.train.model.encoder import Encoder

# arXiv:2006.10029v2, line by line as printed. Table 1:
# depth, width, selective kernels, parameters (M), fine-tuned on 1 %, 10 %, 100 %, linear evaluation, supervised
TABLE_1 = """
50  1 False  24  57.9 68.4 76.3  71.7  76.6
50  1 True   35  64.5 72.1 78.7  74.6  78.5
50  2 False  94  66.3 73.9 79.1  75.6  77.8
50  2 True  140  70.6 77.0 81.3  77.7  79.3
101 1 False  43  62.1 71.4 78.2  73.6  78.0
101 1 True   65  68.3 75.1 80.6  76.3  79.6
101 2 False 170  69.1 75.8 80.7  77.0  78.9
101 2 True  257  73.2 78.8 82.4  79.0  80.1
152 1 False  58  64.0 73.0 79.3  74.5  78.3
152 1 True   89  70.0 76.5 81.3  77.2  79.9
152 2 False 233  70.2 76.6 81.1  77.4  79.1
152 2 True  354  74.2 79.4 82.9  79.4  80.4
152 3 True  795  74.9 80.1 83.1  79.8  80.5
"""

# The authors' notebook tf2/colabs/imagenet_results.ipynb, as it printed: depth, width, selective kernels, then as above.
AGAIN = """
50  1 False 58.0 68.4 76.3 71.7 76.6
50  1 True  64.5 72.0 78.6 74.6 78.5
50  2 False 66.2 73.9 79.1 75.4 77.8
50  2 True  70.7 77.0 81.3 77.8 79.3
101 1 False 62.1 71.5 78.2 73.7 78.0
101 1 True  68.3 75.1 80.7 76.3 79.6
101 2 False 69.1 75.9 80.8 77.0 78.8
101 2 True  73.3 78.8 82.4 79.1 80.1
152 1 False 64.1 73.0 79.3 74.6 78.2
152 1 True  70.0 76.4 81.3 77.3 80.0
152 2 False 70.1 76.6 81.1 77.4 79.1
152 2 True  74.2 79.4 82.9 79.3 80.4
152 3 True  74.9 80.1 83.1 79.9 80.5
"""

# Separius' download.py, and the rule images × epochs / batch + 1, rounded down: set, train step, epochs, batch, images.
PUBLISHED = """
pretrained        250228 800 4096 1281167
finetuned_1pct       751  60 1024   12811
finetuned_10pct     3754  30 1024  128116
finetuned_100pct   37535  30 1024 1281167
supervised         28151  90 4096 1281167
distill_1pct      125114 400 4096 1281167
distill_10pct     125114 400 4096 1281167
"""

TABLE_2 = """
12.3 52.0  label only
23.6 66.2  label + distillation, labelled images
69.0 75.1  label + distillation, all images
68.9 74.3  distillation alone, all images
"""

# Top-1 on 1 % and 10 %, top-5 on 1 % and 10 %, architecture, method.
TABLE_3 = """
25.4 56.4 48.4 80.4  ResNet-50        Supervised baseline [30]
-    -    51.6 82.4  ResNet-50        Pseudo-label [11, 30]
-    -    47.0 83.4  ResNet-50        VAT+Entropy Min. [37, 38, 30]
-    -    -    90.9  ResNeXt-152      Mean teacher [39]
-    68.8 -    88.5  ResNet-50        UDA (w. RandAug) [14]
-    71.5 -    89.1  ResNet-50        FixMatch (w. RandAug) [15]
-    73.2 -    91.2  ResNet-50_4×     S4L (Rot+VAT+Entropy Min.) [30]
-    73.8 -    -     ResNet-50        MPL (w. RandAug) [2]
-    73.9 -    91.2  ResNet-152       CowMix [40]
-    -    39.2 77.4  ResNet-50        InstDisc [17]
-    -    55.2 78.8  RevNet-50_4×     BigBiGAN [41]
-    -    57.2 83.8  ResNet-50        PIRL [42]
52.7 73.1 77.9 91.2  ResNet-161(*)    CPC v2 [19]
48.3 65.6 75.5 87.8  ResNet-50        SimCLR [1]
58.5 71.7 83.0 91.2  ResNet-50_2×     SimCLR [1]
63.0 74.4 85.8 92.6  ResNet-50_4×     SimCLR [1]
53.2 68.8 78.4 89.0  ResNet-50        BYOL [43] (concurrent work)
71.2 77.7 89.5 93.7  ResNet-200_2×    BYOL [43] (concurrent work)
73.9 77.5 91.5 93.4  50_1×            distilled
75.9 80.2 93.0 95.0  50_2×_SK         distilled
76.6 80.9 93.4 95.5  152_3×_SK        self-distilled
"""

# Figure 1: gains over ResNet-50 in percent, computed apart from this code; depth, width, on 1 %, 10 %, 100 %.
GAINS = """
50  2  14.5  8.0 3.7
101 1   7.3  4.4 2.5
101 2  19.3 10.8 5.8
152 1  10.5  6.7 3.9
152 2  21.2 12.0 6.3
"""


def _printed(table: str = TABLE_1) -> dict[tuple[int, int, bool], list[float]]:
    rows = [line.split() for line in table.strip().splitlines()]
    return {(int(row[0]), int(row[1]), row[2] == "True"): [float(value) for value in row[3:]] for row in rows}


def _key(where: dict[str, Any]) -> tuple[int, int, bool]:
    return where["depth"], where["width"], where["sk"]


def _numbers(name: str) -> dict[str, float]:
    """ROW/COLUMN -> the number that the report's own file has."""
    report, _ = report_language.load(name)
    addresses = {column.title: column.address for column in report.columns}
    return {
        f"{row.address}/{addresses[title]}": value
        for row in report.rows
        for title, value in zip(row.columns or addresses, row.paper or row.adopted or (), strict=False)
        if value is not None and value != OPEN and not isinstance(value, str)
    }


def test_table_1() -> None:
    report, _ = report_language.load("table1")
    assert [column.address for column in report.columns] == [
        "parameters", "head_parameters", "finetune/0.01", "finetune/0.1", "finetune/1.0",
        "linear", "linear-on-the-fly", "supervised",
    ]  # fmt: skip
    found = {_key(row.where or {}): [*(row.paper or ())] for row in report.rows}
    assert [values.pop(6) for values in found.values()] == [None] * 13
    assert {key: values.pop(1) for key, values in found.items()} == {key: {1: 4, 2: 17, 3: None}[key[1]] for key in found}
    assert found == _printed()
    assert list(found) == list(_printed()), "rows in the paper's order"


def test_table_2() -> None:
    report, _ = report_language.load("table2")
    lines = [line.split(maxsplit=2) for line in TABLE_2.strip().splitlines()]
    assert [column.where["label_fraction"] for column in report.columns] == [0.01, 0.1]
    assert [(row.title, row.paper) for row in report.rows] == [(name, (float(a), float(b))) for a, b, name in lines]


def test_table_3() -> None:
    report, _ = report_language.load("table3")
    lines = [line.split(maxsplit=5) for line in TABLE_3.strip().splitlines()]
    assert [column.address for column in report.columns] == ["top1/0.01", "top1/0.1", "top5/0.01", "top5/0.1"]
    for row, (*values, network, method) in zip(report.rows[:21], lines, strict=True):
        assert (row.paper or row.adopted) == tuple(None if value == "-" else float(value) for value in values)
        assert row.title.endswith(", " + network.replace("_", " "))
        assert row.source == f"Table 3, {method}" if row.adopted else row.title.startswith(method)
    assert [row.paper for row in report.rows[21:]] == [None, None], "the control is ours"


def test_table_h1_has_two_values_of_a_secondary_source_and_is_open_else() -> None:
    report, _ = report_language.load("tableH1")
    assert _numbers("tableH1") == {"50-2x/linear": 92.7, "152-3x-sk/linear": 94.9}
    assert all(value == OPEN for row in report.rows for value in row.paper or () if isinstance(value, str))
    assert [row.title for row in report.rows if row.source] == ["50 2×", "152 3× SK"]


def test_figure_1_follows_from_table_1(store: Store) -> None:
    accuracies = {
        _key(cells[0].row.where or {}): [cell.paper for cell in cells[1:] if cell]
        for cells in make("figure1", store).rows
        if cells[0]
    }
    smallest = accuracies.pop((50, 1, False))
    gains = {
        key[:2]: [100 * (a / b - 1) for a, b in zip(values, smallest, strict=True) if a and b]
        for key, values in accuracies.items()
    }
    lines = [line.split() for line in GAINS.strip().splitlines()]
    assert gains == {(int(d), int(w)): pytest.approx([float(text) for text in rest], abs=0.1) for d, w, *rest in lines}


def test_what_the_paper_says_of_its_numbers_holds() -> None:
    one, two, three = _numbers("table1"), _numbers("table2"), _numbers("table3")
    small, largest = "50-1x", "152-3x-sk"
    assert round(100 * (one[f"{largest}/linear"] / 76.5 - 1), 1) == 4.3, "over SimCLR, which stands in no table"
    for column, gain in (("top1/0.01", 21.6), ("top1/0.1", 8.7)):
        earlier = max(three[f"{row.address}/{column}"] for row in _earlier() if f"{row.address}/{column}" in three)
        assert round(100 * (three[f"ours-r152-3x-sk/{column}"] / earlier - 1), 1) == gain
    assert round(100 * (one[f"{largest}/finetune/0.01"] / one[f"{small}/finetune/0.01"] - 1)) == 29
    spreads = [one[f"{largest}/{column}"] - one[f"{small}/{column}"] for column in ("supervised", "linear", "finetune/0.01")]
    assert [round(spread) for spread in spreads] == [4, 8, 17]
    assert one["152-2x/finetune/0.01"] >= one[f"{small}/finetune/0.1"]
    assert round(one["152-2x/parameters"] / one[f"{small}/parameters"]) == 10
    assert three["ours-r50/top1/0.1"] > one[f"{small}/supervised"], "77.5 % outperforms all labels"
    assert [one[f"50-2x-sk/finetune/{part}"] for part in ("0.01", "0.1")] == [70.6, 77.0], "Table 2's teachers"
    assert two["targets-only/0.01"] < one["50-2x-sk/finetune/0.01"]


def _earlier() -> list[report_language.Row]:
    """Rows of Table 3 before the paper: BYOL is concurrent work."""
    return [row for row in report_language.load("table3")[0].rows if row.adopted and "concurrent" not in row.source]


REMEASURED = ("finetuned_1pct", "finetuned_10pct", "finetuned_100pct", "pretrained", "supervised")


def test_what_the_authors_measured_again_stands_in_the_weights_file() -> None:
    sets = read_weights("simclrv2").sets
    found = {
        _key(dict(networks[0].encoder)): [network.remeasured for network in networks]
        for networks in zip(*(sets[name].networks for name in REMEASURED), strict=True)
    }
    assert found == _printed(AGAIN)
    papers, again = _printed(), _printed(AGAIN)
    differ = [abs(a - b) for key in again for a, b in zip(papers[key][1:], again[key], strict=True) if a != b]
    assert len(differ) == 24
    assert max(differ) == pytest.approx(report_language.load("released")[0].tolerance)
    assert [each.networks[0].remeasured for each in sets.values() if each.name not in REMEASURED] == [None, None]


def test_the_65_released_files_and_the_distilled_ones_have_their_published_names_and_train_steps() -> None:
    sets = read_weights("simclrv2").sets
    lines = [line.split() for line in PUBLISHED.strip().splitlines()]
    assert [*sets] == [name for name, *_ in lines]
    for name, step, epochs, batch, images in lines:
        assert int(step) == int(images) * int(epochs) // int(batch) + 1
        encoders = [*_printed()][-1:] if name.startswith("distill") else [*_printed()]
        folders = [f"{name}/r{depth}_{width}x_sk{int(sk)}/model.ckpt-{step}" for depth, width, sk in encoders]
        assert [network.file for network in sets[name].networks] == folders
        steps = [network.settings["weights.train_step"] for network in sets[name].networks]
        assert {setting.value for setting in steps} == {int(step)}
        assert {setting.is_assumption for setting in steps} == {name.startswith("distill")}
    assert sum(len(each.networks) for each in sets.values()) == 65 + 2


def test_the_released_networks_stand_beside_the_numbers_of_the_papers_tables(store: Store) -> None:
    """Taken from the reports of the tables: no number is written twice (law 9)."""
    cells = {cell.address: cell for cell in make("released", store).cells}
    again = ("0.01", "0.1", "1.0", "linear", "supervised")
    for row in report_language.load("released")[0].rows[:13]:
        parameters, *papers = _printed()[_key(row.where or {})]
        columns = ("finetune/0.01", "finetune/0.1", "finetune/1.0", "linear", "supervised")
        assert [cells[f"{row.address}/{column}"].paper for column in ("parameters", *columns)] == [parameters, *papers]
        assert [cells[f"{row.address}/remeasured/{column}"].adopted for column in again] == _printed(AGAIN)[
            _key(row.where or {})
        ]
        assert {cells[f"{row.address}/{column}"].source for column in columns} == {"arXiv:2006.10029v2, Table 1"}
    distilled = [cell for address, cell in cells.items() if address.startswith("152-3x-sk-self-distilled/")]
    assert [cell.paper for cell in distilled] == [76.6, 80.9, 93.4, 95.5]
    assert {cell.source for cell in distilled} == {"arXiv:2006.10029v2, Table 3"}
    assert not any(cell.elsewhere for cell in cells.values())


# Report: cells with a number of the paper, open cells; of the reports that are the paper's, at its scale.
KNOWN = {
    "figure1": (24, 0),
    "figure2": (7, 0),
    "figure3": (0, 0),
    "figure4": (30, 12),
    "figure5": (4, 24),
    "figure6": (48, 46),
    "study_cifar10": (0, 0),
    "study_correlation": (39, 26),
    "study_heads": (9, 6),
    "study_memory": (5, 3),
    "study_sizes": (30, 12),
    "study_sk": (78, 0),
    "study_temperature": (2, 0),
    "table1": (90, 0),
    "table2": (8, 0),
    "table3": (12, 0),
    "tableH1": (2, 63),
}  # fmt: skip


def test_every_report_of_the_paper_is_counted() -> None:
    assert {name for name in declared.names("report") if report_language.load(name)[0].source} == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_known_and_open_values_stand_beside_ours_at_the_papers_scale_only(name: str, store: Store) -> None:
    cells = make(name, store).cells
    assert (sum(cell.paper is not None for cell in cells), sum(cell.open for cell in cells)) == KNOWN[name]
    digits = make(name, store, "digits")
    assert render("table", digits).startswith(digits.report.title)
    assert [cell for cell in digits.cells if cell.paper is not None or cell.open or cell.row.adopted] == []


def test_numbers_that_a_figure_takes_from_a_table_are_those_of_the_same_steps(store: Store) -> None:
    heads = {cell.address: cell.paper for cell in make("figure5", store).cells if cell.paper is not None}
    assert heads == {
        "head3-from1/finetune/0.01": 57.9,
        "head3-from1/finetune/0.1": 68.4,
        "head3-from0/finetune/1.0": 76.3,
        "head3-from0/linear": 71.7,
    }
    ours = {cell.address: cell.paper for cell in make("figure2", store).cells if cell.paper is not None}
    assert ours["supervised-r50/top1/1.0"] == 76.6
    assert ours["ours-r152-3x-sk/top1/0.1"] == 80.9
    memory = {cell.address: cell.paper for cell in make("study_memory", store).cells}
    assert (memory["50-1x-with/linear"], memory["50-1x-without/linear"]) == (71.7, 71.1)


def test_table_1_of_the_spec_has_the_papers_78_steps() -> None:
    steps = compile(["table1"]).steps
    assert Counter(step.kind for step in steps) == {"pretrain": 13, "finetune": 39, "linear_eval": 13, "supervised": 13}
    assert {_key(dict(step.coordinates)) for step in steps} == set(_printed())


@pytest.mark.parametrize("encoder", _printed(), ids=str)
def test_the_papers_parameter_counts_are_those_of_our_encoders(encoder: tuple[int, int, bool]) -> None:
    """Trainable parameters and BN's moving statistics up to the final average pooling, in millions."""
    depth, width, sk = encoder
    step = next(
        s for s in compile(["table1"]).steps if s.kind == "pretrain" and _key(dict(s.coordinates)) == (depth, width, sk)
    )
    config = build(EncoderConfig, step.params["encoder"])
    with torch.device("meta"):
        network = Encoder(config)
    count = sum(tensor.numel() for tensor in network.state_dict().values())
    assert round(count / 1e6) == _printed()[encoder][0]


def test_a_number_of_the_paper_with_a_typo_in_it_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "table1.toml"
    path.write_text(declared.read("report", "table1").text.replace("57.9", "57,9"), encoding="utf-8")
    with pytest.raises(SpecError, match=r"table1\.toml:24:\d+: 9 values, but this row has 8 cells"):
        report_language.load(str(path))
