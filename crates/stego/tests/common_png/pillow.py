"""Saves the pixels of each case with Pillow, and compares the file with that of the library byte for byte."""
import io
import json
import sys

from PIL import Image, features

if "zlib_ng" in features.features and features.check_feature("zlib_ng"):
    # Other bytes by another compressor: not the program that is compared with.
    print("skipped: this Pillow is linked with zlib-ng")
    raise SystemExit(0)

folder, = sys.argv[1:]
same = 0
for case in json.load(open(f"{folder}/cases.json")):
    data = open(f"{folder}/{case['name']}.raw", "rb").read()
    if case["mode"] == "I;16":
        # The most significant byte comes first in the file, and last in memory.
        swapped = bytearray(data)
        swapped[::2], swapped[1::2] = data[1::2], data[::2]
        data = bytes(swapped)
    image = Image.frombytes(case["mode"], (case["width"], case["height"]), data)
    buffer = io.BytesIO()
    icc = bytes.fromhex(case["icc"])
    image.save(buffer, "PNG", **({"icc_profile": icc} if icc else {}))
    ours, theirs = open(f"{folder}/{case['name']}.png", "rb").read(), buffer.getvalue()
    if ours != theirs:
        at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
        raise SystemExit(f"{case['name']}: {len(ours)} and {len(theirs)} bytes, first difference at {at}")
    same += 1
print(f"{same} files as Pillow {Image.__version__} with zlib {features.version('zlib')} writes them")
