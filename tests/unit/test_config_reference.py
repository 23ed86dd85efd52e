"""What is made from the model is whole, loadable and not stale."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from asterisk_connector.config import reference
from asterisk_connector.config.load import loads
from asterisk_connector.config.model import Settings
from asterisk_connector.config.overlay import paths
from asterisk_connector.config.shape import Either, Listing, Named, Section, section

DOCS = Path(__file__).parents[2] / "docs"


def uncommented(text: str) -> str:
    """The example with every `#setting` put in force."""
    return re.sub(r"(?m)^( *)#(?=[a-z-])", r"\1", text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.example.yaml", reference.example()),
        ("config.schema.json", reference.schema()),
        ("configuration.md", reference.reference()),
    ],
)
def test_the_files_under_docs_are_made_from_the_model_of_today(name: str, text: str) -> None:
    verb = {"config.example.yaml": "example", "config.schema.json": "schema", "configuration.md": "reference"}[name]
    assert (DOCS / name).read_text() == text, f"run: asterisk-connector config {verb} > docs/{name}"


def test_the_example_loads_as_it_stands(tmp_path: Path) -> None:
    key = tmp_path / "api.key"
    key.write_text("sk")
    key.chmod(0o600)
    loaded = loads(reference.example().replace("/etc/asterisk-connector/api.key", str(key)))
    assert loaded.findings == []


def test_every_line_of_the_example_may_be_put_in_force(tmp_path: Path) -> None:
    text = uncommented(reference.example())
    for number, name in enumerate(sorted(set(re.findall(r"(?m)_file: (/etc/asterisk-connector/\S+)$", text)))):
        secret = tmp_path / str(number)
        secret.write_text("secret")
        secret.chmod(0o600)
        text = text.replace(name, str(secret))
    # Together they contradict each other (a socket beside a port); one by one each must be readable.
    wrong = [
        finding for finding in loads(text).findings if finding.tier == "syntax" and "secret_file" not in finding.path
    ]
    assert [str(finding) for finding in wrong if "given twice" not in finding.message] == []


def test_every_setting_is_in_the_example_and_in_the_reference() -> None:
    example, page = reference.example(), reference.reference()
    for path in paths(section(Settings)):
        name = path.rpartition(".")[2].removesuffix("[]")
        assert re.search(rf"(?m)^ *#?(- )?{name}(_file)?:", example) or "filters[]" in path, path
        assert f"`{name}`" in page or f".{name}`" in page, path


def test_every_setting_says_what_it_means() -> None:
    def entries(shape: object) -> list[tuple[str, str]]:
        match shape:
            case Section(entries=below, cls=cls):
                return [
                    pair
                    for entry in below
                    for pair in [(f"{cls.__name__}.{entry.name}", entry.doc.text), *entries(entry.shape)]
                ]
            case Listing(item=inner) | Named(value=inner) | Either(block=inner):
                return entries(inner)
            case _:
                return []

    assert [name for name, text in entries(section(Settings)) if not text] == []


def test_the_schema_takes_the_example_and_refuses_a_typing_error() -> None:
    schema = json.loads(reference.schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    example = yaml.safe_load(uncommented(reference.example()))
    jsonschema.validate(example, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**example, "shiping": {}}, schema)


def test_what_is_shown_loads_to_the_same_settings() -> None:
    text = (
        "host: pbx1\napi: {key: sk_hidden, url: 'https://x.example/a'}\nstart_at: 6h\n"
        "sources: {cel_csv: [{path: /cel.csv, separator: ;, zone: Europe/Oslo}], cdr_table: {database: d,"
        " columns: {did: dnid}}}\n"
        "tenants: {dids: {'+14165550100': acme}, patterns: [{match: '(?P<tenant>x)'}]}\n"
        "ami: {user: u, secret: s}\nkafka: {connections: {my: {brokers: [a:1, b:2]}}}\n"
        "events: {connection: my, topic: t, filters: ['eventfilter = ab', {name: Hangup}]}\n"
    )
    settings = loads(text).settings
    assert settings is not None
    shown = reference.show(settings)
    assert "sk_hidden" not in shown
    again = loads(shown).settings
    assert again is not None, [str(finding) for finding in loads(shown).findings]
    assert again.sources == settings.sources
    assert again.tenants == settings.tenants
    assert again.events == settings.events
    assert again.kafka == settings.kafka
