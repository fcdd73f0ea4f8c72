"""How far the changes of each mode can be detected.

    detectability.py [--secret BYTES] [--payloads N] [--seeds N] [--photos N]

Covers are the centre crops, 512 x 512, of the photographs in $STEG_PHOTOS. Attackers are chi-square (Westfeld and
Pfitzmann 1999), RS (Fridrich, Goljan and Du 2001), SPA (Dumitrescu, Wu and Wang 2003), WS (Ker and Boehme 2008) and
HCF-COM (Ker 2005); the displacement is that of SPAM features (Pevny, Bas and Fridrich 2010). Implementations of chi-square,
SPA, WS, HCF-COM, SPAM and the HILL simulator are those of sealwatch and conseal; RS is below.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import conseal
import numpy as np
import sealwatch
from PIL import Image

SIDE = 512
RESAMPLES = 2000


def crops(folder, most):
    for path in sorted(Path(folder).iterdir()):
        try:
            image = np.asarray(Image.open(path))
        except OSError:
            continue
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < SIDE:
            continue
        y, x = (image.shape[0] - SIDE) // 2, (image.shape[1] - SIDE) // 2
        yield path.stem, np.ascontiguousarray(image[y : y + SIDE, x : x + SIDE])
        most -= 1
        if most == 0:
            return


# --- attackers: a score that grows with what is hidden ---------------------------------------------------------------


def rs_rate(x):
    """Regular and singular groups of four samples in a row, with the mask (0, 1, 1, 0)."""
    x = x[:, : x.shape[1] // 4 * 4].astype(np.int64).reshape(-1, 4)
    mask = np.array([0, 1, 1, 0])

    def counts(x, sign):
        smooth = np.abs(np.diff(x, axis=1)).sum(1)
        # Flipping by F1 exchanges 2i and 2i + 1; by its shifted form 2i - 1 and 2i.
        flipped = np.where(mask == 1, x ^ 1 if sign > 0 else ((x + 1) ^ 1) - 1, x)
        after = np.abs(np.diff(flipped, axis=1)).sum(1)
        return np.mean(after > smooth), np.mean(after < smooth)

    (rm, sm), (rn, sn) = counts(x, 1), counts(x, -1)
    (rm1, sm1), (rn1, sn1) = counts(x ^ 1, 1), counts(x ^ 1, -1)
    d0, d1, e0, e1 = rm - sm, rm1 - sm1, rn - sn, rn1 - sn1
    a, b, c = 2 * (d1 + d0), e0 - e1 - d1 - 3 * d0, d0 - e0
    if abs(a) < 1e-12:
        z = -c / b if b else 0.0
    else:
        roots = (-b + np.array([1, -1]) * np.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)
        z = roots[np.argmin(np.abs(roots))]
    return z / (z - 0.5)


def hcf_com(x):
    """The centre of mass beside that of the image at half the size, which the noise of changes leaves alone."""
    def centre(x):
        h = np.abs(np.fft.fft(np.histogram(x, range(257), density=True)[0])[1:129])
        return (np.arange(1, 129) * h).sum() / h.sum()

    half = (x[::2, ::2].astype(int) + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) // 4
    return -centre(x) / centre(half)


ATTACKERS = {
    "chi-square": lambda x: -sealwatch.chi2.attack(x)[0],
    "RS": rs_rate,
    "SPA": sealwatch.spa.attack,
    "WS": sealwatch.ws.attack,
    "HCF-COM": hcf_com,
}


def scores(image):
    return {name: float(np.mean([attack(image[..., c]) for c in range(3)])) for name, attack in ATTACKERS.items()}


def auc(clean, stego):
    clean, stego = np.asarray(clean)[:, None], np.asarray(stego)[None, :]
    return float(np.mean((stego > clean) + 0.5 * (stego == clean)))


def bootstrap(statistic, photographs, rng):
    """The 95 % interval of a statistic over resampled photographs."""
    values = [statistic(rng.integers(0, photographs, photographs)) for _ in range(RESAMPLES)]
    return np.percentile(values, [2.5, 97.5])


# --- features and the simulator --------------------------------------------------------------------------------------


def spam(image):
    parts = []
    for c in range(3):
        features = sealwatch.spam.extract(image[..., c])
        parts += [np.ravel(features[name]) for name in sorted(features)]
    return np.concatenate(parts)


class Simulator:
    """The optimal sender at HILL costs, as conseal computes them, by the distortion that is expected."""

    def __init__(self, cover):
        costs = [conseal.hill.compute_cost_adjusted(np.ascontiguousarray(cover[..., c])) for c in range(3)]
        self.cover = cover
        self.up, self.down = (np.stack([pair[i] for pair in costs], -1).astype(np.float64) for i in (0, 1))

    def distortion(self, stego):
        change = stego.astype(int) - self.cover
        return float(self.up[change == 1].sum() + self.down[change == -1].sum())

    def probabilities(self, weight):
        up, down = np.exp(-weight * self.up), np.exp(-weight * self.down)
        return up / (1 + up + down), down / (1 + up + down)

    def at_distortion(self, distortion):
        low, high = 1e-9, 1e6
        for _ in range(80):
            middle = np.sqrt(low * high)
            up, down = self.probabilities(middle)
            if (up * self.up).sum() + (down * self.down).sum() > distortion:
                low = middle
            else:
                high = middle
        return self.probabilities(high)

    def payload(self, probabilities):
        up, down = probabilities
        rest = 1 - up - down
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -sum(np.nansum(p * np.log2(p)) for p in (up, down, rest))
        return float(entropy)

    def optimal(self, bits):
        """The least distortion of a payload."""
        low, high = 1e-9, 1e6
        for _ in range(80):
            middle = np.sqrt(low * high)
            if self.payload(self.probabilities(middle)) > bits:
                low = middle
            else:
                high = middle
        up, down = self.probabilities(high)
        return float((up * self.up).sum() + (down * self.down).sum())

    def simulated(self, probabilities, rng):
        up, down = probabilities
        random = rng.random(self.cover.shape)
        change = (random < up).astype(int) - ((random >= up) & (random < up + down))
        return (self.cover + change).astype(np.uint8)


# --- the run ---------------------------------------------------------------------------------------------------------


def embedded(folder, jobs):
    """Runs jobs (mode, name, secret's length, seed) and returns the images in their order."""
    program = Path(json.loads(subprocess.run(
        ["cargo", "metadata", "--format-version=1", "--no-deps"], capture_output=True, check=True,
        cwd=Path(__file__).parent,
    ).stdout)["target_directory"]) / "debug/examples/embed_samples"
    paths = [folder / f"{i}.png" for i in range(len(jobs))]
    lines = [f"{mode}\t{folder / name}.png\t{path}\t{length}\t{seed}" for (mode, name, length, seed), path in zip(jobs, paths)]
    subprocess.run([program], input="\n".join(lines).encode(), check=True)
    images = [np.asarray(Image.open(path)) for path in paths]
    for path in paths:
        path.unlink()
    return images


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--secret", type=int, default=10_240)
    arguments.add_argument("--payloads", type=int, default=3)
    arguments.add_argument("--seeds", type=int, default=8)
    arguments.add_argument("--photos", type=int, default=-1)
    given = arguments.parse_args()
    begin, rng = time.time(), np.random.default_rng(20)
    covers = list(crops(os.environ["STEG_PHOTOS"], given.photos))
    if len(covers) < 2:
        sys.exit("fewer than two photographs of 512 x 512 in RGB")
    print(f"{len(covers)} crops of {SIDE} x {SIDE}, {given.secret} random bytes = {8 * given.secret / SIDE**2 / 3:.3f} bits per sample")

    clean = [scores(cover) for _, cover in covers]
    features = [spam(cover) for _, cover in covers]
    deviation = np.std(features, axis=0)
    used = deviation > 0

    def displacement(image, cover):
        return float(np.mean(((spam(image) - features[cover])[used] / deviation[used]) ** 2))

    control = int(0.4 * 3 * SIDE**2 / 8)
    found, moved, ratios = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for i, (name, cover) in enumerate(covers):
            Image.fromarray(cover).save(folder / f"{name}.png")
            seeds = range(1000 * i, 1000 * i + given.payloads)
            jobs = [("adaptive", name, given.secret, s) for s in seeds] + [("scattered", name, given.secret, s) for s in seeds]
            jobs += [("sequential", name, given.secret, 1), ("scattered", name, control, 1)]
            images = embedded(folder, jobs)
            adaptive, scattered = images[: given.payloads], images[given.payloads : 2 * given.payloads]
            for mode, of_mode in (("adaptive", adaptive), ("scattered", scattered), ("sequential", images[-2:-1]), ("control", images[-1:])):
                found.setdefault(mode, []).append([scores(image) for image in of_mode])
            simulator = Simulator(cover)
            distortion = np.mean([simulator.distortion(image) for image in adaptive])
            ratios.append(distortion / simulator.optimal(8 * given.secret))
            probabilities = simulator.at_distortion(distortion)
            simulated = [displacement(simulator.simulated(probabilities, rng), i) for _ in range(given.seeds)]
            half = given.seeds // 2
            moved.setdefault("adaptive", []).append(np.mean([displacement(image, i) for image in adaptive]))
            moved.setdefault("simulator", []).append(np.mean(simulated))
            moved.setdefault("one half", []).append(np.mean(simulated[:half]))
            moved.setdefault("other half", []).append(np.mean(simulated[half:]))
            moved.setdefault("scattered", []).append(np.mean([displacement(image, i) for image in scattered]))

    def area(mode, attacker, chosen):
        stego = [s[attacker] for i in chosen for s in found[mode][i]]
        return auc([clean[i][attacker] for i in chosen], stego)

    everyone = np.arange(len(covers))
    for mode, title in (
        ("control", "control: ±1 matching at 0.4 bits per sample"), ("sequential", "sequential"),
        ("scattered", "scattered"), ("adaptive", "adaptive"),
    ):
        print(f"\n{title}: AUC, 95 % interval over photographs")
        for attacker in ATTACKERS:
            low, high = bootstrap(lambda chosen: area(mode, attacker, chosen), len(covers), rng)
            print(f"  {attacker:10} {area(mode, attacker, everyone):.3f}  ({low:.3f} to {high:.3f})")

    print("\nmean squared displacement of SPAM, in clean standard deviations: ratio, 95 % interval over photographs")
    moved = {name: np.array(values) for name, values in moved.items()}
    for a, b, title in (
        ("adaptive", "simulator", "adaptive / HILL simulator at the same expected distortion"),
        ("one half", "other half", "the simulator / itself, other seeds"),
        ("adaptive", "scattered", "adaptive / ±1 matching of the same payload"),
    ):
        def ratio(chosen):
            return moved[a][chosen].sum() / moved[b][chosen].sum()

        low, high = bootstrap(ratio, len(covers), rng)
        print(f"  {title}: {ratio(everyone):.3f}  ({low:.3f} to {high:.3f})")
    print(f"\ndistortion at conseal's costs / optimal sender's in the whole crop: median {np.median(ratios):.3f}, worst {np.max(ratios):.3f}")
    print(f"{time.time() - begin:.0f} s")


if __name__ == "__main__":
    main()
