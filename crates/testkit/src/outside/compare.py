"""Compares what Pillow reads with samples that were worked out elsewhere.

The folder given holds a list, a line for each image: file, width, height, samples per pixel, bits per sample. Beside each
file stand its samples, row-major, of 16 bits the most significant byte first.
"""

import sys
from pathlib import Path

import numpy
from PIL import Image

folder = Path(sys.argv[1])


def pillow_samples(image, channels):
    """What Pillow gives for these channels, and how many low bits of 16 it has cut off."""
    if image.mode.startswith("I"):
        assert channels == 1, f"mode {image.mode} for {channels} channels"
        return numpy.asarray(image).astype(numpy.uint16)[..., None]
    mode = {1: "L", 2: "RGBA", 3: "RGB", 4: "RGBA"}[channels]
    samples = numpy.asarray(image.convert(mode))
    if channels == 2:
        return samples[..., [0, 3]]
    return samples.reshape(*samples.shape[:2], channels)


def check(line):
    name, *numbers = line.split()
    width, height, channels, depth = map(int, numbers)
    kind = numpy.uint8 if depth == 8 else ">u2"
    expected = numpy.fromfile(folder / (name + ".samples"), kind).reshape(height, width, channels)
    with Image.open(folder / name) as image:
        # Pillow 9 and 10 compare a transparent colour of 1, 2, 4 or 16 bits with samples of 8 bits.
        key = image.info.get("transparency")
        bits_of_file = (folder / name).read_bytes()[24]
        if key is not None and image.mode != "P" and bits_of_file != 8:
            return False
        image.load()
        seen = pillow_samples(image, channels)
    if depth == 16 and seen.dtype == numpy.uint8:
        # Pillow has no 16-bit colour: it gives the high bytes.
        expected = expected >> 8
    assert seen.shape == expected.shape, f"{name}: {seen.shape} and not {expected.shape}"
    different = numpy.argwhere(seen != expected)
    assert not len(different), (
        f"{name}: Pillow differs in {len(different)} samples, first at row, column, sample {different[0]}: "
        f"{seen[tuple(different[0])]} and not {expected[tuple(different[0])]}"
    )
    return True


compared = [check(line) for line in (folder / "list").read_text().splitlines()]
print(sum(compared))
