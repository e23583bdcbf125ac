"""The official PyTorch code of GNT as the baseline of gpu.sh: its speed, and its colours with the same weights.

    gpu_baseline.py --gnt FOLDER --work FOLDER [--device cuda|cpu] [--tiny] [--chunks N,N] prepare
    gpu_baseline.py ... compare FOLDER...     folders with frames that shiftray rendered of the prepared scene
    gpu_baseline.py ... time

`prepare` writes to the work folder: checkpoint.pth with random weights of the official sizes, a scene (Blender layout),
and path.json with the target. `compare` and `time` print one JSON object. The network, the feature network and the
look-ups are the official modules, loaded from the folder as they are; only what surrounds them is written here.
"""

import argparse
import importlib.util
import json
import math
import os
import sys
import time
import types

# Nothing is left behind in the source tree.
sys.dont_write_bytecode = True

import torch

from gpu_report import compare_bytes, read_png, write_png

DEPTH, WIDTH, FEATURES = 8, 64, 32
# Blender scenes are sampled between these.
NEAR, FAR = 2.0, 6.0


def official(folder, name):
    """A module of the official package, without running its other modules, which need packages that nothing here uses."""
    if "gnt" not in sys.modules:
        package = types.ModuleType("gnt")
        package.__path__ = [os.path.join(folder, "gnt")]
        sys.modules["gnt"] = package
    spec = importlib.util.spec_from_file_location(f"gnt.{name}", os.path.join(folder, "gnt", f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def networks(folder, device):
    torch.manual_seed(0)
    sizes = types.SimpleNamespace(trans_depth=DEPTH, netwidth=WIDTH)
    encoding = 3 + 3 * 2 * 10
    network = official(folder, "transformer_network").GNT(
        sizes, in_feat_ch=FEATURES, posenc_dim=encoding, viewenc_dim=encoding, ret_alpha=False
    )
    features = official(folder, "feature_network").ResUNet(
        coarse_out_ch=FEATURES, fine_out_ch=FEATURES, single_net=True
    )
    with torch.no_grad():
        # Colours that an image can hold.
        network.rgb_fc.weight.mul_(0.45)
        network.rgb_fc.bias.fill_(0.5)
    return network.to(device).eval(), features.to(device).eval()


class Setting:
    """Cameras on a ring, and a target in the middle with a narrower lens."""

    def __init__(self, tiny):
        self.views = 2 if tiny else 10
        self.size = (64, 48) if tiny else (252, 189)
        self.target_size = (16, 12) if tiny else (84, 63)
        self.samples = [8] if tiny else [192, 64]
        self.chunks = [2, 4] if tiny else [256, 512, 1024, 2048, 4096, 8192]
        self.seconds = 0.1 if tiny else 1.0

    def poses(self):
        """Camera centres; all look along z (x right, y down)."""
        for v in range(self.views):
            angle = 2 * math.pi * v / self.views
            yield (0.3 * math.cos(angle), 0.3 * math.sin(angle), 0.0)

    def image(self, v):
        """A smooth pattern with some noise, as bytes."""
        (width, height), generator = self.size, torch.Generator().manual_seed(v)
        y, x = torch.meshgrid(torch.arange(height) / height, torch.arange(width) / width, indexing="ij")
        waves = [torch.sin((3 + c) * 6.28 * x + v) * torch.cos((2 + c) * 6.28 * y) for c in range(3)]
        values = 0.5 + 0.35 * torch.stack(waves, -1) + 0.1 * (torch.rand(height, width, 3, generator=generator) - 0.5)
        return (values.clamp(0, 1) * 255).round().to(torch.uint8)

    def focal(self):
        return 0.8 * self.size[0]

    def target_focal(self):
        return 1.6 * self.target_size[0]


def opengl(centre):
    """Camera-to-world with x right, y up, z backwards."""
    x, y, z = centre
    return [[1, 0, 0, x], [0, -1, 0, y], [0, 0, -1, z], [0, 0, 0, 1]]


def camera(size, focal, centre):
    """The official 34 numbers: height, width, intrinsics and camera-to-world with y down."""
    (width, height), (x, y, z) = size, centre
    intrinsics = [focal, 0, width / 2, 0, 0, focal, height / 2, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    return torch.tensor([height, width, *intrinsics, 1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z, 0, 0, 0, 1], dtype=torch.float32)


def prepare(args, setting):
    network, features = networks(args.gnt, "cpu")
    folder = os.path.join(args.work, "scene")
    os.makedirs(os.path.join(folder, "train"), exist_ok=True)
    state = {"net_coarse": network.state_dict(), "feature_net": features.state_dict()}
    torch.save(state, os.path.join(args.work, "checkpoint.pth"))
    frames = []
    for v, centre in enumerate(setting.poses()):
        path = os.path.join(folder, "train", f"r_{v}.png")
        write_png(path, *setting.size, setting.image(v).flatten().tolist())
        frames.append({"file_path": f"./train/r_{v}", "transform_matrix": opengl(centre)})
    angle = 2 * math.atan(0.5 * setting.size[0] / setting.focal())
    with open(os.path.join(folder, "transforms_train.json"), "w", encoding="utf-8") as file:
        json.dump({"camera_angle_x": angle, "frames": frames}, file)
    (width, height), focal = setting.target_size, setting.target_focal()
    lens = {"w": width, "h": height, "fl_x": focal, "fl_y": focal, "cx": width / 2, "cy": height / 2}
    target = {"name": "target", "camera_to_world": opengl((0, 0, 0)), **lens}
    with open(os.path.join(args.work, "path.json"), "w", encoding="utf-8") as file:
        json.dump({"frame": "scene", "frames": [target]}, file)


class Renderer:
    """The official modules on the prepared scene."""

    def __init__(self, args, setting):
        self.device = torch.device(args.device)
        self.setting = setting
        self.network, self.features = networks(args.gnt, self.device)
        self.projector = official(args.gnt, "projection").Projector(self.device)
        self.sample = official(args.gnt, "render_ray").sample_along_camera_ray
        images = torch.stack([setting.image(v) for v in range(setting.views)]).float() / 255
        cameras = [camera(setting.size, setting.focal(), centre) for centre in setting.poses()]
        self.images = images[None].to(self.device)
        self.cameras = torch.stack(cameras)[None].to(self.device)
        self.query = camera(setting.target_size, setting.target_focal(), (0, 0, 0))[None].to(self.device)
        with torch.no_grad():
            self.maps = self.features(self.images.squeeze(0).permute(0, 3, 1, 2))[0]

    def rays(self, count=None):
        """Origins and directions of the target's pixels, again from the first where more are asked for."""
        (width, height), focal = self.setting.target_size, self.setting.target_focal()
        number = torch.arange(width * height if count is None else count, device=self.device) % (width * height)
        x, y = (number % width).float(), (number // width).float()
        direction = torch.stack([(x - width / 2) / focal, (y - height / 2) / focal, torch.ones_like(x)], -1)
        return torch.zeros_like(direction), direction

    def look_up(self, origin, direction, samples):
        """What the network reads of the rays."""
        bounds = torch.tensor([[NEAR, FAR]], device=self.device)
        points, _ = self.sample(origin, direction, bounds, samples, inv_uniform=True, det=True)
        found = self.projector.compute(points, self.query, self.images, self.cameras, featmaps=self.maps)
        return (*found, points, direction)


def compare(args, setting):
    renderer, samples = Renderer(args, setting), 192
    torch.set_float32_matmul_precision("highest")
    colours = []
    with torch.no_grad():
        origin, direction = renderer.rays()
        for o, d in zip(origin.split(512), direction.split(512)):
            colours.append(renderer.network(*renderer.look_up(o, d, samples)))
    colours = torch.cat(colours).clamp(0, 1)
    spread = (colours.amax(0) - colours.amin(0)).tolist()
    want = bytes((colours * 255).round().to(torch.uint8).flatten().tolist())
    folders = {}
    for folder in args.folders:
        name = os.path.basename(os.path.normpath(folder))
        try:
            width, height, got = read_png(os.path.join(folder, "target.png"))
            if (width, height) != setting.target_size:
                raise ValueError(f"expected a frame of {setting.target_size}, found {width}x{height}")
            folders[name] = compare_bytes(got, want)
        except (OSError, ValueError) as problem:
            folders[name] = {"problem": str(problem)}
    print(json.dumps({"samples": samples, "views": setting.views, "spread": spread, "folders": folders}))
    return 1 if any("problem" in found for found in folders.values()) else 0


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def rate(renderer, samples, chunk, whole, autocast, seconds):
    """Rays a second, the median of several launches."""
    origin, direction = renderer.rays(chunk)
    inputs = renderer.look_up(origin, direction, samples)

    def run():
        with torch.no_grad(), torch.autocast(renderer.device.type, dtype=torch.bfloat16, enabled=autocast):
            renderer.network(*(renderer.look_up(origin, direction, samples) if whole else inputs))
        wait(renderer.device)

    run()
    times, until = [], time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < until and len(times) < 50):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return chunk / sorted(times)[len(times) // 2]


def measure(args, setting):
    """The network alone in three precisions, and with its look-ups in the fastest; the best chunk of each."""
    renderer, rows = Renderer(args, setting), []
    kinds = [("fp32", "highest", False), ("tf32", "high", False), ("bf16 autocast", "high", True)]
    for samples in setting.samples:
        for whole in (False, True):
            for precision, products, autocast in kinds:
                torch.set_float32_matmul_precision(products)
                row = {"samples": samples, "views": setting.views, "precision": precision, "chunk": 0}
                row.update(what="network and look-ups" if whole else "network", rays_per_second=0.0, chunks={})
                for chunk in setting.chunks:
                    try:
                        found = rate(renderer, samples, chunk, whole, autocast, setting.seconds)
                    except RuntimeError as problem:
                        # Out of memory, or more than a kernel's grid takes: larger chunks will not do better.
                        row["problem"] = str(problem).splitlines()[0]
                        if renderer.device.type == "cuda":
                            torch.cuda.empty_cache()
                        break
                    row["chunks"][chunk] = found
                    if found > row["rays_per_second"]:
                        row["rays_per_second"], row["chunk"] = found, chunk
                    elif found < 0.9 * row["rays_per_second"]:
                        break
                rows.append(row)
    name = torch.cuda.get_device_name(renderer.device) if renderer.device.type == "cuda" else "cpu"
    print(json.dumps({"torch": torch.__version__, "device": name, "rows": rows}))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gnt", required=True, help="the official source tree")
    parser.add_argument("--work", required=True, help="folder of what is prepared")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes to try the script with")
    parser.add_argument("--chunks", help="rays a launch to try, as in 2,4,8; for a CPU far fewer than a GPU takes")
    parser.add_argument("command", choices=["prepare", "compare", "time"])
    parser.add_argument("folders", nargs="*", help="frames to compare")
    args = parser.parse_args()
    setting = Setting(args.tiny)
    if args.chunks:
        setting.chunks = [int(rays) for rays in args.chunks.split(",")]
    os.makedirs(args.work, exist_ok=True)
    if args.command == "prepare":
        return prepare(args, setting) or 0
    return compare(args, setting) if args.command == "compare" else measure(args, setting)


if __name__ == "__main__":
    sys.exit(main())
