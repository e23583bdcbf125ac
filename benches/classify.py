"""The compact classifier in PyTorch: the same answers as `shiftray classify`, and how many pictures a second.

Needs torch, numpy, safetensors and pillow. Run beside the program, nothing else on the machine:

    python3 benches/classify.py MODEL.safetensors PICTURES.tar.xz --threads 2
    shiftray classify --eval PICTURES.tar.xz --model MODEL.safetensors --precision f32 --threads 2

MODEL is a dense one of `shiftray train classifier`, in files of 32 or 16 bits; PICTURES a tar archive with a folder a class.
"""

import argparse
import io
import json
import tarfile
import time

import numpy
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open


class Compact:
    """The network of `src/vit/compact`, forward only, from its parameters by name."""

    def __init__(self, path, dtype):
        with safe_open(path, "pt") as file:
            self.about = json.loads(file.metadata()["classifier"])
            self.p = {name: file.get_tensor(name).to(dtype) for name in file.keys()}
        self.dtype, self.config = dtype, self.about["config"]
        for key, dense in [("attention", "softmax"), ("linears", "dense"), ("feed_forward", "dense")]:
            if self.config[key] != dense:
                raise SystemExit(f"{path}: expected {key} {dense!r}, found {self.config[key]!r}")
        # As PyTorch's convolutions read pixels with channels last.
        self.p = {name: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t for name, t in self.p.items()}

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.p[f"{name}.weight"], self.p[f"{name}.bias"], 1e-5)

    def linear(self, name, x):
        return F.linear(x, self.p[f"{name}.weight"], self.p.get(f"{name}.bias"))

    def conv(self, name, x, **options):
        return F.conv2d(x, self.p[f"{name}.weight"], self.p[f"{name}.bias"], **options)

    def pixel_norm(self, name, x):
        return F.relu(self.norm(name, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    def __call__(self, x):
        """Logits `[images, classes]` of normalised images `[images, 3, side, side]`."""
        c, heads = self.config["width"], self.config["heads"]
        x = self.pixel_norm("stem.norm1", F.max_pool2d(self.conv("stem.conv1", x, padding=1), 2))
        x = self.pixel_norm("stem.norm2", self.conv("stem.conv2", x, padding=1))
        x = x + self.pixel_norm("stem.norm3", self.conv("stem.conv3", x, padding=1))
        x = self.conv("stem.tokens", x, stride=2)
        images, _, side, _ = x.shape
        x = x.permute(0, 2, 3, 1).reshape(images, side * side, c) + self.p["position"]
        for i in range(self.config["depth"]):
            block = f"blocks.{i}"
            grid = x.reshape(images, side, side, c).permute(0, 3, 1, 2)
            x = x + self.conv(f"{block}.local", grid, padding=1, groups=c).permute(0, 2, 3, 1).reshape(x.shape)
            y = self.norm(f"{block}.attn_norm", x)
            parts = [self.linear(f"{block}.attn.{n}_fc", y).reshape(images, -1, heads, c // heads).transpose(1, 2) for n in "qkv"]
            y = F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(x.shape)
            x = x + self.linear(f"{block}.attn.out_fc", y)
            y = F.relu(self.linear(f"{block}.ff.fc1", self.norm(f"{block}.ff_norm", x)))
            x = x + self.linear(f"{block}.ff.fc2", y)
        x = self.norm("norm", x)
        weights = self.linear("pool", x).softmax(1)
        return self.linear("head", (weights.transpose(1, 2) @ x).squeeze(1))


def pictures(path, classes):
    """All pictures `[n, 3, side, side]` of 0 to 1 and their classes."""
    x, labels = [], []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
                x.append(numpy.asarray(image))
                labels.append(classes.index(member.name.split("/")[-2]))
    return torch.from_numpy(numpy.stack(x)).permute(0, 3, 1, 2).float() / 255, torch.tensor(labels)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model")
    options.add_argument("pictures")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--batch", type=int, default=64)
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    for dtype in [torch.float32, torch.bfloat16]:
        model = Compact(args.model, dtype)
        x, labels = pictures(args.pictures, model.about["classes"])
        mean, std = (torch.tensor(model.about["preprocess"][key]).reshape(3, 1, 1) for key in ["mean", "std"])
        x = ((x - mean) / std).to(dtype).contiguous(memory_format=torch.channels_last)
        for batch in [1, args.batch]:
            # Once to warm up, then the median of parts of the pictures.
            count = min(len(x), 200 if batch == 1 else len(x))
            seconds, right = [], 0
            model(x[:batch])
            for first in range(0, count, batch):
                started = time.perf_counter()
                logits = model(x[first : first + batch])
                seconds.append((time.perf_counter() - started) / len(logits))
                right += int((logits.argmax(1) == labels[first : first + batch]).sum())
            rate = 1 / float(numpy.median(seconds))
            kind = str(dtype).removeprefix("torch.")
            print(f"{kind:9} batch {batch:3}: {rate:7.0f} pictures a second, {100 * right / count:.2f} % of {count} right")


if __name__ == "__main__":
    main()
