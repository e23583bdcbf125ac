"""New views of a scene from a few posed photographs, without training on it.

>>> import shiftray
>>> scene = shiftray.Scene("still-life")
>>> renderer = shiftray.Renderer("gnt-shiftadd")
>>> view = scene.views[9]
>>> image, depth = renderer.render(scene, view.camera_to_world, view.intrinsics, view.size, exclude=[view.name])

Cameras look along z, with x to the right and y down. Poses and depths are in the coordinates of the scene's files, or, of a
``Scene(..., world="scene")``, in those in which it is rendered. Pixel coordinates are integers at pixel centres.
"""

# Before the library, which ends the program where numpy is missing.
import numpy as _numpy  # noqa: F401

from ._shiftray import MODELS, Renderer, Scene, View, __version__

__all__ = ["MODELS", "Renderer", "Scene", "View", "__version__"]
