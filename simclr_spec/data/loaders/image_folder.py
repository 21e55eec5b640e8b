"""ImageNet's layout: train/CLASS/FILE and val/CLASS/FILE; or images without classes, anywhere below train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simclr_spec.data import listing
from simclr_spec.data.loader import FileLoader
from simclr_spec.data.roots import folders, missing, others
from simclr_spec.data.splits import Splits

_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval")
"""What people call the two folders, in any case."""
_LOOKED_FOR = {
    Splits.BOTH: "folders train and val, one subfolder a class",
    Splits.TRAIN: "folder train",
    Splits.TEST: "folder val, one subfolder a class",
}


class ImageFolder(FileLoader):
    name = "image_folder"

    def folders_of(self, splits: Splits, folder: Path) -> list[Path]:
        return [folder / listing.FOLDERS[split] for split in splits]

    def find(self, dataset: str, roots: Sequence[str], *, splits: Splits = Splits.BOTH) -> Path:
        places = folders(dataset, roots)
        found = next((place for place in places if all(map(Path.is_dir, self.folders_of(splits, place)))), None)
        if found is None:
            near = self._misnamed(places, splits) or others(dataset, roots)
            raise missing(f"data set '{dataset}' ({_LOOKED_FOR[splits]})", places, near)
        return found

    def scan(self, folder: Path, *, splits: Splits = Splits.BOTH) -> listing.Listing:
        return listing.scan(folder, splits=splits)

    def _misnamed(self, places: Sequence[Path], splits: Splits) -> str:
        """`data/pets has test and train, but …` where folders of other names may be the splits."""
        for place in places:
            names = sorted(path.name for path in place.iterdir() if path.name.lower() in _SPLITS) if place.is_dir() else []
            if names:
                wanted = " and ".join(split.name for split in self.folders_of(splits, place))
                return f"{place} has {' and '.join(names)}, but needs folders named {wanted}; if it is another, "
        return ""


LOADER = ImageFolder()
