"""What a server that is started from Python refuses before it listens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.serving import shop

from backstay.core.errors import InputError
from backstay.project import Project


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 70_000}, "serving.port is 70000 .at port.; expected 0 to 65535"),
        ({"port": -1}, "serving.port is -1 .at port.; expected 0 to 65535"),
        ({"workers": 0}, "serving.workers is 0 .at workers.; expected 1 to 256"),
    ],
)
def test_numbers_that_are_given_have_the_bounds_of_the_settings(
    tmp_path: Path, given: dict[str, int], said: str
) -> None:
    project = Project(shop.write(tmp_path / "shop"))
    with pytest.raises(InputError, match=said):
        project.serve(**given)  # type: ignore[arg-type]
    project.close()
