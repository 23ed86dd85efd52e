"""Whatever an operator writes: no crash, no secret shown, every problem with its place; what is shown loads again."""

import json
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from asterisk_connector.config import kinds, reference
from asterisk_connector.config.load import loads
from asterisk_connector.config.model import Settings
from asterisk_connector.config.overlay import paths
from asterisk_connector.config.shape import Either, Listing, Named, Scalar, Section, Shape, section

SECRET = "sk_never_shown"
KNOWN = sorted({path.rpartition(".")[2].removesuffix("[]") for path in paths(section(Settings))})

scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats() | st.sampled_from(KNOWN)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


def good(shape: Shape) -> st.SearchStrategy[Any]:
    """Values a setting takes."""
    match shape:
        case Scalar(kind=kind):
            words = {
                "a duration": st.sampled_from(["10s", "5m", "1h30m", 7]),
                "a size": st.sampled_from(["1MiB", "10 GB", 512]),
                "a time zone name": st.sampled_from(["UTC", "Europe/Oslo"]),
                "an absolute path": st.sampled_from(["/a", "/b/c"]),
                "a text": st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=6),
            }
            if kind.what in words:
                return words[kind.what]
            if "enum" in kind.schema:
                return st.sampled_from(kind.schema["enum"])
            return st.just(kind.example.strip('"') if kind.example else "x")
        case Either(scalar=scalar, block=block):
            return good(scalar) | good(block)
        case Listing(item=item):
            return st.lists(good(item), max_size=2)
        case Named(value=value):
            return st.dictionaries(st.sampled_from(["main", "other"]), good(value), max_size=2)
        case Section(entries=entries):
            return st.fixed_dictionaries(
                {entry.name: good(entry.shape) for entry in entries if entry.required},
                optional={entry.name: good(entry.shape) for entry in entries if not entry.required},
            )


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_crash_the_loader(text: str | bytes) -> None:
    loaded = loads(text)
    assert (loaded.settings is None) == any(finding.level == "error" for finding in loaded.findings)


@given(st.dictionaries(st.sampled_from([entry.name for entry in section(Settings).entries]), anything, max_size=5))
def test_no_structure_crashes_the_loader_and_every_error_has_a_place(document: dict[str, Any]) -> None:
    loaded = loads(json.dumps(document))
    assert (loaded.settings is None) == any(finding.level == "error" for finding in loaded.findings)
    assert all(finding.place.startswith("config.yaml") for finding in loaded.findings)


@given(
    st.dictionaries(
        st.builds(
            "ASTERISK_CONNECTOR_{}".format,
            st.lists(st.sampled_from([*KNOWN, "0", "1", "main"]), min_size=1, max_size=4).map("__".join).map(str.upper),
        ),
        st.text(max_size=20),
        max_size=4,
    )
)
def test_no_environment_crashes_the_loader(environ: dict[str, str]) -> None:
    loaded = loads("api: {key: k}\nsources: {cel_csv: [{path: /c}]}\n", environ=environ)
    assert (loaded.settings is None) == any(finding.level == "error" for finding in loaded.findings)


@given(st.sampled_from(["key", "key_file", "kye", "region", "workers", "proxy"]), anything)
def test_a_secret_is_never_shown_wherever_it_was_put(name: str, other: Any) -> None:
    document = {"api": {"key": SECRET, "url": other, "customer_id": other}, "ami": {"secret": [SECRET, other]}}
    if name in {"key_file", "kye", "proxy"}:
        document["api"] = {
            name: f"https://user:{SECRET}@x" if name == "proxy" else {"key_file": SECRET}.get(name, other)
        }
    loaded = loads(json.dumps(document))
    assert SECRET not in "".join(str(finding) for finding in loaded.findings)
    assert SECRET not in repr(loaded.settings)


@given(good(section(Settings)))
def test_well_written_settings_are_understood_and_what_is_shown_loads_again(document: dict[str, Any]) -> None:
    # Arbitrary settings contradict each other nearly always; that is not looked at here.
    with patch("asterisk_connector.config.load.contradictions", return_value=[]):
        loaded = loads(json.dumps(document))
        assert loaded.settings is not None, [str(finding) for finding in loaded.findings]
        shown = reference.show(loaded.settings)
        again = loads(shown)
    assert again.settings is not None, [str(finding) for finding in again.findings]
    assert without_lines(reference.show(again.settings)) == without_lines(shown)


def without_lines(shown: str) -> str:
    """What is shown, without where secrets came from."""
    return "\n".join(line.partition("  # from")[0] for line in shown.splitlines())


@given(st.integers(0, 10**9).map(lambda milliseconds: milliseconds / 1000))
def test_a_duration_that_is_shown_is_read_as_itself(seconds: float) -> None:
    assert kinds.parse_duration(kinds.show_duration(seconds)) == seconds


@given(st.integers(0, 1 << 50))
def test_a_size_that_is_shown_is_read_as_itself(size: int) -> None:
    assert kinds.parse_size(kinds.show_size(size)) == size
