"""What a scene tells, in whose coordinates, and what is said of one that cannot be read."""

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import shiftray


def test_a_scene_tells_of_its_views(scene):
    assert (scene.name, scene.format, scene.world, scene.size) == ("still-life", "llff", "file", (120, 90))
    assert len(scene.views) == 20 and scene.views[0] is scene.views[0]
    assert scene.held_out == [scene.views[i].name for i in (0, 8, 16)]
    near, far = scene.depth_range
    assert 0 < near < far
    assert scene.warnings == ["images_4 is missing: the images in images are reduced by 4 while loading"]
    assert Path(scene.root).is_dir()
    view = scene.views[3]
    assert view.name == "003" and view.path.name == "003.jpg" and view.size == (120, 90)
    assert repr(scene) == "<shiftray.Scene \"still-life\": llff, 20 views of 120x90>"


def test_cameras_are_matrices(scene):
    for view in scene.views:
        pose, intrinsics = view.camera_to_world, view.intrinsics
        assert pose.dtype == intrinsics.dtype == np.float64
        np.testing.assert_allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3), atol=1e-5)
        assert np.linalg.det(pose) > 0 and (pose[3] == [0, 0, 0, 1]).all()
        np.testing.assert_allclose(intrinsics[:2, 2], [59.5, 44.5], atol=1e-3)
        assert intrinsics[0, 0] == pytest.approx(intrinsics[1, 1]) and intrinsics[0, 1] == 0


def test_photographs_are_arrays(scene):
    image = scene.views[0].image()
    assert image.shape == (90, 120, 3) and image.dtype == np.float32
    assert 0 <= image.min() < 0.3 and 0.7 < image.max() <= 1


def test_the_files_coordinates_are_those_of_the_files(scene):
    rows = np.load(Path(scene.root) / "poses_bounds.npy")
    for row, view in zip(rows, scene.views):
        file = row[:15].reshape(3, 5)
        # LLFF's columns are down, right and backwards.
        np.testing.assert_allclose(view.camera_to_world[:3, 3], file[:, 3], atol=1e-4)
        np.testing.assert_allclose(view.camera_to_world[:3, 0], file[:, 1], atol=1e-4)
        np.testing.assert_allclose(view.camera_to_world[:3, 2], -file[:, 2], atol=1e-4)
    assert scene.depth_range[0] == pytest.approx(0.9 * rows[:, 15].min(), rel=1e-3)


def test_the_scenes_own_coordinates(scene):
    own = shiftray.Scene("still-life", factor=4, world="scene")
    there = scene.scene_from_file
    scale = np.cbrt(np.linalg.det(there[:3, :3]))
    for a, b in zip(scene.views, own.views):
        np.testing.assert_allclose((there @ a.camera_to_world)[:3, 3], b.camera_to_world[:3, 3], atol=1e-4)
        np.testing.assert_allclose(there[:3, :3] @ a.camera_to_world[:3, 2] / scale, b.camera_to_world[:3, 2], atol=1e-4)
    np.testing.assert_allclose(np.array(scene.depth_range) * scale, own.depth_range, rtol=1e-5)


def test_names_and_folders_are_found(tmp_path, monkeypatch, scene):
    (tmp_path / "set").mkdir()
    os.symlink(Path(scene.root).resolve(), tmp_path / "set" / "mine")
    assert len(shiftray.Scene(tmp_path / "set" / "mine", factor=4).views) == 20
    assert len(shiftray.Scene("set/mine", factor=4, scenes=[tmp_path]).views) == 20
    monkeypatch.setenv("SHIFTRAY_SCENES", str(tmp_path))
    assert shiftray.Scene("set/mine", factor=4).name == "still-life"


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"path": "stil-life"}, "did you mean still-life"),
        ({"path": "still-life", "world": "mine"}, 'world: expected "file" or "scene", found "mine"'),
        ({"path": "still-life", "format": "obj"}, "format: expected llff"),
        ({"path": "still-life", "bounds": (4, 1)}, "bounds: expected 0 < near < far, found 4 and 1"),
        ({"path": "still-life", "factor": 0}, "factor: expected 1 to 1024, found 0"),
        ({"path": ""}, "empty name"),
    ],
)
def test_what_is_wrong_is_said(arguments, said):
    with pytest.raises(ValueError) as problem:
        shiftray.Scene(**arguments)
    assert said in str(problem.value)


def small(folder: Path, **more) -> Path:
    """A scene in nerfstudio's layout with one photograph, and `more` in its file."""
    from PIL import Image

    folder.mkdir()
    Image.new("RGB", (64, 48), (90, 120, 60)).save(folder / "a.png")
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    about = {"fl_x": 50.0, "fl_y": 50.0, "w": 64, "h": 48, "frames": [frame], "near": 1.0, "far": 5.0, **more}
    (folder / "transforms.json").write_text(json.dumps(about))
    return folder


def test_what_looks_odd_is_a_warning(tmp_path):
    folder = small(tmp_path / "one")
    with pytest.warns(UserWarning) as told:
        scene = shiftray.Scene(folder)
    assert [str(warning.message) for warning in told] == scene.warnings
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            shiftray.Scene(folder)


def test_files_that_are_gone_are_os_errors(tmp_path):
    folder = small(tmp_path / "one")
    with pytest.warns(UserWarning):
        scene = shiftray.Scene(folder)
    (folder / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="a.png"):
        scene.views[0].image()
    (folder / "transforms.json").write_text("{")
    with pytest.raises(ValueError, match="transforms.json"):
        shiftray.Scene(folder)
