"""A step that fails costs only what it would have added."""

from msgspec.structs import replace

from asterisk_connector.call import Call
from asterisk_connector.enrichment.enrich import Step, enrich
from asterisk_connector.notices import EnrichmentFailed, Notice, ignore

CALL = Call(call_id="1.1", linkedids=("1.1",), complete=True, started_at=0)


def test_steps_run_in_their_order() -> None:
    first = Step("first", lambda call: replace(call, tenant="a"))
    second = Step("second", lambda call: replace(call, tenant=f"{call.tenant}b"))
    assert enrich(CALL, [first, second], ignore).tenant == "ab"


def test_a_step_that_raises_leaves_a_note_and_a_notice_and_the_call_goes_on() -> None:
    def fails(_: Call) -> Call:
        raise ValueError("caller 4165551234 is odd")

    told: list[Notice] = []
    call = enrich(
        CALL, [Step("numbers", fails), Step("tenant", lambda call: replace(call, tenant="acme"))], told.append
    )
    assert call.tenant == "acme"
    (note,) = call.evidence.notes
    (notice,) = told
    assert isinstance(notice, EnrichmentFailed)
    assert (notice.call_id, notice.step) == ("1.1", "numbers")
    assert note.startswith("numbers failed: ValueError at test_enrich.py:")
    assert "4165551234" not in note + notice.reason
