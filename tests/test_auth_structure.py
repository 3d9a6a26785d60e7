"""A header that two programs could read in two ways is refused, whatever it proves."""

import pytest

from inbound.auth.structure import check_structure
from store.errors import MailRefused
from tests.test_auth_judge import LAB_IP, Court, Zone, people, signed, written

ONCE = {
    "From": "anna@lab.example",
    "Sender": "anna@lab.example",
    "Reply-To": "anna@lab.example",
    "To": "share@scans.example",
    "Cc": "kim@clinic.example",
    "Subject": "LIST",
    "Date": "Mon, 21 Sep 2026 14:13:20 +0000",
    "Message-ID": "<1@lab.example>",
    "In-Reply-To": "<0@lab.example>",
    "References": "<0@lab.example>",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain",
    "Content-Transfer-Encoding": "7bit",
}
WHOLE = "".join(f"{name}: {value}\r\n" for name, value in ONCE.items())


def refused(header: str | bytes) -> str:
    data = header.encode() if isinstance(header, str) else header
    with pytest.raises(MailRefused) as refusal:
        check_structure(data)
    assert refusal.value.reply.startswith("550 5.6.0 This mail can be read in two ways: ")
    return str(refusal.value)


def test_a_header_with_each_field_once_passes() -> None:
    check_structure(WHOLE.encode())
    check_structure(b"")
    check_structure(WHOLE.lower().encode())
    check_structure(
        b"Received: a\r\nReceived: b\r\nX-Y: 1\r\nX-Y: 2\r\nComments: x\r\nComments: y\r\n"
    )


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.swapcase])
def test_no_field_of_these_may_stand_twice(name: str, change) -> None:
    for other in (ONCE[name], "", "x"):
        more = f"{change(name)}: {other}\r\n"
        assert "stands twice" in refused(WHOLE + more)
        assert "stands twice" in refused(more + WHOLE)


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize("blank", [" ", "\t", "  ", "\x0b", "\x0c"])
def test_a_blank_around_a_name_is_refused(name: str, blank: str) -> None:
    others = "".join(f"{n}: {v}\r\n" for n, v in ONCE.items() if n != name)
    assert "not followed by its colon" in refused(f"{others}{name}{blank}: x\r\n")
    assert "not followed by its colon" in refused(f"{WHOLE}{name}{blank}: x\r\n")


@pytest.mark.parametrize("name", ONCE)
def test_a_name_and_its_colon_on_two_lines_are_refused(name: str) -> None:
    assert "not followed by its colon" in refused(f"X: 1\r\n{name}\r\n : x\r\n")
    assert "not followed by its colon" in refused(f"X: 1\r\n{name}\r\n")


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_header_that_begins_with_the_rest_of_a_line_is_refused(blank: str) -> None:
    for line in ("From: x@y.example", "x", ""):
        assert "begins with the rest of a line" in refused(f"{blank}{line}\r\n{WHOLE}")


def test_a_folded_value_is_one_field_however_it_looks() -> None:
    check_structure(WHOLE.encode() + b"X: 1\r\n Subject: REVOKE\r\n\tFrom: eve@other.example\r\n")


async def test_a_good_proof_does_not_save_a_mail_that_reads_in_two_ways() -> None:
    court = Court(Zone())
    people(court.dns)
    for mail in (
        signed(written(add=("Subject: REVOKE",))),
        signed(b"Subject: REVOKE\r\n" + written()),
        b"Subject: REVOKE\r\n" + signed(written()),
        b"Content-Type: text/html\r\n" + signed(written(add=("Content-Type: text/plain",))),
        signed(written(add=("To : share@scans.example",))),
        b" x\r\n" + signed(written()),
        b"\tSubject: REVOKE\r\n" + signed(written()),
    ):
        with pytest.raises(MailRefused):
            await court.judge(mail, peer=LAB_IP)
