"""A staging channel with three published files."""

from pathlib import Path

import pytest

from channels_app.models import Channel, User
from tests.archives import make_conda
from tests.builders import make_channel
from tests.sample_channel import build_index, publish


@pytest.fixture
def staging(olga: User, tmp_path: Path) -> Channel:
    """Return a private channel of Olga with `tool` 1.0 and 2.0 and `lib` 1.0, and a complete index."""
    staging = make_channel("staging", owner=olga)
    (tmp_path / "built").mkdir()
    for name, version in (("tool", "1.0"), ("tool", "2.0"), ("lib", "1.0")):
        publish(staging, olga, make_conda(tmp_path / "built", name=name, version=version))
    build_index(staging)
    return staging
