"""Keyed stego images against clean images of the same profile, by the structure of the files alone.

    cargo run --release -p stego --example keyed_files 200 10240 FOLDER
    python3 structure.py FOLDER                 (numpy, Pillow, scikit-learn)

1. Every file is what Pillow writes for its pixels, byte for byte (only where Pillow is linked with stock zlib).
2. Chunks, headers and the lengths of all IDAT but the last are the same in both classes.
3. Classifiers see the filters of the rows, the length of the file, the number of chunks, the last chunk and the counts of
   byte values in the compressed data. The folds keep the crops of a photograph together. The accuracy is to be at most 57 %.
4. The control is the same classifier on clean files in another program's form: below 95 % the run is void.
"""
import collections
import io
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, features
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def chunks(data):
    at = 8
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at:at + 4]), data[at + 4:at + 8]
        yield kind, data[at + 8:at + 8 + length]
        at += length + 12


def measure(path):
    """The features of a file, and all of its structure that does not depend on the pixels."""
    data = path.read_bytes()
    parts = list(chunks(data))
    idat = [body for kind, body in parts if kind == b"IDAT"]
    stream = b"".join(idat)
    header = parts[0][1]
    width, height = struct.unpack(">II", header[:8])
    rows = np.frombuffer(zlib.decompress(stream), np.uint8).reshape(height, -1)
    filters = np.bincount(rows[:, 0], minlength=5) / height
    switches = np.mean(rows[1:, 0] != rows[:-1, 0])
    values = np.bincount(np.frombuffer(stream, np.uint8), minlength=256) / len(stream)
    vector = [len(data) / (width * height), len(idat), len(idat[-1]), len(data) % 4, switches, *filters, *values]
    order = [kind for kind, _ in parts]
    fixed = (data[:8], header, stream[:2], {len(body) for body in idat[:-1]},
             [kind for at, kind in enumerate(order) if at == 0 or order[at - 1] != kind])
    return vector, repr(fixed), data


def is_as_pillow(data):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).save(buffer, "PNG")
    return buffer.getvalue() == data


def accuracy(name, a, b, groups):
    x, y = np.array(a + b), np.repeat([0, 1], [len(a), len(b)])
    for title, model in (
        ("logistic regression", make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=5000))),
        ("random forest", RandomForestClassifier(500, random_state=1)),
    ):
        hits = cross_val_predict(model, x, y, groups=groups, cv=GroupKFold(8)) == y
        draws = np.random.default_rng(1).choice(hits, (2000, len(hits))).mean(axis=1)
        low, high = np.percentile(draws, [2.5, 97.5])
        print(f"{name}, {title}: {hits.mean():.3f} right of {len(hits)} (95 % {low:.3f} to {high:.3f})")
        yield hits.mean()


def main():
    folder = pathlib.Path(sys.argv[1])
    files = {kind: sorted(folder.glob(f"{kind}-*.png")) for kind in ("clean", "stego", "other")}
    found = {kind: [measure(path) for path in paths] for kind, paths in files.items()}
    group = {kind: [path.stem.rsplit("-", 1)[1] for path in paths] for kind, paths in files.items()}
    vectors = {kind: [vector for vector, _, _ in measured] for kind, measured in found.items()}

    fixed = {kind: collections.Counter(fixed for _, fixed, _ in measured) for kind, measured in found.items()}
    print("structures that do not depend on the pixels:", {kind: len(counts) for kind, counts in fixed.items()})
    assert set(fixed["clean"]) == set(fixed["stego"]) and len(fixed["clean"]) == 1, fixed
    if "zlib_ng" in features.features and features.check_feature("zlib_ng"):
        print("passed over: this Pillow is linked with zlib-ng, so its bytes are others")
    else:
        same = {kind: sum(is_as_pillow(data) for _, _, data in found[kind]) for kind in ("clean", "stego", "other")}
        print(f"byte for byte as Pillow {Image.__version__} with zlib {features.version('zlib')}:", same)
        assert all(same[kind] == len(files[kind]) for kind in ("clean", "stego"))

    control = max(accuracy("control", vectors["clean"], vectors["other"], group["clean"] + group["other"]))
    stego = max(accuracy("stego", vectors["clean"], vectors["stego"], group["clean"] + group["stego"]))
    if control < 0.95:
        raise SystemExit("void: the classifiers do not even find another program's files")
    if stego > 0.57:
        raise SystemExit("the structure tells stego images from clean ones")


main()
