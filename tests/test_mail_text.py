"""The sender's own words, out of what mail programs wrap around them."""

import random
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.text import LONGEST, note_of, text_of_html, tidy

REPLIES = sorted((Path(__file__).parent / "talk" / "replies").iterdir())
NOTE = "Margins please,\n\nsee 14."


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


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.name)
def test_the_note_is_cut_out_of_the_replies_of_all_programs(path: Path) -> None:
    text = path.read_text()
    if path.suffix == ".html":
        note = note_of(text_of_html(text.replace("{typed}", NOTE.replace("\n\n", "<br><br>"))))
    else:
        note = note_of(text.replace("{typed}", NOTE))
    assert note.removesuffix("\n\nMit freundlichen Grüßen\nAnna Berg") == NOTE


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("> Shall we?\n\nYes.\n", "Yes."),
        ("On 22 Nov 2026, Anna wrote:\n> Shall we?\n> And 15?\n\nYes.\n\n-- \nKim", "Yes."),
        ("On 22 Nov 2026, Anna wrote:\n> One?\nYes.\n> Two?\nNo.\n", "Yes.\nNo."),
        ("Hi\n> One?\nYes.\n", "Hi\nYes."),
        # Above an unmarked quotation nothing was written: nothing below is theirs.
        ("On 22 Nov 2026, Anna wrote:\nShall we?\n", ""),
        ("From: Anna\nSent: Sunday\n\nShall we?\n", ""),
        # Half a quoted line that a program has broken off.
        ("Top.\n\nOn 22 Nov 2026, Anna wrote:\n> a long\nline\n> more\n", "Top."),
        ("[EXTERNAL]\nMargins, please.", "Margins, please."),
    ],
)
def test_below_a_quotation_are_the_words_of_whoever_wrote_nothing_above_it(
    body: str, note: str
) -> None:
    assert note_of(body) == note


@pytest.mark.parametrize(
    "line",
    [
        "On tooth 14 the margin is short.",
        "From: 14 to: 16",
        "Sent from my lab yesterday: the new scan.",
        "This message is for Kim: look at 14.",
        "Am Zahn 14 fehlt Kontakt:",
        "De: nada",
        "Caution: the margin is thin.",
        "从手机上看14号牙边缘不清楚",
        "-0.2 mm at 14",
        "As the dentist wrote: too short.",
    ],
)
def test_what_only_looks_like_a_programs_line_stays_in_the_note(line: str) -> None:
    assert note_of(f"Hi,\n{line}\nThanks") == f"Hi,\n{line}\nThanks"


def test_a_note_is_not_longer_than_it_may_be() -> None:
    assert note_of("x" * 100_000) == "x" * LONGEST
    assert tidy("  a \n\n\n\nb\t\n") == "a\n\nb"


def test_blank_lines_are_joined_and_line_ends_are_alike() -> None:
    assert note_of("\r\n\r\na\r\n\r\n\r\n\r\nb\rc\r\n") == "a\n\nb\nc"


@pytest.mark.parametrize(
    "bomb",
    ["> " * 60_000, "On " * 60_000, "a@b.c " * 30_000, "-" * 100_000, "_" * 100_000, " " * 100_000,
     "\n" * 100_000, "On x wrote:\n" * 10_000, "*" * 100_000, "On Mon, " * 20_000 + "wrote:",
     "From: a\n" * 20_000, "Am x schrieb " * 10_000, "\t\n" * 50_000, "sent from my " * 10_000,
     "".join(f"From: {n}\n" for n in range(20_000)), "On x 1\n" * 20_000, "@ wrote 1\n" * 20_000,
     "On " * 55_000, "\ufdfa" * 60_000, ("\ufdfa" * 390 + "\n") * 160, "caution: external " * 9_000],
)  # fmt: skip
def test_texts_made_to_be_slow_are_not(bomb: str) -> None:
    begun = process_time()
    assert len(note_of(bomb)) <= LONGEST
    assert process_time() - begun < 0.4  # a tenth of it on an idle machine
    text_of_html(bomb)
    assert process_time() - begun < 1


@pytest.mark.parametrize(
    "bomb",
    ["<a " * 90_000, "<div>" * 50_000, "<div hidden>" * 11_000 + "</div>" * 11_000, "<p style='" * 25_000,
     "<p style='" + "display:none;" * 20_000, "<p style='" + "/*" * 120_000 + "'>", "<style>" * 40_000,
     "<a " + "=" * 250_000, '<a ="' * 60_000, "<a class" + " " * 250_000 + ">", "<a class " + "x " * 120_000,
     "<!--" * 60_000, "&" * 250_000, "&#x41;" * 40_000, "<pre>" + "\n" * 200_000, "<blockquote>" * 20_000,
     "</style " * 40_000, "<title>" * 40_000 + "</", '<p style="' + " " * 200_000 + '">'],
)  # fmt: skip
def test_pages_made_to_be_slow_are_not(bomb: str) -> None:
    begun = process_time()
    text_of_html(bomb)
    assert process_time() - begun < 0.6


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
        ('<img alt="x> REVOKE <b">a', "a"),
        ("<p it's>a</p>", "a"),
        ("a<b", "a"),  # a tag that never ends is shown by no program
        ("<td>REV</td><td>OKE</td>", "REV OKE"),
        ("<pre>STATUS\nmore</pre>a\nb", "STATUS\nmore\na b"),
        ("<style>p > a {}</style>a<style>", "a"),
        ("<script>'</b>' < 1</script>a", "a"),
        ("</ x>a", "a"),
    ],
)
def test_html_is_read_as_people_see_it(html: str, text: str) -> None:
    assert text_of_html(html) == text


@pytest.mark.parametrize(
    "element",
    [
        '<div style="display:none">{}</div>',
        "<div style='DISPLAY : none !important'>{}</div>",
        "<div style=display:none>{}</div>",
        '<span style="color:red;visibility:hidden">{}</span>',
        '<div style="font-size:0px;line-height:0">{}</div>',
        '<div style="font-size:0">{}</div>',
        '<span style="mso-hide:all">{}</span>',
        '<div style="opacity:0.0;">{}</div>',
        '<div style="max-height:0;overflow:hidden">{}</div>',
        '<div style="display:/* x */none">{}</div>',
        '<div style="display&#58;none">{}</div>',
        "<div hidden>{}</div>",
        '<div hidden="until-found">{}</div>',
        '<div class="x preheader">{}</div>',
        "<template>{}</template>",
        "<!-- {} -->",
        "<div hidden><div>x</div>{}<br><img><div>y</div></div>",
        "<div hidden><span></div>",
        "<table hidden><tr><td><table><tr><td>x</td></tr></table>{}</td></tr></table>",
        "<p hidden>{}",  # ended by the next block
        '<input style="display:none">',
    ],
)
def test_what_a_reader_cannot_see_is_left_out(element: str) -> None:
    assert text_of_html(f"{element.format('REVOKE')}<div>STATUS</div>") == "STATUS"


@pytest.mark.parametrize(
    "style",
    ["display:inline", "font-size:0.9em", "font-size:10px", "opacity:0.5", "opacity:1", "line-height:0",
     "max-height:0", "visibility:visible", "border-top:solid #ccc 1pt", "mso-hide:none"],
)  # fmt: skip
def test_what_a_reader_sees_is_kept(style: str) -> None:
    assert text_of_html(f'<div style="{style}" class="hidden-xs">a</div>b') == "a\nb"


@pytest.mark.parametrize(
    "quote",
    [
        "<blockquote type=cite><p>REVOKE</p><div>x</div></blockquote>",
        '<div class="gmail_quote"><div>On Sunday wrote:<br>REVOKE</div></div>',
        '<div class="gmail_quote gmail_quote_container">REVOKE</div>',
        '<div class="gmail_quote"></div><div>REVOKE</div>',
        '<hr><div id="divRplyFwdMsg"><b>From:</b> x</div><div>REVOKE</div>',
        '<div id="x_divRplyFwdMsg"><b>From:</b> x</div><div>REVOKE</div>',
        "<div style='border:none; border-top:solid #E1E1E1 1.0pt'><p>From: x</div><p>REVOKE</p>",
        '<div class="moz-cite-prefix">On Sunday x wrote:<br></div>',
        '<div id="yahoo_quoted_1" class="yahoo_quoted">x<div>REVOKE</div></div>',
        '<div class="protonmail_quote">x<br>REVOKE</div>',
        '<span id="AppleMailSignature">REVOKE</span>',
    ],
)
def test_lines_of_a_quotation_are_marked(quote: str) -> None:
    lines = text_of_html(f"<div>STATUS</div>{quote}").splitlines()
    assert lines[0] == "STATUS"
    assert any(line.startswith("> ") for line in lines)
    assert all(line.startswith(">") or not line for line in lines[1:])


@pytest.mark.parametrize(
    "quote",
    [
        "<blockquote>x</blockquote>",
        "<blockquote>x<blockquote>y</blockquote></blockquote>",
        '<div class="moz-cite-prefix">x<div>y</div></div><blockquote><p>z</blockquote>',
        '<div class="protonmail_quote"><div>x</div></div>',
        '<div id="AppleMailSignature">x</div>',
    ],
)
def test_what_comes_behind_a_quotation_is_the_senders_again(quote: str) -> None:
    assert text_of_html(f"{quote}mine").splitlines()[-1] == "mine"


def test_word_writes_its_styles_before_the_first_word() -> None:
    assert text_of_html(f"<style>{'p {} ' * 30_000}</style><p>STATUS</p>") == "STATUS"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<p>",
                "</p>",
                "<",
                ">",
                "<!--",
                "-->",
                "a",
                "&",
                "&#",
                "&#x110000;",
                "<style>",
                '"',
                "<div hidden>",
                "</div>",
                "<blockquote>",
                "</blockquote>",
                "<p style='",
                "=",
                "'",
            ]
        )
    ).map("".join)
)
def test_any_html_is_read(html: str) -> None:
    text_of_html(html)


def test_hidden_elements_end_where_they_do_however_they_are_nested() -> None:
    chance = random.Random(5)
    tags = ["div", "span", "table", "b"]
    for _ in range(300):
        inner, open_tags = "", []
        for _ in range(chance.randint(0, 12)):
            if open_tags and chance.random() < 0.5:
                inner += f"</{open_tags.pop()}>"
            else:
                open_tags.append(chance.choice(tags))
                inner += f"<{open_tags[-1]}{chance.choice(['', ' hidden'])}>no<br>"
        inner += "".join(f"</{tag}>" for tag in reversed(open_tags))
        tag = chance.choice(tags)
        assert text_of_html(f"<{tag} hidden>{inner}no</{tag}>STATUS").strip() == "STATUS", inner
