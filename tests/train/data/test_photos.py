"""Images in files: what becomes of every kind of pixel, what is refused, and how much is held at once."""

from __future__ import annotations

import io
import json
import multiprocessing
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile

from simclr_spec.core.cores import cores
from simclr_spec.core.errors import DataError
from simclr_spec.store.layout import Store
from simclr_spec.train.data import photos
from simclr_spec.train.evaluate import outputs
from simclr_spec.train.loop.execute import execute
from simclr_spec.train.views.augment import training_views
from tests.steps import prepare
from tests.train.views.augment_config import official

RAMP: NDArray[np.uint16] = np.linspace(0, 65535, 120).reshape(10, 12).astype(np.uint16)
EIGHT: NDArray[np.uint8] = (RAMP / 257.0).round().astype(np.uint8)


def noise(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, channels), dtype=np.uint8)


def written(path: Path, image: Image.Image | bytes, **options: Any) -> Path:
    if isinstance(image, bytes):
        path.write_bytes(image)
    else:
        image.save(path, **options)
    return path


def shown(path: Path, orientation: str = "stored") -> NDArray[np.uint8]:
    """(h, w, 3), read without any warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = photos.decoded(path, orientation)
    assert pixels.is_contiguous()
    return pixels.permute(1, 2, 0).numpy()


def png(width: int, height: int, *chunks: tuple[bytes, bytes], bits: int = 8, colour: int = 0) -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (header, *chunks)
    )


def tiff(data: bytes, bits: int, photometric: int, width: int = 12, height: int = 10) -> bytes:
    """Uncompressed grey."""
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: height, 279: len(data)}
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


# ---------------------------------------------------------------- pixels


def twelve_bits() -> bytes:
    values = (RAMP >> 4).ravel().tolist()
    pairs = zip(values[::2], values[1::2], strict=True)
    return b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)


GREY16: dict[str, Image.Image | bytes] = {
    "a.png": Image.fromarray(RAMP),
    "a.tif": Image.fromarray(RAMP),
    "a.jp2": Image.fromarray(RAMP),
    "big-endian.tif": Image.frombytes("I;16B", (12, 10), RAMP.byteswap().tobytes()),
    "white-is-zero.tif": tiff((65535 - RAMP).tobytes(), 16, 0),
    "a.pgm": b"P5 12 10 65535\n" + RAMP.byteswap().tobytes(),
}


@pytest.mark.parametrize("name", GREY16)
def test_grey_of_16_bits_keeps_its_range(name: str, tmp_path: Path) -> None:
    found = shown(written(tmp_path / name, GREY16[name]))
    assert np.array_equal(found, np.repeat(EIGHT[:, :, None], 3, 2))


def test_grey_of_12_bits_keeps_its_range(tmp_path: Path) -> None:
    found = shown(written(tmp_path / "a.tif", tiff(twelve_bits(), 12, 1)))
    assert np.array_equal(found[:, :, 0], ((RAMP >> 4) * 255.0 / 4095).round())


def test_colour_of_16_bits_keeps_its_range(tmp_path: Path) -> None:
    """Pillow takes the high byte, as the official decoder does."""
    rows = b"".join(b"\0" + np.repeat(row[:, None], 3, 1).astype(">u2").tobytes() for row in RAMP)
    data = png(12, 10, (b"IDAT", zlib.compress(rows)), (b"IEND", b""), bits=16, colour=2)
    assert np.array_equal(shown(written(tmp_path / "a.png", data))[:, :, 1], RAMP >> 8)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_modes_of_8_bits_are_shown_as_pillow_shows_them(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(noise(7, 9)).convert(mode)
    lossy = mode in ("CMYK", "YCbCr")
    options = {"quality": 100, "subsampling": 0} if lossy else {}
    found = shown(written(tmp_path / ("a.jpg" if lossy else "a.png"), image, **options))
    assert np.abs(found.astype(int) - np.asarray(image.convert("RGB"), dtype=int)).max() <= (8 if lossy else 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "tRNS"])
def test_alpha_is_left_out(mode: str, tmp_path: Path) -> None:
    """As the official decoder does; colours below transparent pixels show."""
    image, options = Image.fromarray(noise(7, 9)), dict[str, Any]()
    if mode == "P":
        image, options = image.quantize(16), {"transparency": bytes(range(16))}
    elif mode == "tRNS":
        options = {"transparency": (1, 2, 3)}
    else:
        image = image.convert("L" if mode == "LA" else "RGB").convert(mode)
        image.putalpha(0)
    expected = np.asarray(image.convert("RGB" if mode in ("P", "tRNS") else mode[:-1]).convert("RGB"))
    assert np.array_equal(shown(written(tmp_path / "a.png", image, **options)), expected)


def test_the_first_frame_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.png", "a.webp", "a.tif"):
        path = written(tmp_path / name, frames[0], save_all=True, append_images=frames[1:])
        assert np.abs(shown(path).astype(int) - [255, 0, 0]).max() <= 5, name


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("told", range(1, 9))
def test_orientation_is_a_choice(told: int, suffix: str, tmp_path: Path) -> None:
    """Black and white quarters: which of them is white tells the turn."""
    stored: NDArray[np.uint8] = np.zeros((32, 64, 3), np.uint8)
    stored[:16, :32] = 255
    exif = Image.Exif()
    exif[0x0112] = told
    path = written(tmp_path / f"a.{suffix}", Image.fromarray(stored), exif=exif)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored.transpose(1, 0, 2)[:, ::-1],
        7: stored.transpose(1, 0, 2)[::-1, ::-1],
        8: stored.transpose(1, 0, 2)[::-1],
    }[told]
    for orientation, expected in (("stored", stored), ("exif", upright)):
        found = shown(path, orientation)
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).mean() < 3


def test_real_photos_decode(shared: Path) -> None:
    paths = sorted((shared / "data" / "imagenet1000_one_each").glob("n0151*/*.JPEG"))
    for image in photos.Files(paths)[torch.arange(len(paths))]:
        assert image.shape[0] == 3
        assert image.dtype == torch.uint8
        assert 56 <= min(image.shape[1:]) <= 128


# ---------------------------------------------------------------- what is refused


def half(suffix: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(300, 400)).save(file, suffix)
    return file.getvalue()[: len(file.getvalue()) // 2]


LINE, END = (b"IDAT", zlib.compress(bytes(4))), (b"IEND", b"")
LONG_TEXT = (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27)))
UNKNOWN = "it is no image, of a format that Pillow does not know, or damaged"
WHITE = "and nothing says which of them is white; save it with 8 or 16 bits"
REFUSED: dict[str, tuple[Image.Image | bytes, str]] = {
    "float.tif": (Image.fromarray(RAMP.astype(np.float32)), f"its pixels are floating-point numbers, {WHITE}"),
    "integer.tif": (Image.fromarray(RAMP.astype(np.int32)), f"its pixels are 32-bit integers, {WHITE}"),
    "half.jpg": (half("jpeg"), "image file is truncated"),
    "half.png": (half("png"), "image file is truncated"),
    "empty.png": (b"", UNKNOWN),
    "page.jpg": (b"<html>404</html>", UNKNOWN),
    "chunk.png": (png(3, 1, (LINE[0], LINE[1][:5]), (b"\0\1\2\3", b"x")), "broken PNG file"),
    "bomb.png": (png(14000, 14000, LINE, END), "it has 196 megapixels, which no photograph has; make it smaller"),
    "text.png": (png(3, 1, LONG_TEXT, LINE, END), "Decompressed data too large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    image, why = REFUSED[name]
    path = written(tmp_path / name, image)
    for orientation in ("stored", "exif"):
        with pytest.raises(DataError) as caught:
            photos.Files([path], orientation=orientation)[torch.tensor([0])]
        assert str(caught.value).startswith(f"cannot read the image {path}: {why}")


@pytest.mark.parametrize(
    ("error", "why"), [(MemoryError(), "MemoryError"), (struct.error("short"), "short"), (SyntaxError("?"), "?")]
)
def test_errors_of_every_type_name_the_file(
    error: Exception, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: ImageFile.ImageFile) -> None:
        raise error

    path = written(tmp_path / "odd\nname.png", Image.new("RGB", (3, 3)))
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(DataError) as caught:
        photos.decoded(path)
    assert str(caught.value) == f"cannot read the image {tmp_path}/odd\\nname.png: {why}"


def test_a_photograph_of_90_megapixels_is_read(tmp_path: Path) -> None:
    """Pillow would warn of a bomb."""
    path = written(tmp_path / "a.png", Image.new("L", (9500, 9500), 7), compress_level=1)
    with warnings.catch_warnings(record=True) as told:
        photos.Files([path])[torch.tensor([0])]
    assert told == []


# ---------------------------------------------------------------- how much at once

SIZES = [(40, 30), (50, 60), (33, 47), (64, 64), (20, 90), (71, 35), (90, 90)]


@pytest.fixture
def files(tmp_path: Path) -> photos.Files:
    images = enumerate(SIZES)
    return photos.Files([written(tmp_path / f"{i}.png", Image.fromarray(noise(*size))) for i, size in images])


def limit(monkeypatch: pytest.MonkeyPatch, pixels: int) -> None:
    monkeypatch.setattr(photos, "DECODED_BYTES", photos.PIXEL_BYTES * pixels)


def test_parts_follow_the_order_and_the_bound(files: photos.Files, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 4500)
    samples = torch.tensor([1, 0, 6, 2, 2, 3, 5])
    parts = [[tuple(image.shape[1:]) for image in part] for part in files.chunks(samples)]
    assert parts == [[SIZES[1], SIZES[0]], [SIZES[6]], [SIZES[2], SIZES[2]], [SIZES[3]], [SIZES[5]]]
    limit(monkeypatch, 10**9)
    assert len(list(files.chunks(samples))) == 1


CHOICES: list[dict[str, Any]] = [{}, {"blur_sigma": "per_sample", "blur": 1.0}, {"autoaugment": True}, {"resize": "antialias"}]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("pixels", [1, 5000])
def test_views_have_the_same_bits_however_they_are_cut(
    choice: dict[str, Any], pixels: int, files: photos.Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, samples, epochs = official(**choice), torch.arange(7), torch.tensor([0, 0, 1, 1, 1, 2, 2])
    who: dict[str, Any] = {"seed": 3, "train_step": 5, "samples": samples, "epochs": epochs}
    whole = training_views([files[samples]], config, 24, **who, views=2)
    limit(monkeypatch, pixels)
    parts = list(photos.chunks(files, samples))
    assert len(parts) == (7 if pixels == 1 else 5)
    for one, other in zip(whole, training_views(parts, config, 24, **who, views=2), strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_views_on_a_gpu_are_those_of_the_cpu(files: photos.Files, monkeypatch: pytest.MonkeyPatch) -> None:
    limit(monkeypatch, 5000)
    samples = torch.arange(7)
    who: dict[str, Any] = {"seed": 3, "train_step": 5, "samples": samples, "epochs": samples, "views": 2}
    on_cpu, on_gpu = (training_views(photos.chunks(f, samples), official(), 16, **who) for f in (files, files.to("cuda")))
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert other.is_cuda
        torch.testing.assert_close(other.cpu(), one, rtol=0, atol=1e-5)


def test_evaluation_has_the_same_numbers_however_it_is_cut(files: photos.Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network sees the same batches."""
    seen = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return x.flatten(1)

    samples = torch.tensor([6, 5, 0, 1, 2])
    whole = outputs(network, files, samples, official(), 40, 3)
    limit(monkeypatch, 1)
    assert torch.equal(outputs(network, files, samples, official(), 40, 3), whole)
    assert seen == [3, 2, 3, 2]


GROWTH = """
import sys, torch
from pathlib import Path
from simclr_spec.train import evaluate
from simclr_spec.train.data import photos
from tests.train.views.augment_config import official
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
photos.DECODED_BYTES = int(sys.argv[2])
files = photos.Files([Path(sys.argv[1])] * 20)
samples = torch.arange(20)
evaluate.outputs(lambda x: x.flatten(1), files, samples[:1], official(), 16, 20)
before = peak()
evaluate.outputs(lambda x: x.flatten(1), files, samples, official(), 16, 20)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_follows_the_bound_and_not_the_photos(tmp_path: Path) -> None:
    """20 photos of 3 megapixels are 172 MiB decoded, 9 MiB each; one of them has passed before."""
    path = written(tmp_path / "a.jpg", Image.fromarray(noise(15, 20)).resize((2000, 1500)))

    def growth(bound: int) -> float:
        told = subprocess.run([sys.executable, "-c", GROWTH, path, str(bound)], capture_output=True, text=True, check=True)
        return float(told.stdout)

    assert growth(2**26) < 100 < growth(2**40)


def test_one_pool_serves_all_files_with_a_thread_a_core(files: photos.Files) -> None:
    for part in (files, photos.Files(files.paths)):
        assert len(part[torch.arange(7)]) == 7
    decoding = [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
    assert 1 <= len(decoding) <= cores()


def test_a_forked_process_decodes_too(files: photos.Files) -> None:
    samples = torch.arange(7)
    assert len(files[samples]) == 7
    child = multiprocessing.get_context("fork").Process(target=files.__getitem__, args=(samples,))
    child.start()
    child.join(60)
    assert child.exitcode == 0


# ---------------------------------------------------------------- a Step on photos


def test_a_step_trains_on_photos_turned_as_its_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for split, label, i in ((split, label, i) for split in ("train", "val") for label in "ab" for i in range(4)):
        place = tmp_path / "photos" / split / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(20 + i, 30 + ord(label))).save(place / f"{i}.jpg", exif=exif)
    monkeypatch.setenv("SIMCLR_SPEC_DATA", str(tmp_path))
    store = Store(tmp_path / "runs")

    def loss(orientation: str, pixels: int) -> float:
        limit(monkeypatch, pixels)
        about = {"name": "photos", "loader": "image_folder", "digest": "", "classes": 2, "train_images": 8, "test_images": 8}
        folder = prepare(
            Store(store.path / f"{orientation}{pixels}"),
            "supervised",
            labels__fraction=1.0,
            dataset={**about, "image_size": 16},
            augment__orientation=orientation,
        )
        execute(folder.path)
        return float(json.loads(folder.result.read_text())["metrics"]["loss"])

    stored = loss("stored", 10**9)
    assert loss("stored", 1) == stored
    assert loss("exif", 1) != stored
