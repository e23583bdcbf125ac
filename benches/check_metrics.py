"""Computes PSNR and SSIM of a report's images again, by numpy and scikit-image, and compares.

    check_metrics.py REPORT SCENES

REPORT is the folder of `shiftray eval --scale N --stride 1 --ssim gaussian` (or `uniform`) on LLFF scenes whose
`images_N` exist, so that the photographs are compared as they lie there; SCENES is the folder that has the scenes by the
names that the command line gave. Exits 1 if a figure differs by more than 1e-4. Needs numpy, pillow and scikit-image.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity

WINDOWS = {"gaussian": dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False), "uniform": {}}


def colours(path):
    return np.asarray(Image.open(path).convert("RGB")) / 255.0


def main():
    report, scenes = map(Path, sys.argv[1:])
    metrics = json.loads((report / "metrics.json").read_text())
    window = WINDOWS[metrics["settings"]["ssim"]]
    given = {scene["name"]: scene["given"] for scene in metrics["scenes"]}
    worst = {"psnr": 0.0, "ssim": 0.0}
    count = 0
    for case in metrics["cases"]:
        assert case["stride"] == 1, "expected --stride 1"
        folder = scenes / given[case["scene"]] / f"images_{case['scale']}"
        for image in case["images"]:
            ours = colours(report / image["file"])
            [photograph] = [path for path in folder.iterdir() if path.stem == image["name"]]
            truth = colours(photograph)
            figures = {
                "psnr": -10.0 * np.log10(np.mean((ours - truth) ** 2) + 1e-6),
                "ssim": structural_similarity(truth, ours, channel_axis=2, data_range=1.0, **window),
            }
            for name, figure in figures.items():
                worst[name] = max(worst[name], abs(figure - image[name]))
            count += 1
    print(f"{count} images, largest differences: PSNR {worst['psnr']:.1e} dB, SSIM {worst['ssim']:.1e}")
    sys.exit(count == 0 or max(worst.values()) > 1e-4)


main()
