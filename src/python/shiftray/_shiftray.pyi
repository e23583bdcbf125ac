from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Renderer", "Scene", "View", "__version__", "MODELS"]

__version__: str
MODELS: list[str]

@final
class Scene:
    def __new__(
        cls,
        path: str | PathLike[str],
        *,
        factor: int | None = None,
        bounds: Sequence[float] | None = None,
        format: str | None = None,
        scenes: Sequence[str | PathLike[str]] = ...,
        world: Literal["file", "scene"] = "file",
    ) -> Scene: ...
    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def format(self) -> str: ...
    @property
    def world(self) -> Literal["file", "scene"]: ...
    @property
    def views(self) -> tuple[View, ...]: ...
    @property
    def held_out(self) -> list[str]: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def depth_range(self) -> tuple[float, float]: ...
    @property
    def scene_from_file(self) -> NDArray[np.float64]: ...
    @property
    def warnings(self) -> list[str]: ...

@final
class View:
    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def intrinsics(self) -> NDArray[np.float64]: ...
    @property
    def camera_to_world(self) -> NDArray[np.float64]: ...
    def image(self) -> NDArray[np.float32]: ...

@final
class Renderer:
    def __new__(
        cls,
        model: str = "gnt-shiftadd",
        *,
        device: str = "cpu",
        threads: int | None = None,
        samples: int | str = "auto",
        views: int | None = None,
    ) -> Renderer: ...
    @property
    def model(self) -> str: ...
    @property
    def device(self) -> str: ...
    def render(
        self,
        scene: Scene,
        pose: ArrayLike,
        intrinsics: ArrayLike,
        size: Sequence[int],
        exclude: Sequence[str] = ...,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
