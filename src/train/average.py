"""The mean of the weights of several models of the same configuration.

    average.py MODEL MODEL .. OUT

Reads and writes safetensors as `shiftray train` does; metadata are those of the first model. Needs Python alone.
"""

import array
import json
import struct
import sys


def read(path):
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        if entry["dtype"] == "F32":
            values = array.array("f", data[start:end])
        elif entry["dtype"] == "F16":
            values = array.array("f", struct.unpack(f"<{(end - start) // 2}e", data[start:end]))
        else:
            raise SystemExit(f"{path}: {name}: expected F32 or F16, found {entry['dtype']}")
        tensors[name] = (entry["shape"], values)
    return metadata, tensors


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__.strip())
    models = [read(path) for path in sys.argv[1:-1]]
    metadata, first = models[0]
    for path, (_, tensors) in zip(sys.argv[1:], models):
        if {name: shape for name, (shape, _) in tensors.items()} != {name: shape for name, (shape, _) in first.items()}:
            raise SystemExit(f"{path}: expected the tensors of {sys.argv[1]}, found others")
    header, data = {"__metadata__": metadata}, bytearray()
    for name, (shape, _) in first.items():
        columns = zip(*(tensors[name][1] for _, tensors in models))
        values = array.array("f", (sum(column) / len(models) for column in columns))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(sys.argv[-1], "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
