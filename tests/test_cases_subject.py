"""What the subject of a case mail says."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.cases.subject import LONGEST_TITLE, MOST_REVIEWERS, read_subject
from inbound.mail.parts import split
from inbound.mail.skeleton import read_contents
from tests.test_mail_parts import Mail

KIM, LEE = "kim@clinic.example", "lee@other.example"


@pytest.mark.parametrize(
    ("subject", "people", "code", "title"),
    [
        (f"{KIM} C-1042 crown #30", [(KIM, "")], "C-1042", "crown #30"),
        (f"C-1044 veneer 8-9 {KIM}", [(KIM, "")], "C-1044", "veneer 8-9"),
        (f"{KIM} JS-30", [(KIM, "")], "JS-30", ""),
        (f"{KIM} 2026-0412 bridge", [(KIM, "")], "2026-0412", "bridge"),
        (f"C-1042 {KIM} crown", [(KIM, "")], "C-1042", "crown"),
        (f"{KIM} crown upper", [(KIM, "")], "", "crown upper"),
        (f"Kim Lee <{KIM}> C-1042", [(KIM, "Kim Lee")], "C-1042", ""),
        (f"C-1042 crown Dr. Kim Lee <{KIM}>", [(KIM, "Dr. Kim Lee")], "C-1042", "crown"),
        (f'"Lee, Kim" <{KIM}> C-1042', [(KIM, "Lee, Kim")], "C-1042", ""),
        (f"{KIM}, {LEE} C-1042", [(KIM, ""), (LEE, "")], "C-1042", ""),
        (f"{KIM};{LEE}; C-1042", [(KIM, ""), (LEE, "")], "C-1042", ""),
        (f"Kim <{KIM}>, Lee <{LEE}> C-1042", [(KIM, "Kim"), (LEE, "Lee")], "C-1042", ""),
        (f"{KIM} C-1042 {LEE}", [(KIM, ""), (LEE, "")], "C-1042", ""),
        (f"{KIM.upper()} {KIM} C-1", [(KIM, "")], "C-1", ""),
        (f"Re: {KIM} C-1042", [(KIM, "")], "C-1042", ""),
        (f"WG: AW: Fwd: {KIM} C-1042", [(KIM, "")], "C-1042", ""),
        (f"转发：{KIM} C-1042", [(KIM, "")], "C-1042", ""),
        ("C-1046 crown", [], "C-1046", "crown"),
        ("", [], "", ""),
        (f"{KIM}", [(KIM, "")], "", ""),
        (f"{KIM} - C-1042 - crown", [(KIM, "")], "C-1042", "crown"),
        (f"{KIM} #4711", [(KIM, "")], "#4711", ""),
        (f"{KIM} C-1048 1/2", [(KIM, "")], "C-1048", "1/2"),
        (f"kim@@clinic.example C-1042 {LEE}", [(LEE, "")], None, None),
        ("kim..lee@clinic.example C-1042", [], None, None),
        (f"<{KIM}> C-1042", [(KIM, "")], "C-1042", ""),
        (f"mailto:{KIM} C-1042", [(KIM, "")], None, None),
        (f"{KIM}. C-1042", [(KIM, "")], None, None),
    ],
)
def test_addresses_are_reviewers_and_the_rest_names_the_case(
    subject: str, people: list[tuple[str, str]], code: str | None, title: str | None
) -> None:
    read = read_subject(subject)
    assert [(one.address, one.name) for one in read.reviewers] == people
    if code is not None:
        assert (read.code, read.title) == (code, title)


def from_mail(field: bytes) -> str:
    mail = Mail(b"From: a@b.example\r\nSubject: " + field + b"\r\n\r\nhello\r\n")
    return read_contents(mail, split(mail)).subject


@pytest.mark.parametrize(
    ("field", "code", "title"),
    [
        (b"kim@clinic.example\r\n C-1042\r\n\tcrown", "C-1042", "crown"),
        (b"=?utf-8?q?kim=40clinic=2Eexample_C-1042_Br=C3=BCcke?=", "C-1042", "Brücke"),
        (b"=?utf-8?b?a2ltQGNsaW5pYy5leGFtcGxlIEMtMTA0MiBCcsO8Y2tl?=", "C-1042", "Brücke"),
        (b"=?utf-8?q?kim=40clinic=2E?=\r\n =?utf-8?q?example_C-1042?= crown", "C-1042", "crown"),
        (b"kim@clinic.example =?iso-8859-1?q?C-1042_Br=FCcke?=", "C-1042", "Brücke"),
        ("kim@clinic.example C-1042 Brücke".encode(), "C-1042", "Brücke"),
        ("kim@clinic.example C-1042 Brücke".encode("latin-1"), "C-1042", "Brücke"),
    ],
)
def test_folded_and_encoded_subjects_say_the_same(field: bytes, code: str, title: str) -> None:
    read = read_subject(from_mail(field))
    assert [one.address for one in read.reviewers] == [KIM]
    assert (read.code, read.title) == (code, title)


def test_line_ends_and_marks_within_encoded_words_reach_nobody() -> None:
    read = read_subject(from_mail(b"kim@clinic.example C-1 =?utf-8?q?a=0D=0ABcc:_x=E2=80=AEy?="))
    assert not set("\r\n\u202e") & set(read.title)
    assert [one.address for one in read.reviewers] == [KIM]


def test_names_lose_what_cannot_be_seen() -> None:
    (kim,) = read_subject(f'"Kim\u202e\r\nBcc: x" <{KIM}> C-1').reviewers
    assert not set("\r\n\u202e") & set(kim.name)


def test_long_subjects_are_cut_and_cost_no_time() -> None:
    for subject in ("a@" * 50_000, "a" * 100_000, "<" * 100_000, f"{KIM} " * 5_000, "Re: " * 30_000,
                    '"' * 100_000, "a." * 50_000, f"{KIM} C-1 " + "x" * 100_000, "Kim " * 30_000):  # fmt: skip
        begun = process_time()
        read = read_subject(subject)
        assert process_time() - begun < 1
        assert len(read.reviewers) <= MOST_REVIEWERS
        assert len(read.title) <= LONGEST_TITLE
        assert len(read.code) <= 40


@given(st.text(max_size=200))
def test_any_subject_is_read(subject: str) -> None:
    read = read_subject(subject)
    assert not set("\r\n\0") & set(read.code + read.title)
