"""PSNR against seconds a frame for pairs of model and samples, as a table and a plot.

    seconds.py [--program P] [--scenes llff/fern,llff/horns] [--frames 1] [--stride 1] [--rounds 2] [--out FOLDER] MODEL=SAMPLES[,SAMPLES..] ..

Renders the first held-out photographs of each scene (`shiftray render --path test --factor 8 --device cpu`) with every
pair, all pairs in turn and that several times, and writes `seconds.md` (means over scenes; the least time of the rounds,
which other work disturbs least) and `seconds.svg` into FOLDER. Nothing else should run. A model is a built-in name or a
file; its title is the file's name without its ending. Needs Python alone.
"""

import argparse
import json
import math
import subprocess
import tempfile
from pathlib import Path

COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"]


def render(args, scene, model, samples):
    with tempfile.TemporaryDirectory() as folder:
        command = [args.program, "render", "--scene", scene, "--factor", "8", "--path", "test", "--device", "cpu", "--json"]
        command += ["--frames", str(args.frames), "--stride", str(args.stride), "--model", model, "--samples", samples]
        done = subprocess.run(command + ["--out", folder], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr.strip().splitlines()[-1])
        report = json.loads(done.stdout)
        return report["mean_psnr"], report["seconds_per_frame"], report["seconds_features"]


def ticks(low, high):
    """Round numbers on a logarithmic axis."""
    numbers = [m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5)]
    return [n for n in numbers if low <= n <= high]


def plot(lines):
    """An SVG of lines {title: [(seconds, psnr, samples)]}."""
    width, height, left, top = 720, 420, 60, 20
    right, bottom = width - 180, height - 50
    points = [p for line in lines.values() for p in line]
    low, high = min(p[0] for p in points) / 1.3, max(p[0] for p in points) * 1.3
    worst, best = math.floor(min(p[1] for p in points) * 2 - 0.2) / 2, math.ceil(max(p[1] for p in points) * 2 + 0.2) / 2
    x = lambda s: left + (right - left) * math.log(s / low) / math.log(high / low)
    y = lambda q: bottom - (bottom - top) * (q - worst) / (best - worst)
    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    svg.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for s in ticks(low, high):
        svg.append(f'<path d="M{x(s):.1f} {top}V{bottom}" stroke="#ddd"/>')
        svg.append(f'<text x="{x(s):.1f}" y="{bottom + 18}" text-anchor="middle">{s:g}</text>')
    for half in range(round(worst * 2), round(best * 2) + 1):
        svg.append(f'<path d="M{left} {y(half / 2):.1f}H{right}" stroke="#ddd"/>')
        svg.append(f'<text x="{left - 8}" y="{y(half / 2) + 4:.1f}" text-anchor="end">{half / 2:g}</text>')
    svg.append(f'<text x="{(left + right) / 2}" y="{height - 12}" text-anchor="middle">seconds a frame</text>')
    svg.append(f'<text transform="translate(16 {(top + bottom) / 2}) rotate(-90)" text-anchor="middle">PSNR, dB</text>')
    for (title, line), colour in zip(lines.items(), COLOURS * 9):
        line = sorted(line)
        path = "L".join(f"{x(s):.1f} {y(q):.1f}" for s, q, _ in line)
        svg.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for s, q, samples in line:
            svg.append(f'<circle cx="{x(s):.1f}" cy="{y(q):.1f}" r="3.5" fill="{colour}"/>')
            svg.append(f'<text x="{x(s) + 5:.1f}" y="{y(q) + 14:.1f}" font-size="9" fill="#555">{samples}</text>')
        row = top + 14 + 20 * list(lines).index(title)
        svg.append(f'<circle cx="{right + 14}" cy="{row - 4}" r="4" fill="{colour}"/>')
        svg.append(f'<text x="{right + 24}" y="{row}">{title}</text>')
    return "\n".join(svg + ["</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pairs", nargs="+", metavar="MODEL=SAMPLES[,SAMPLES..]")
    parser.add_argument("--program", default="target/release/shiftray")
    parser.add_argument("--scenes", default="llff/fern,llff/horns")
    parser.add_argument("--frames", type=int, default=1)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("."))
    args = parser.parse_args()
    pairs = [(model, samples) for pair in args.pairs for model, all in [pair.rsplit("=", 1)] for samples in all.split(",")]
    scenes = args.scenes.split(",")
    found = {}
    for _ in range(args.rounds):
        for pair in pairs:
            for scene in scenes:
                found.setdefault((pair, scene), []).append(render(args, scene, *pair))
    mean = lambda values: sum(values) / len(values)
    table = ["| model | samples | PSNR, dB | s a frame | once for the sources, s |", "|---|---|---|---|---|"]
    lines = {}
    for model, samples in pairs:
        rounds = [found[(model, samples), scene] for scene in scenes]
        psnr = mean([r[0][0] for r in rounds])
        seconds, once = (mean([min(round[i] for round in r) for r in rounds]) for i in (1, 2))
        guided = "guided" if ":" in samples or samples == "auto" else "even"
        title = Path(model).stem
        lines.setdefault(f"{title}, {guided}", []).append((seconds, psnr, samples))
        table.append(f"| `{title}` | {samples} | {psnr:.2f} | {seconds:.2f} | {once:.1f} |")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "seconds.md").write_text("\n".join(table) + "\n")
    (args.out / "seconds.svg").write_text(plot(lines))
    print("\n".join(table))


if __name__ == "__main__":
    main()
