"""Columns found by name: every schema of the field, what the operator says, and what is missing."""

from __future__ import annotations

import pytest

from asterisk_connector.errors import Misconfigured
from asterisk_connector.sources.tables.columns import CDR, CEL, match
from asterisk_connector.sources.tables.database import Column, Server, table_name
from asterisk_connector.sources.tables.gaps import Gaps, contiguous
from tests.kit.pbx_tables import CDR_SCHEMAS, CEL_SCHEMAS, Schema


def columns(schema: Schema) -> list[Column]:
    return [
        Column(
            name,
            "integer" if kind == "SERIAL" else "local" if kind.startswith("LOCAL") else "text",
            serial=kind == "SERIAL",
        )
        for name, kind in schema.columns.values()
    ]


@pytest.mark.parametrize("schema", [*CDR_SCHEMAS.values(), *CEL_SCHEMAS.values()], ids=lambda s: s.name)
def test_the_columns_of_every_known_schema_are_found(schema: Schema) -> None:
    layout = CEL if "type" in schema.columns else CDR
    found = match(layout, "t", columns(schema), {})
    assert {field: column.name for field, column in found.fields.items()} == {
        field: name for field, (name, _) in schema.columns.items()
    }
    assert (found.key is not None) == schema.has_id


def test_an_id_that_the_database_does_not_count_up_is_no_cursor() -> None:
    yeastar = [Column("id", "integer"), Column("datetime", "local"), Column("uniqueid", "text")]
    found = match(CDR, "cdr", yeastar, {"start": "datetime"})
    assert found.key is None
    assert found.unknown == ("id",)
    assert match(CDR, "cdr", yeastar, {"calldate": "DateTime", "id": "id"}).key is not None


def test_freepbxs_dead_column_eventextra_never_hides_extra() -> None:
    base = [Column("eventtype", "text"), Column("eventtime", "local"), Column("uniqueid", "text")]
    both = match(CEL, "cel", [*base, Column("eventextra", "text"), Column("extra", "text")], {})
    assert both.fields["extra"].name == "extra"
    assert match(CEL, "cel", [*base, Column("eventextra", "text")], {}).fields["extra"].name == "eventextra"


@pytest.mark.parametrize(
    ("configured", "said"),
    [
        ({"colour": "dst"}, "no field of CDR"),
        ({"src": "caller"}, "has no column caller"),
        ({"id": "dst"}, "no integer"),
    ],
)
def test_a_wrong_word_in_the_configuration_is_said(configured: dict[str, str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        match(CDR, "cdr", columns(CDR_SCHEMAS["freepbx"]), configured)


def test_a_table_that_is_none_of_ours_is_said_with_what_it_has() -> None:
    with pytest.raises(Misconfigured, match=r"no column for type, at, uniqueid of CEL; it has a, b") as caught:
        match(CEL, "cel", [Column("a", "text"), Column("b", "text")], {})
    assert "columns: {type: theirs}" in caught.value.hint
    with pytest.raises(Misconfigured, match="does not exist or cannot be seen"):
        match(CEL, "cel", [], {})


@pytest.mark.parametrize("name", ["", "a.b.c", "cdr; DROP TABLE cdr", "x" * 65, "a\nb", ".cdr", " cdr"])
def test_what_cannot_be_a_tables_name_is_refused(name: str) -> None:
    if name == "cdr; DROP TABLE cdr":
        assert table_name(name) == (name,)  # a name like any other: it is quoted, and no such table exists
    else:
        with pytest.raises(Misconfigured):
            table_name(name)


def test_a_server_never_shows_its_password() -> None:
    server = Server(driver="mysql", database="asterisk", user="reader", password="hidden", port=3306)
    assert "hidden" not in repr(server) + str(server)
    assert str(server) == "mysql database asterisk at localhost:3306"


def test_gaps_are_filled_given_up_and_kept_within_bounds() -> None:
    gaps = Gaps([(5, 9)], now=0.0)
    gaps.passed(10, [11, 14], now=10.0)
    assert gaps.spans() == [(5, 9), (12, 13)]
    gaps.fill(7)
    gaps.fill(100)
    assert gaps.spans() == [(5, 6), (8, 9), (12, 13)]
    assert 8 in gaps
    assert 7 not in gaps
    gaps.give_up(5.0)
    assert gaps.spans() == [(12, 13)]
    every_third = list(range(17, 20_000, 3))
    gaps.passed(14, every_third, now=20.0)
    assert len(gaps.spans()) <= 1_000
    assert all(number in gaps for number in range(15, 19_997) if (number - 17) % 3)


def test_neighbours_make_one_span() -> None:
    assert contiguous([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
