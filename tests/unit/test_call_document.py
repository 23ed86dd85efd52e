"""Every document of every captured call keeps to the published schema, and the page says what the schema says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from asterisk_connector.assembly.assemble import assemble
from asterisk_connector.assembly.connect import connect
from asterisk_connector.call import decode, document, encode
from asterisk_connector.config.model import Settings
from asterisk_connector.enrichment.enrich import enrich
from asterisk_connector.notices import ignore
from asterisk_connector.parts import steps
from tests.kit.captures import VERSIONS, load, truths
from tests.kit.document_page import PAGE, SCHEMA, page

VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text()), format_checker=None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("encoding", ["stock", "11 event types, ms", "broken mapping", "CDR alone"])
def test_documents_keep_to_the_schema(version: str, encoding: str) -> None:
    seen = 0
    enrichment = steps(Settings())
    for scenario in truths(version):
        for group in connect(load(version, scenario, encoding) or ()):
            call = enrich(assemble(group), enrichment, ignore)
            told: dict[str, Any] = json.loads(msgspec.json.encode(document(call)))
            problems = [f"{'.'.join(map(str, e.path))}: {e.message}" for e in VALIDATOR.iter_errors(told)]
            assert not problems, (scenario, problems)
            assert list(told) == list(VALIDATOR.schema["properties"])
            assert decode(encode(call)) == call
            seen += 1
    assert seen > 30


def test_the_page_is_made_from_the_schema() -> None:
    assert PAGE.read_text() == page(), "docs/call-document.md is stale: make docs"


def test_the_examples_of_the_page_keep_to_the_schema() -> None:
    text = Path(PAGE).read_text()
    example = json.loads(text.split("```json\n")[1].split("```")[0])
    VALIDATOR.validate(example)
