"""Helper of gpu.sh: notes its steps, compares PNG files and writes the report. Needs nothing but Python.

    gpu_report.py nvrtc                                            prints the folder of NVRTC in Python's packages
    gpu_report.py step FILE NAME CODE START END LIMIT COMMAND...   appends a line of JSON to FILE
    gpu_report.py psnr FOLDER FOLDER                               compares the PNG files of the same names
    gpu_report.py classes FILE FILE                                compares what `classify --json` said of the same pictures
    gpu_report.py write LOGS STEM                                  writes STEM.json and STEM.md from what there is so far
"""

import datetime
import glob
import json
import math
import os
import re
import site
import statistics
import struct
import sys
import time
import zlib


def nvrtc():
    """Folder of libnvrtc.so in the packages that PyTorch brings along, the newest first."""
    packages = dict.fromkeys([*sys.path, *site.getsitepackages(), site.getusersitepackages()])
    for folder in ("cu1[3-9]/lib", "cuda_nvrtc/lib"):
        for package in packages:
            found = sorted(glob.glob(os.path.join(package or ".", "nvidia", folder, "libnvrtc.so.*")))
            if found:
                return os.path.dirname(os.path.abspath(found[-1]))
    return None


def note_step(path, name, code, start, end, limit, *command):
    step = {"name": name, "code": int(code) if code.lstrip("-").isdigit() else code, "command": list(command)}
    step.update(start=float(start), end=float(end), limit=float(limit))
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(step) + "\n")


# PNG files of 8 bits a channel, without interlacing: what shiftray writes.


def write_png(path, width, height, rgb):
    """Writes `[height, width, 3]` bytes."""
    stride = 3 * width
    raw = b"".join(b"\0" + bytes(rgb[y * stride : (y + 1) * stride]) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))


def read_png(path):
    """Width, height and `[height, width, 3]` bytes."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"{path}: not a PNG file")
    at, packed, header = 8, b"", None
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    if header is None or header[2:] != (8, 2, 0, 0, 0):
        raise ValueError(f"{path}: expected 8-bit RGB without interlacing, found {header}")
    width, height = header[:2]
    raw, stride = zlib.decompress(packed), 3 * width
    before, out = bytearray(stride), bytearray()
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            left = line[i - 3] if i >= 3 else 0
            corner = before[i - 3] if i >= 3 else 0
            line[i] = (line[i] + predicted(kind, left, before[i], corner)) & 255
        out += line
        before = line
    return width, height, bytes(out)


def predicted(kind, left, above, corner):
    """What a PNG filter adds to a byte."""
    if kind == 4:
        p = left + above - corner
        distances = abs(p - left), abs(p - above), abs(p - corner)
        return (left, above, corner)[distances.index(min(distances))]
    return (0, left, above, (left + above) // 2)[kind]


def compare_bytes(a, b):
    """PSNR in dB (none if equal), largest difference in levels, and the part of the values that differ."""
    if len(a) != len(b) or not a:
        raise ValueError(f"expected images of one size, found {len(a)} and {len(b)} bytes")
    off = [abs(x - y) for x, y in zip(a, b)]
    square = sum(d * d for d in off) / len(off)
    psnr = 10 * math.log10(255 * 255 / square) if square else None
    return {"psnr": psnr, "largest": max(off), "unlike": sum(d > 0 for d in off) / len(off)}


def classes_of_files(found, reference):
    """The largest distance of a probability, and the pictures whose likeliest classes differ."""
    answers = []
    for path in (found, reference):
        with open(path, encoding="utf-8") as file:
            answers.append([{c["index"]: c["probability"] for c in a["classes"]} for a in json.load(file)])
    found, reference = answers
    if len(found) != len(reference):
        raise SystemExit(f"expected {len(reference)} pictures, found {len(found)}")
    off = [abs(a.get(i, 0.0) - p) for a, b in zip(found, reference) for i, p in b.items()]
    other = sum(max(a, key=a.get) != max(b, key=b.get) for a, b in zip(found, reference))
    return {"pictures": len(found), "largest": max(off), "other_class": other}


def psnr_of_folders(folder, reference):
    names = sorted(name for name in os.listdir(reference) if name.endswith(".png"))
    if not names:
        raise ValueError(f"{reference}: found no PNG file")
    frames = [{"name": n, **compare_bytes(read(folder, n), read(reference, n))} for n in names]
    psnrs = [frame["psnr"] for frame in frames if frame["psnr"] is not None]
    return {"frames": frames, "psnr": min(psnrs) if psnrs else None}


def read(folder, name):
    return read_png(os.path.join(folder, name))[2]


# The report.


class Logs:
    """What the steps left behind."""

    def __init__(self, folder):
        self.folder = folder
        path = os.path.join(folder, "steps.jsonl")
        with open(path, encoding="utf-8") as file:
            self.steps = {step["name"]: step for step in map(json.loads, file)}

    def text(self, name, kind="out"):
        try:
            with open(os.path.join(self.folder, f"{name}.{kind}"), encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def json(self, name):
        """The object that a step printed, even one that failed after it."""
        for line in reversed(self.text(name).strip().splitlines()):
            try:
                return json.loads(line)
            except ValueError:
                continue
        return None

    def clocks(self, start, end, number):
        """Medians of what nvidia-smi saw of a GPU between two moments."""
        rows = []
        for line in self.text("clocks", "csv").splitlines():
            cells = [cell.strip() for cell in line.split(",")]
            try:
                seconds, fraction = cells[0].split(".")
                moment = time.mktime(time.strptime(seconds, "%Y/%m/%d %H:%M:%S")) + float("0." + fraction)
                values = [float(cell) for cell in cells[1:6]]
            except (ValueError, IndexError):
                continue
            if len(values) == 5 and values[0] == number and start <= moment <= end:
                rows.append(values[1:])
        # The first second is start-up.
        rows = rows[5:] or rows
        names = "sm_mhz", "memory_mhz", "watts", "celsius"
        return {name: statistics.median(column) for name, column in zip(names, zip(*rows))} if rows else None


def collect(folder):
    logs = Logs(folder)
    report = {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")}
    report["smi"] = smi(logs)
    report["info"] = logs.json("info")
    report["cpu"] = dict(re.findall(r"^(Model name|CPU\(s\)):\s*(.+)$", logs.text("cpu"), re.M))
    report["selftest"] = logs.json("selftest")
    report["sanitizer"] = [
        {"name": name, "passed": step["code"] == 0, "summary": summary(logs, name)}
        for name, step in logs.steps.items()
        if name.startswith(("memcheck", "racecheck"))
    ]
    report["bench"] = []
    for name, step in logs.steps.items():
        found = logs.json(name) if name.startswith("bench-") and step["code"] == 0 else None
        if found:
            device = re.match(r"cuda:(\d+)", str(found.get("device")))
            found["clocks"] = logs.clocks(step["start"], step["end"], float(device.group(1)) if device else -1)
            report["bench"].append({"step": name, **found})
    report["likeness"] = {n: logs.json(n) for n in logs.steps if n.startswith("likeness-")}
    report["classes"] = {n: logs.json(n) for n in logs.steps if n.startswith("classes-")}
    report["frames"] = {n: logs.json(n) for n in logs.steps if n.startswith("frame-")}
    report["official"] = {"time": logs.json("gnt-time"), "compare": logs.json("gnt-compare")}
    trained = (logs.text("train") + logs.text("train", "err")).splitlines()[-5:]
    report["train"] = {"log": trained} if "train" in logs.steps else None
    report["steps"] = list(logs.steps.values())
    report["failed"] = [
        {"name": name, "code": step["code"], "said": said(logs, name)}
        for name, step in logs.steps.items()
        if step["code"] != 0
    ]
    return report


def said(logs, name):
    """The last lines of a step that failed."""
    step, lines = logs.steps[name], (logs.text(name, "err") or logs.text(name)).strip().splitlines()
    # What `timeout` exits with.
    late = [f"not done after {step['limit']:.0f} s"] if step["code"] in (124, 137) else []
    return late + lines[-3:]


def smi(logs):
    """nvidia-smi's table, a dictionary a GPU."""
    lines = [[cell.strip() for cell in line.split(",")] for line in logs.text("smi").strip().splitlines()]
    return [dict(zip(lines[0], line)) for line in lines[1:]] if len(lines) > 1 else []


def summary(logs, name):
    lines = re.findall(r"=+ ((?:ERROR|RACECHECK) SUMMARY:.*)", logs.text(name) + logs.text(name, "err"))
    return lines[-1] if lines else ""


def device_of(report):
    for bench in report["bench"]:
        named = re.match(r"cuda:\d+ \((.+)\)$", str(bench.get("device")))
        if named:
            return named.group(1)
    if report["smi"]:
        return report["smi"][0].get("name", "GPU")
    return "cpu"


def cell(value, digits=3):
    if value is None:
        return "-"
    return f"{value:,.{digits}g}".replace(",", "") if abs(value) < 1000 else f"{value:.0f}"


def markdown(report):
    device = device_of(report)
    out = [f"# {device}, {report['date'][:10]}", ""]
    for gpu in report["smi"]:
        out.append("- " + ", ".join(f"{k} {v}" for k, v in gpu.items() if v not in ("", "[N/A]", "N/A")))
    info = report["info"] or {}
    out += [f"- {line}" for line in info.get("cuda", [])]
    if report["cpu"]:
        out.append("- processor: " + ", ".join(report["cpu"].values()))
    out += ["", "## Correctness", ""]
    selftest = report["selftest"]
    if selftest is None:
        out.append("selftest: **did not run**")
    else:
        verdict = "all within bounds" if selftest["passed"] else f"**{selftest['failed']} out of bounds**"
        out.append(f"selftest on {selftest['device']}: {selftest['judged']} checks, {verdict}, {selftest['seconds']:.0f} s")
        for row in selftest["checks"]:
            if not row["passed"]:
                out.append(f"- FAIL {row['subject']}, {row['check']}: {cell(row['found'])} {row.get('note', '')}".rstrip())
    for run in report["sanitizer"]:
        out.append(f"- compute-sanitizer {run['name']}: {'clean' if run['passed'] else '**failed**'} {run['summary']}")
    for name, found in report["likeness"].items():
        if found:
            worst = max(frame["largest"] for frame in found["frames"])
            psnr = "equal" if found["psnr"] is None else f"{found['psnr']:.1f} dB"
            out.append(f"- {name.removeprefix('likeness-')} against the processor's f32, 8-bit files: {psnr}, at most {worst} levels")
    for name, found in report["classes"].items():
        if found:
            said = f"{found['other_class']} of {found['pictures']} pictures in another class"
            out.append(f"- {name.removeprefix('classes-')} against the processor's f32: {said}, probabilities within {found['largest']:.1e}")
    if report["bench"]:
        out += ["", "## Frames", "", "Medians of whole frames after a warm-up; sources prepared before.", ""]
        out += bench_table(report["bench"])
    out += official_table(report["official"])
    if report["train"]:
        out += ["", "## Training", "", *[f"    {line}" for line in report["train"]["log"]]]
    if report["failed"]:
        out += ["", "## Steps that failed", ""]
        out += [f"- {step['name']} ({step['code']}): {' / '.join(step['said'])}" for step in report["failed"]]
    return "\n".join(out) + "\n"


def limits(row):
    """What a launch was tuned by, where that is tried out."""
    tried = "-tune-" in row["step"]
    return f" (at most {row['most_warps']} warps, {row['most_registers']} registers)" if tried else ""


def bench_table(rows):
    head = ["network", "precision", "size", "S", "V", "s a frame", "p95", "rays/s", "W", "J a frame", "SM MHz", "stages"]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        clocks = row.get("clocks") or {}
        shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in row.get("ray_stage_shares", {}).items())
        cells = [
            row["model"],
            row["precision"] + limits(row),
            "x".join(map(str, row["size"])),
            str(row["samples"]),
            str(row["views"]),
            cell(row["seconds_per_frame"]),
            cell(row.get("seconds_per_frame_p95")),
            cell(row["rays_per_second"]),
            cell(row.get("watts") or clocks.get("watts")),
            cell(row.get("joules_per_frame")),
            cell(clocks.get("sm_mhz"), 4),
            shares,
        ]
        out.append("| " + " | ".join(cells) + " |")
    return out


def official_table(official):
    timed, compared = official["time"], official["compare"]
    if not timed and not compared:
        return []
    out = ["", "## Official PyTorch code", ""]
    if timed:
        out += [f"torch {timed['torch']}, {timed['device']}; the best chunk of rays, a frame extrapolated from it.", ""]
        out += ["| S | V | precision | what | rays/s | chunk | s for 1008x756 |", "|---|---|---|---|---|---|---|"]
        for row in timed["rows"]:
            frame = cell(1008 * 756 / row["rays_per_second"]) if row["rays_per_second"] else row.get("problem", "-")
            cells = [row["samples"], row["views"], row["precision"], row["what"]]
            out.append("| " + " | ".join([*map(str, cells), cell(row["rays_per_second"]), str(row["chunk"]), frame]) + " |")
    if compared:
        out += ["", "The same random weights, sources and rays, as 8-bit colours against PyTorch in f32:", ""]
        for name, found in compared["folders"].items():
            if "problem" in found:
                out.append(f"- {name}: {found['problem']}")
                continue
            psnr = "equal" if found["psnr"] is None else f"{found['psnr']:.1f} dB"
            out.append(f"- {name}: {psnr}, at most {found['largest']} levels, {100 * found['unlike']:.2f} % of the values differ")
    return out


def write(logs, stem):
    report = collect(logs)
    for ending, text in ((".json", json.dumps(report, indent=1)), (".md", markdown(report))):
        with open(stem + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(stem + ".new", stem + ending)
    print(markdown(report))
    print(f"written: {stem}.json, {stem}.md")
    return 1 if report["failed"] else 0


def main(command, *args):
    if command == "nvrtc":
        folder = nvrtc()
        print(folder or "", end="")
        return 0 if folder else 1
    if command == "step":
        note_step(*args)
        return 0
    if command == "psnr":
        print(json.dumps(psnr_of_folders(*args)))
        return 0
    if command == "classes":
        print(json.dumps(classes_of_files(*args)))
        return 0
    if command == "write":
        return write(*args)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 1 else main("help"))
