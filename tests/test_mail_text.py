"""The sender's own words, out of what mail programs wrap around them."""

from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.text import LONGEST, note_of, text_of_html


@pytest.mark.parametrize(
    "around",
    [
        "\n\n-- \nAnna Berg\nAcme Dental\nplease DELETE this mail if it is not for you",
        "\n\n--\nAnna Berg",
        "\n\nSent from my iPhone",
        "\n\nVon meinem iPhone gesendet",
        "\n\nEnviado desde mi iPhone",
        "\n\nGet Outlook for iOS",
        "\n\n________________________________\nFrom: scanpost\nSent: Monday\nSubject: x\n\nREVOKE",
        "\n\nOn Sun, 22 Nov 2026 at 09:00, scanpost <share@scans.example> wrote:\n> reply REVOKE\n",
        "\n\nAm So., 22. Nov. 2026 um 09:00 Uhr schrieb scanpost <share@scans.example>:\n> REVOKE\n",
        "\n\nLe dim. 22 nov. 2026 à 09:00, scanpost <share@scans.example> a écrit :\n> REVOKE\n",
        "\n\nEl dom, 22 nov 2026 a las 9:00, scanpost (<share@scans.example>) escribió:\n> REVOKE\n",
        "\n\n-----Original Message-----\nFrom: scanpost\nSubject: x\n\nREVOKE",
        "\n> REVOKE\n",
    ],
)
def test_quotes_and_signatures_are_cut_from_the_note(around: str) -> None:
    assert note_of(f"Margins please,\n\nsee 14.{around}") == "Margins please,\n\nsee 14."


def test_blank_lines_are_joined_and_line_ends_are_alike() -> None:
    assert note_of("\r\n\r\na\r\n\r\n\r\n\r\nb\rc\r\n") == "a\n\nb\nc"


@pytest.mark.parametrize(
    "bomb",
    ["> " * 60_000, "On " * 60_000, "a@b.c " * 30_000, "-" * 100_000, "_" * 100_000, " " * 100_000,
     "\n" * 100_000, "On x wrote:\n" * 10_000, "*" * 100_000, "On Mon, " * 20_000 + "wrote:",
     "From: a\n" * 20_000, "Am x schrieb " * 10_000, "\t\n" * 50_000, "sent from my " * 10_000],
)  # fmt: skip
def test_texts_made_to_be_slow_are_not(bomb: str) -> None:
    begun = perf_counter()
    assert len(note_of(bomb)) <= LONGEST
    text_of_html(bomb)
    assert perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>REVOKE</p>", "REVOKE"),
        ("<html><head><title>x</title><style>p{}</style></head><body>hi</body></html>", "hi"),
        ("<html><head><meta charset=utf-8><body>hi", "hi"),
        ("a<br>b<br/>c", "a\nb\nc"),
        ("<div>a</div><div>b&nbsp;&amp;&#x41;</div>", "a\n\nb &A"),
        ("<!-- REVOKE -->a<!--[if mso]>b<![endif]-->c", "ac"),
        ("<o:p>a</o:p>", "a"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<script>REVOKE</script>a", "a"),
        ("<!-- REVOKE", ""),
        ("<P CLASS=MsoNormal>a<B>b</B></P>", "ab"),
        ('<img src="x" alt="REVOKE">a', "a"),
    ],
)
def test_html_is_read_as_people_see_it(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    "quote",
    [
        "<blockquote type=cite><p>REVOKE</p><div>x</div></blockquote>",
        '<div class="gmail_quote"><div>On Sunday wrote:<br>REVOKE</div></div>',
        '<div class="gmail_quote gmail_quote_container">REVOKE</div>',
    ],
)
def test_lines_of_a_quotation_are_marked(quote: str) -> None:
    lines = text_of_html(f"<div>STATUS</div>{quote}").splitlines()
    assert lines[0] == "STATUS"
    assert all(line.startswith(">") or not line for line in lines[1:])


def test_what_comes_behind_a_blockquote_is_the_senders_again() -> None:
    assert text_of_html("<blockquote>x</blockquote>mine").splitlines()[-1] == "mine"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<", ">", "<!--", "-->", "a", "&", "&#", "&#x110000;", "<style>", '"']
        )
    ).map("".join)
)
def test_any_html_is_read(html: str) -> None:
    text_of_html(html)
