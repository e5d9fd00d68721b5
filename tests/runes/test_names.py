"""Every name that `workbench.runes` offers is there."""

from __future__ import annotations

import pytest

from workbench import runes


@pytest.mark.parametrize("name", runes.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(runes, name) is not None
    assert name in dir(runes)
