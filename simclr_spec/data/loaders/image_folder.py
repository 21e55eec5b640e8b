"""ImageNet's layout: train/CLASS/FILE and val/CLASS/FILE; or images without classes, anywhere below train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simclr_spec.data import listing
from simclr_spec.data.listing import TEST, TRAIN
from simclr_spec.data.loader import FileLoader
from simclr_spec.data.roots import folders, missing, others

_SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing", "eval")
"""What people call the two folders, in any case."""


class ImageFolder(FileLoader):
    name = "image_folder"

    def splits(self, folder: Path, *, labelled: bool = True) -> list[Path]:
        """Images without classes are not tested on: they need no folder val."""
        return [folder / TRAIN, folder / TEST] if labelled else [folder / TRAIN]

    def find(self, dataset: str, roots: Sequence[str], *, labelled: bool = True) -> Path:
        places = folders(dataset, roots)
        found = next((place for place in places if all(map(Path.is_dir, self.splits(place, labelled=labelled)))), None)
        if found is None:
            what = "folders train and val, one subfolder a class" if labelled else "folder train"
            near = self._misnamed(places, labelled) or others(dataset, roots)
            raise missing(f"data set '{dataset}' ({what})", places, near)
        return found

    def scan(self, folder: Path, *, labelled: bool = True) -> listing.Listing:
        return listing.scan(folder, labelled=labelled)

    def _misnamed(self, places: Sequence[Path], labelled: bool) -> str:
        """`data/pets has test and train, but …` where folders of other names may be the splits."""
        for place in places:
            names = sorted(path.name for path in place.iterdir() if path.name.lower() in _SPLITS) if place.is_dir() else []
            if names:
                wanted = " and ".join(split.name for split in self.splits(place, labelled=labelled))
                return f"{place} has {' and '.join(names)}, but needs folders named {wanted}; if it is another, "
        return ""


LOADER = ImageFolder()
