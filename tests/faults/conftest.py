"""What most faults of AMI events begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.fake_ami import FakeAmi


@pytest.fixture
def ami() -> Iterator[FakeAmi]:
    """A manager that says what it is told to."""
    ami = FakeAmi()
    yield ami
    ami.close()
