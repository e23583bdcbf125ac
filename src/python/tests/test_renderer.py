"""Images and depths: their form, their likeness to the program's, and what goes on meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import shiftray


def camera(scene, number=9, size=(60, 45)):
    """Pose, intrinsics and size of a view at another size."""
    view = scene.views[number]
    scale = size[0] / view.size[0]
    intrinsics = view.intrinsics * scale
    intrinsics[2, 2] = 1
    intrinsics[:2, 2] = (view.intrinsics[:2, 2] + 0.5) * scale - 0.5
    return view.camera_to_world, intrinsics, size


def test_image_and_depth(scene, renderer):
    view = scene.views[9]
    image, depth = renderer.render(scene, view.camera_to_world, view.intrinsics, view.size, exclude=[view.name])
    assert image.shape == (90, 120, 3) and depth.shape == (90, 120)
    assert image.dtype == depth.dtype == np.float32 and image.flags.c_contiguous
    assert image.min() >= 0 and image.max() <= 1
    near, far = scene.depth_range
    assert near <= depth.min() and depth.max() <= far and np.ptp(depth) > 0.1 * depth.mean()
    psnr = -10 * np.log10(((image - view.image()) ** 2).mean())
    assert psnr > 22, psnr


def test_both_worlds_give_the_same(scene, renderer):
    own = shiftray.Scene("still-life", factor=4, world="scene")
    image, depth = renderer.render(scene, *camera(scene))
    other, scaled = renderer.render(own, *camera(own))
    np.testing.assert_allclose(image, other, atol=2e-2)
    scale = np.cbrt(np.linalg.det(scene.scene_from_file[:3, :3]))
    np.testing.assert_allclose(np.median(scaled / depth), scale, rtol=1e-3)


def test_depth_leads_to_points_that_others_see(scene, renderer):
    """A point of one image lies in another where the other's depth says that there is one."""
    pose, intrinsics, size = camera(scene, 9)
    other, _, _ = camera(scene, 10)
    _, depth = renderer.render(scene, pose, intrinsics, size)
    _, beside = renderer.render(scene, other, intrinsics, size)
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    rays = np.linalg.inv(intrinsics) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    points = pose[:3, :3] @ (rays * depth.ravel()) + pose[:3, 3:]
    local = other[:3, :3].T @ (points - other[:3, 3:])
    pixel = np.rint((intrinsics @ local)[:2] / local[2]).astype(int)
    inside = (pixel[0] >= 0) & (pixel[0] < size[0]) & (pixel[1] >= 0) & (pixel[1] < size[1])
    there = beside[pixel[1, inside], pixel[0, inside]]
    assert np.median(np.abs(there / local[2, inside] - 1)) < 0.05


def test_samples_views_and_lists_are_taken(scene):
    pose, intrinsics, _ = camera(scene)
    size = (15, 11)
    images = []
    for samples in ["auto", 24, "24", "8:48+12"]:
        renderer = shiftray.Renderer(samples=samples, views=3, threads=1)
        images.append(renderer.render(scene, pose.tolist(), intrinsics.astype(np.float32), np.array(size))[0])
    auto, even, text, guided = images
    assert (even == text).all() and (auto == guided).all() and (auto != even).any()
    assert repr(renderer) == '<shiftray.Renderer "gnt-shiftadd" on cpu: 3 source views, samples 8:48+12>'


def test_the_programs_picture_is_the_same(scene, renderer, tmp_path):
    """For a pose in the files' coordinates, beside a photograph."""
    from PIL import Image

    program = os.environ.get("SHIFTRAY_PROGRAM")
    if program is None:
        pytest.skip("SHIFTRAY_PROGRAM names no program to compare with")
    pose, intrinsics, size = scene.views[9].camera_to_world, scene.views[9].intrinsics, scene.size
    pose[:3, 3] += 0.02 * pose[:3, 0]
    opengl = pose * [1, -1, -1, 1]
    matrix = ",".join(map(repr, opengl.ravel().tolist()))
    command = [program, "render", "still-life", "--factor", "4", "--views", "4", "--no-fade", "--depth", "--device", "cpu"]
    command += ["--out", str(tmp_path / "out"), f"--pose={matrix}"]
    subprocess.run(command, check=True, capture_output=True)
    image, depth = renderer.render(scene, pose, intrinsics, size)
    theirs = np.asarray(Image.open(tmp_path / "out" / "frame_0000.png"), dtype=np.float32)
    # The pose goes there and back through text and single precision; a level of 255, and here and there more where a ray
    # finds an edge.
    off = np.abs(image * 255 - theirs)
    assert np.mean(off) < 0.51 and np.mean(off > 1.01) < 0.01, (np.mean(off), np.mean(off > 1.01))
    scale = np.cbrt(np.linalg.det(scene.scene_from_file[:3, :3]))
    depths = np.load(tmp_path / "out" / "frame_0000_depth.npy")
    assert np.median(np.abs(depths / (depth * scale) - 1)) < 1e-3


def test_other_threads_go_on(scene, renderer):
    """The longest pause of a thread that counts is far shorter than a render."""
    pose, intrinsics, size = camera(scene, size=(240, 180))
    renderer.render(scene, pose, intrinsics, (8, 6))
    times, ended = [], threading.Event()

    def count():
        while not ended.is_set():
            times.append(time.perf_counter())
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    started = time.perf_counter()
    renderer.render(scene, pose, intrinsics, size)
    took = time.perf_counter() - started
    ended.set()
    counter.join()
    meanwhile = [at for at in times if started <= at <= started + took]
    assert len(meanwhile) > 10 and np.diff(meanwhile).max() < 0.5 * took, (len(meanwhile), took)


def test_calls_from_several_threads_wait_for_each_other(scene, renderer):
    arguments = (scene, *camera(scene, size=(30, 22)))
    expected, _ = renderer.render(*arguments)
    found = []
    threads = [threading.Thread(target=lambda: found.append(renderer.render(*arguments)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all((image == expected).all() for image in found)


INTERRUPTED = """
import shiftray, sys, time
scene = shiftray.Scene("still-life")
renderer = shiftray.Renderer()
view = scene.views[0]
intrinsics = view.intrinsics * 8
intrinsics[2, 2] = 1
small = view.intrinsics / 16
small[2, 2] = 1
print("begun", flush=True)
try:
    renderer.render(scene, view.camera_to_world, intrinsics, (3840, 2880))
except KeyboardInterrupt:
    # Once interrupted, it renders the next one.
    image, _ = renderer.render(scene, view.camera_to_world, small, (30, 22))
    print("interrupted", image.shape, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent as Unix has them")
def test_ctrl_c_ends_a_render():
    child = subprocess.Popen([sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "begun\n"
    time.sleep(1.5)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    sent = time.monotonic()
    assert child.stdout.readline() == "interrupted (22, 30, 3)\n"
    assert time.monotonic() - sent < 60
    assert child.wait() == 0


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"model": "gnt-dance"}, "gnt-dance: expected a model file or one of gnt-shiftadd, gnt-dense"),
        ({"device": "gpu"}, 'device: expected auto, cpu, cuda or cuda:N, found "gpu"'),
        ({"samples": 1}, "samples: expected auto, a number from 2 to 4096"),
        ({"samples": "many"}, 'found "many"'),
        ({"threads": 0}, "threads: expected a number from 1 to 1024, found 0"),
        ({"views": -3}, "views: expected a number from 1 to 1000, found -3"),
    ],
)
def test_what_no_renderer_is_made_of(arguments, said):
    with pytest.raises(ValueError) as problem:
        shiftray.Renderer(**arguments)
    assert said in str(problem.value)


def test_a_gpu_that_is_not_there():
    with pytest.raises(RuntimeError):
        shiftray.Renderer(device="cuda:99")


def test_a_model_that_is_none(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"\x00" * 64)
    with pytest.raises(ValueError, match="model.safetensors"):
        shiftray.Renderer(str(file))


def test_what_cannot_be_rendered_is_said(scene, renderer):
    pose, intrinsics, size = camera(scene)
    skewed = intrinsics + [[0, 1, 0], [0] * 3, [0] * 3]
    mirrored = pose * [-1, 1, 1, 1]
    cases = [
        ((pose[:3], intrinsics, size), "pose: expected a 4x4 matrix, found an array of shape (3, 4)"),
        ((pose * [[1], [1], [1], [2]], intrinsics, size), "pose: expected 0, 0, 0, 1 in the last row"),
        ((pose * np.nan, intrinsics, size), "pose: expected a 4x4 matrix of finite numbers"),
        ((mirrored, intrinsics, size), "pose: expected orthonormal right-handed axes"),
        ((pose, np.eye(4), size), "intrinsics: expected a 3x3 matrix, found an array of shape (4, 4)"),
        ((pose, skewed, size), "intrinsics: expected a matrix of the form"),
        ((pose, intrinsics * [[-1], [1], [1]], size), "intrinsics: expected positive focal lengths"),
        ((pose, intrinsics, (0, 45)), "size: expected width and height from 1 to 32768"),
        ((pose, intrinsics, (32768, 32768)), "found 32768x32768"),
        ((pose, intrinsics, size, ["none"]), 'exclude: expected names of views of the scene, found "none"'),
    ]
    for arguments, said in cases:
        with pytest.raises(ValueError) as problem:
            renderer.render(scene, *arguments)
        assert said in str(problem.value)
    with pytest.raises(ValueError):
        renderer.render(scene, pose, intrinsics, size, exclude=[view.name for view in scene.views])
    with pytest.raises(TypeError):
        renderer.render(scene, pose, intrinsics, size, exclude="003")
    with pytest.raises(TypeError):
        renderer.render("still-life", pose, intrinsics, size)


def test_stubs_and_documentation():
    """Everything public is documented, and the package says that it is typed."""
    assert (Path(shiftray.__file__).parent / "py.typed").exists()
    assert shiftray.MODELS == ["gnt-shiftadd", "gnt-dense"] and shiftray.__version__
    for kind in (shiftray.Scene, shiftray.View, shiftray.Renderer):
        for name in (name for name in vars(kind) if not name.startswith("_")):
            assert getattr(kind, name).__doc__, f"{kind.__name__}.{name}"
        assert kind.__doc__ and kind.__module__ == "shiftray"
