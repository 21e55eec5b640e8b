"""One image at a time, in float64 and with plain loops: what the batched views must equal. Images are (H, W, 3)."""

from __future__ import annotations

import colorsys
import math

import numpy as np

Array = np.ndarray


def keys(t: float) -> float:
    t = abs(t)
    if t < 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def resize_rows(image: Array, out: int) -> Array:
    """Bicubic along the first axis; the position of a tap is computed in float32, as in the official code."""
    length = len(image)
    rows = []
    for i in range(out):
        source = (np.float32(i) + np.float32(0.5)) * (np.float32(length) / np.float32(out)) - np.float32(0.5)
        base = math.floor(source)
        offset = np.round((source - np.float32(base)) * np.float32(1024)) / 1024
        taps = [(base + t, keys(float(offset) - t)) for t in range(-1, 3) if 0 <= base + t < length]
        total = sum(weight for _, weight in taps)
        rows.append(sum(image[place] * (weight / total) for place, weight in taps))
    return np.stack(rows)


def resize(image: Array, out: int) -> Array:
    return resize_rows(resize_rows(image, out).swapaxes(0, 1), out).swapaxes(0, 1)


def hsv(image: Array, saturation: float, hue: float) -> Array:
    out = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        red, green, blue = image[place]
        value, least = max(red, green, blue), min(red, green, blue)
        h, s, v = colorsys.rgb_to_hsv(red - least, green - least, blue - least)[0], 0.0, value
        if value > 0:
            s = (value - least) / value
        if saturation != 1:
            s = min(1.0, max(0.0, s * saturation))
            out[place] = colorsys.hsv_to_rgb(h, s, v)
        else:  # hue keeps the least channel, which may be below 0
            out[place] = np.array(colorsys.hsv_to_rgb((h + hue) % 1, 1.0 if value > least else 0.0, value - least)) + least
            if value == least:
                out[place] = value
    return out


def grey(image: Array) -> Array:
    return np.repeat((image @ np.array([0.2989, 0.587, 0.114]))[..., None], 3, 2)


def colour(image: Array, order: list[int], factors: list[float]) -> Array:
    for operation in order:
        if operation == 4:
            continue
        factor = factors[operation]
        if operation == 0:
            image = image * factor
        elif operation == 1:
            mean = image.mean((0, 1))
            image = (image - mean) * factor + mean
        else:
            image = hsv(image, factor, 0) if operation == 2 else hsv(image, 1, factor)
        image = image.clip(0, 1)
    return image


def blur(image: Array, sigma: float, kernel_size: int) -> Array:
    radius = kernel_size // 2
    taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    taps /= taps.sum()
    for _ in range(2):
        padded = np.pad(image, ((radius, radius), (0, 0), (0, 0)))
        image = sum(tap * padded[i : i + len(image)] for i, tap in enumerate(taps)).swapaxes(0, 1)
    return image


def view(
    image: Array,
    box: list[int],
    flip: bool,
    order: list[int],
    factors: list[float],
    to_grey: bool,
    sigma: float | None,
    size: int,
    kernel_size: int,
) -> Array:
    """uint8 (H, W, 3) -> one view (size, size, 3)."""
    y, x, height, width = box
    out = resize(image[y : y + height, x : x + width].astype(np.float64) / 255, size)
    out = out[:, ::-1] if flip else out
    out = colour(out, order, factors)
    out = (grey(out) if to_grey else out).clip(0, 1)
    return out if sigma is None else blur(out, sigma, kernel_size).clip(0, 1)
