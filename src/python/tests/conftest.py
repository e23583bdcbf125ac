"""The bundled scene, small, and a renderer that takes little time."""

import pytest
import shiftray


@pytest.fixture(scope="session")
def scene():
    return shiftray.Scene("still-life", factor=4)


@pytest.fixture(scope="session")
def renderer():
    return shiftray.Renderer(views=4, threads=2)
