from datetime import timedelta

import pytest

from asterisk_connector.config import kinds
from asterisk_connector.config.secret import Secret


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("10s", 10), ("5m", 300), ("1h30m", 5400), ("48h", 172800), ("30d", 2592000), ("2", 2), ("0", 0)],
)
def test_durations_are_read_with_their_units(text: str, seconds: float) -> None:
    assert kinds.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "10 parsecs", "-5s", "5m3", "1e3", "1h 30", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        kinds.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("4096", 4096), ("64KiB", 65536), ("100 MiB", 104857600), ("1GB", 10**9), ("1.5GiB", 3 << 29)]
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert kinds.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "1 apple", "-1", "1gib"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        kinds.parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(172800, "48h"), (2592000, "30d"), (90, "90s"), (0.25, "250ms"), (0, "0s"), (5400, "90m")]
)
def test_durations_are_shown_in_their_largest_exact_unit(seconds: float, text: str) -> None:
    assert kinds.show_duration(seconds) == text


def test_a_start_is_a_word_or_a_stretch_of_time() -> None:
    kind = kinds.StartAt.__metadata__[0]
    assert kind.parse("now") == "now"
    assert kind.parse("6h") == timedelta(hours=6)
    assert kind.show(timedelta(hours=6)) == "6h"


def test_a_secret_is_never_shown() -> None:
    secret = Secret("sk_hidden", "file /etc/key")
    assert "hidden" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "sk_hidden"


def test_a_secret_cannot_be_pickled() -> None:
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Secret("sk_hidden"))
