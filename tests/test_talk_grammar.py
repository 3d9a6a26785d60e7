"""The first line that was typed is a command, is nearly one, or is none."""

import random
from pathlib import Path
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.commands.shape import Order
from inbound.commands.table import COMMANDS
from inbound.mail.text import text_of_html
from inbound.talk.grammar import (
    UNUSABLE_CODE,
    Reading,
    Said,
    find_order_below,
    first_line,
    read_order,
    read_reply,
    same_order,
)
from inbound.talk.words import VERBS

KIM = "kim@clinic.example"
OWNER = {"STATUS", "LIST", "EXTEND", "RESEND", "REVOKE", "ADD", "DELETE", "COMMENT", "2FA", "ADDRESS",
         "HELP"}  # fmt: skip
REVIEWER = {"STATUS", "APPROVE", "CHANGES", "COMMENT", "STOP", "HELP"}
REPLIES = sorted((Path(__file__).parent / "talk" / "replies").iterdir())


def verb(text: str, verbs: set[str] = OWNER) -> str | None:
    """The command that a text is, if it is one."""
    reading = read_reply(text, verbs)
    return reading.order.verb if reading.said is Said.COMMAND and reading.order else None


def order(text: str, verbs: set[str] = OWNER) -> Order:
    reading = read_reply(text, verbs)
    assert reading.said is Said.COMMAND, reading
    assert reading.order is not None
    return reading.order


def nearly(text: str, verbs: set[str] = OWNER) -> str | None:
    """The line of the order that was probably meant."""
    reading = read_reply(text, verbs)
    return reading.order.line if reading.said is Said.NEARLY and reading.order else None


# ---------------------------------------------------------------- what is a command


@pytest.mark.parametrize(
    "line",
    [
        "REVOKE",
        "revoke",
        "Revoke.",
        "*REVOKE*",
        "_Revoke_",
        "`REVOKE`",
        '"REVOKE"',
        "“Revoke”",
        "„Revoke“",
        "«REVOKE»",
        "‘revoke’",
        "ＲＥＶＯＫＥ",
        "ｒｅｖｏｋｅ．",
        "\u200bREVOKE\u200b",
        "\u00a0REVOKE\u00a0",
        "\ufeffREVOKE",
        "RE\u00adVOKE",
        "\u202aREVOKE\u202c",
        "\u2067REVOKE\u2069",
        "  REVOKE  ",
        "\n\n \n\u200b\nREVOKE",
        "***\nREVOKE",
        "[cid:image001.png@01DA.1]\nREVOKE",
        "\ufffc\nREVOKE",
        "REVOKE!\n\nSent from my iPhone",
        "REVOKE\n-- \nAnna DELETE Berg",
        "REVOKE\r\n\r\nOn Sunday scanpost wrote:\r\n> EXTEND 7\r\n",
        "REVOKE\n\nThanks!",
        "widerrufen",
        "Revocar.",
        "撤销。",
    ],
)
def test_decoration_does_not_change_a_command(line: str) -> None:
    assert verb(line) == "REVOKE"


@pytest.mark.parametrize(
    "text",
    [
        "> REVOKE",
        "＞ REVOKE",
        ">REVOKE",
        "\u200b> REVOKE",
        "Please REVOKE",
        "REVOKED",
        "REVOKE please",
        "REVOKE?",
        f"REVOKE {KIM}?",
        "R E V O K E",
        "R\u0336E\u0336V\u0336O\u0336K\u0336E\u0336",
        "Hi,\nREVOKE",
        "Thanks!\n> REVOKE",
        "On Sunday scanpost wrote:\n> x\n\nREVOKE",
        "Re: [#7F3KQ2] REVOKE",
        "List of changes below",
        "Help me please",
        "RЕVOKE",  # a Cyrillic letter
        "-- \nREVOKE",
        "--\nREVOKE",
        "________________________________\nREVOKE",
        "Sent from my iPhone\nREVOKE",
        "",
        " \n\t\n",
        "This mail is confidential. If it is not for you, delete it.",
        "https://scans.example/delete",
        "delete@clinic.example",
        "REVOKE" + "x" * 5_000,
        "REVOKE " + "x" * 5_000,
    ],
)
def test_what_is_no_command_is_never_guessed(text: str) -> None:
    assert verb(text) is None


@pytest.mark.parametrize(
    ("line", "recipients", "days", "cases", "unknown"),
    [
        ("EXTEND", [], None, [], []),
        ("EXTEND 7", [], 7, [], []),
        ("EXTEND 7 days", [], 7, [], []),
        ("EXTEND 7d.", [], 7, [], []),
        ("EXTEND ７", [], 7, [], []),
        ("EXTEND 14 Tage", [], 14, [], []),
        ("verlängern 14 Tage", [], 14, [], []),
        ("ampliar 7 días", [], 7, [], []),
        ("延长7天", [], 7, [], []),
        ("延长 7 天", [], 7, [], []),
        ("EXTEND -1", [], -1, [], []),
        ("EXTEND 0 days", [], 0, [], []),
        ("EXTEND 9999", [], 9999, [], []),
        ("EXTEND C-1042 7", [], 7, ["C-1042"], []),
        ("EXTEND 7 #7F3KQ2", [], 7, ["#7F3KQ2"], []),
        ("EXTEND 2 weeks", [], 2, [], ["weeks"]),
        ("EXTEND C-1042 123456", [], 123456, ["C-1042"], []),
        ("REVOKE 4712", [], None, ["4712"], []),
        ("REVOKE C-1042.", [], None, ["C-1042"], []),
        ("删除C-1042", [], None, ["C-1042"], []),
        (f"REVOKE {KIM}", [KIM], None, [], []),
        (f"REVOKE <{KIM.upper()}>.", [KIM], None, [], []),
        (f"REVOKE {KIM}, lee@other.example", [KIM, "lee@other.example"], None, [], []),
        (f"REVOKE {KIM},lee@other.example;", [KIM, "lee@other.example"], None, [], []),
        (f"RESEND {KIM}<mailto:{KIM}>", [KIM], None, [], []),
        (f"RESEND {KIM} <mailto:{KIM}> C-1042", [KIM], None, ["C-1042"], []),
        (f"REVOKE kim@clinic {KIM}", [KIM], None, [], ["kim@clinic"]),
        ("STATUS C-1042 please", [], None, ["C-1042"], ["please"]),
        ("DELETE 471100", [], None, ["471100"], []),
        ("REVOKE 4711 471200", [], None, ["4711", "471200"], []),
    ],
)
def test_arguments_are_told_by_what_they_look_like(
    line: str, recipients: list[str], days: int | None, cases: list[str], unknown: list[str]
) -> None:
    said = order(line)
    assert (said.recipients, said.days, said.cases, said.unknown) == (
        recipients,
        days,
        cases,
        unknown,
    )
    assert said.code == ""


@pytest.mark.parametrize(
    ("line", "understood"),
    [
        ("*revoke*", "REVOKE"),
        (f"widerrufen  {KIM}", f"REVOKE {KIM}"),
        ("延长7天", "EXTEND 7天"),
        ("DELETE C-1042 CODE 123456", "DELETE C-1042"),
        ("2fa aus", "2FA OFF"),
        ("Änderungen: 14 zu kurz", "CHANGES 14 zu kurz"),
        ("STATUS", "STATUS"),
    ],
)
def test_the_line_is_in_english_without_a_code_and_is_read_again_as_the_same(
    line: str, understood: str
) -> None:
    said = order(line, OWNER | REVIEWER)
    assert said.line == understood
    again = read_order(said.line)
    assert again is not None
    assert (again.verb, again.recipients, again.days, again.cases, again.text) == (
        said.verb,
        said.recipients,
        said.days,
        said.cases,
        said.text,
    )


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_a_command_whoever_says_it(name: str) -> None:
    assert verb(name.lower()) == name
    assert verb(name, set()) == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_text(name: str) -> None:
    assert COMMANDS[name].help.endswith(".")


def test_read_order_reads_one_line_of_the_verbs_it_is_given() -> None:
    assert read_order("REVOKE") is not None
    assert read_order("REVOKE", {"STATUS"}) is None
    assert read_order("> REVOKE") is None
    assert read_order("REVOKE kim") == Order("REVOKE", "REVOKE kim", unknown=["kim"])
    assert read_order("") is None


# ---------------------------------------------------------------- addresses


def test_names_stand_before_addresses_and_a_list_goes_on_where_a_program_has_broken_it() -> None:
    said = order(
        f'ADD Kim Lee <{KIM}>, "Lee, Bo" <bo@x.example>,\nDr. Zoë\u00a0Ng <zoe@y.example>;\n\n'
        "last@z.example\n\nThanks!\nanna@lab.example\n"
    )
    assert said.recipients == [KIM, "bo@x.example", "zoe@y.example", "last@z.example"]


def test_thirty_addresses_one_malformed_and_one_twice_are_all_told() -> None:
    people = [f"reviewer.number.{n}@clinic.example" for n in range(28)]
    said = order("ADD " + ", ".join([*people, people[0], "kim@@clinic"]))
    assert said.recipients == [*people, people[0]]
    assert said.unknown == ["kim@@clinic"]


@pytest.mark.parametrize(
    "text", [f"REVOKE {KIM}\n\nanna@lab.example", f"REVOKE {KIM}\nAnna a@b.cd"]
)
def test_an_address_in_the_signature_is_not_one_of_the_list(text: str) -> None:
    assert order(text).recipients == [KIM]


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DELETE C-1042 CODE 123456", "123456"),
        ("DELETE C-1042 code: 123456.", "123456"),
        ("DELETE 4711 123456", "123456"),
        ("DELETE #7F3KQ2 *123456*", "123456"),
        ("DELETE C-1042\nCODE 123456", "123456"),
        ("DELETE C-1042\r\n\r\n \r\nCode 123456\r\n\r\nSent from my iPhone", "123456"),
        ("DELETE\nCODE:123456\n> CODE 654321", "123456"),
        ("DELETE\nCODE ABCDE-fghi2", "abcde-fghi2"),
        ("DELETE C-1042 CODE abcde-fghij", "abcde-fghij"),
        ("LÖSCHEN C-1042\nCODE 123456", "123456"),
        ("borrar C-1042 código 123456", "123456"),
        ("删除 C-1042 验证码123456", "123456"),
        ("删除\n验证码：123456", "123456"),
        (f"ADD {KIM}\nCODE 123456", "123456"),
        (f"ADD {KIM} CODE 123456", "123456"),
        ("2FA OFF CODE 123456", "123456"),
        ("2FA OFF 123456", "123456"),
        ("CODE 123456", "123456"),
        ("\u200bCODE\u00a0123456", "123456"),
        ("STATUS C-1042", ""),
        ("DELETE C-1042", ""),
        ("DELETE 123456", ""),  # the name of a case, or a code: the caller knows the case
        ("DELETE C-1042\nthe code is 123456", ""),
        ("DELETE C-1042\n\nThanks\nCODE 123456", ""),
        ("DELETE C-1042\n-- \nCODE 123456", ""),
        ("DELETE C-1042\n> CODE 123456", ""),
        ("DELETE C-1042 CODE １２３４５６", UNUSABLE_CODE),
        ("DELETE C-1042 CODE ١٢٣٤٥٦", UNUSABLE_CODE),
        ("DELETE\nCODE １２３４５６", UNUSABLE_CODE),
        ("DELETE\nCODE 12345", UNUSABLE_CODE),
        ("DELETE\nCODE 1234567", UNUSABLE_CODE),
        ("DELETE\nCODE 123 456", "123456"),  # as apps show it
        ("DELETE\nCODE", UNUSABLE_CODE),
        ("DELETE\nCODE abcd1-fghij", UNUSABLE_CODE),
        ("DELETE\nCODE \u212abcde-fghij", UNUSABLE_CODE),  # the sign for Kelvin
        ("CODE 12345", UNUSABLE_CODE),
    ],
)
def test_a_code_is_six_digits_or_a_backup_code_as_it_was_typed(text: str, code: str) -> None:
    said = order(text)
    assert said.code == code
    assert "123456" not in said.line or said.cases == ["123456"]


def test_full_width_digits_behind_a_case_are_no_code_but_a_second_case() -> None:
    said = order("DELETE 4711 １２３４５６")
    assert (said.code, said.cases) == ("", ["4711", "123456"])


@pytest.mark.parametrize(
    "text",
    ["DELETE C-1 CODE 123456", "DELETE 4711 123456", "DELTE C-1 CODE 123456", "DELTE 4711 123456",
     "Please delete C-1 CODE abcde-fghij", "2FA OFF 123456"],
)  # fmt: skip
def test_a_code_is_never_shown_again(text: str) -> None:
    reading = read_reply(text, OWNER)
    assert reading.order is not None
    for shown in (reading.line, reading.order.line):
        assert "123456" not in shown
        assert "abcde" not in shown


# ---------------------------------------------------------------- free text


@pytest.mark.parametrize(
    ("body", "verb", "text"),
    [
        ("APPROVE", "APPROVE", ""),
        ("Approve.", "APPROVE", ""),
        ("APPROVE, thanks!", "APPROVE", "thanks!"),
        ("APPROVE\n\nVery nice work.\nDo not forget the bill.", "APPROVE",
         "Very nice work.\nDo not forget the bill."),
        ("CHANGES margin of 14", "CHANGES", "margin of 14"),
        ("CHANGES: look at 14", "CHANGES", "look at 14"),
        ("CHANGES - look at 14", "CHANGES", "look at 14"),
        ("CHANGES -0.2 mm at 14", "CHANGES", "-0.2 mm at 14"),
        ("*CHANGES* ½ mm", "CHANGES", "½ mm"),
        ("CHANGES:14", "CHANGES", "14"),
        ("CHANGES\n\n\n\n- 14\n- 15\n\nSent from my iPhone\n\n> x", "CHANGES", "- 14\n- 15"),
        ("CHANGES 14\nCode of the shade is A2", "CHANGES", "14\nCode of the shade is A2"),
        ("ÄNDERUNGEN 14 zu kurz", "CHANGES", "14 zu kurz"),
        ("Cambios: 14 corto", "CHANGES", "14 corto"),
        ("修改：边缘太短", "CHANGES", "边缘太短"),
        ("批准，谢谢", "APPROVE", "谢谢"),
        ("修改 边缘太短", "CHANGES", "边缘太短"),
        ("COMMENT delete is what I want\n\nOn Sunday x wrote:\n> y", "COMMENT",
         "delete is what I want"),
        ("留言 你好", "COMMENT", "你好"),
        ("CHANGES " + "x" * 20_000, "CHANGES", "x" * 8_000),
    ],
)  # fmt: skip
def test_free_text_is_the_rest_of_what_was_typed(body: str, verb: str, text: str) -> None:
    said = order(body, REVIEWER)
    assert (said.verb, said.text) == (verb, text)
    assert len(said.line) <= 1_010


def test_a_code_below_a_text_does_not_go_to_the_other_side() -> None:
    said = order("COMMENT hello\n\nCODE 123456\n\nbye")
    assert (said.code, said.text) == ("123456", "hello\n\nbye")


@pytest.mark.parametrize(
    "line",
    [
        "Approve?",
        "Approve if 14 is fixed",
        "approve, but polish 15",
        "APPROVE\nbut only 14",
        "Approve the design, it is very nice and fits\nwell, but 14 is too high",
        "批准了吗",
        "Approve with changes: shorten 14",
        "Approve with minor changes on 14",
        "Approve, please shorten 14 first",
        "Approve provided 14 is polished",
        "Approve, subject to shade",
        "Approve 14, redo 15",
        "Approve this? Let me check first",
        "approve tomorrow",
        "APPROVE: only if 14 is shorter",
        "Approve\n\nPlease shorten 14 before milling",
        "Freigeben mit Änderung an 14",
        "Freigeben, allerdings ist 14 zu hoch",
        "Aprobar con cambios",
        "批准，14边缘再短一点",
        "Changes look good",
        "Changes are not needed",
        "修改得很好",
        "Änderungen sind gut",
    ],
)
def test_a_verdict_that_may_be_none_is_asked_back(line: str) -> None:
    assert nearly(line, REVIEWER) in ("APPROVE", "CHANGES")
    assert read_reply(line, REVIEWER).order.text == line  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("2FA ON", "ON"),
        ("2fa off", "OFF"),
        ("2FA ein.", "ON"),
        ("2FA", ""),
        ("两步验证 关闭", "OFF"),
    ],
)
def test_2fa_is_put_on_or_off(line: str, text: str) -> None:
    assert order(line).text == text


# ---------------------------------------------------------------- what is nearly one


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("STATUS please", "STATUS"),
        ("Please REVOKE", "REVOKE"),
        (f"Please revoke {KIM}, thanks", f"REVOKE {KIM},"),
        ("REVOKED", "REVOKE"),
        ("Revolve", "REVOKE"),
        ("Detele", "DELETE"),
        ("Delte C-1042", "DELETE C-1042"),
        ("Extended 7 days", "EXTEND 7 days"),
        ("EXTEND for 7 days", "EXTEND 7 days"),
        ("EXTEND soon", "EXTEND"),
        ("REVOKE kim", "REVOKE"),
        ("REVOKE?", "REVOKE"),
        ("The status of the crown looks good", "STATUS"),
        ("List of changes below", "LIST"),
        ("Help me please", "HELP"),
        ("HELP STATUS", "HELP"),
        ("R E V O K E", "REVOKE"),
        ("Re-send", "RESEND"),
        ("RЕVOKE", "REVOKE"),  # a Cyrillic letter
        ("请删除", "DELETE"),
        ("状态很好", "STATUS"),
        ("bitte löschen", "DELETE"),
        ("ADD 14", "ADD 14"),
        ("2FA maybe", "2FA"),
        ("Please delete all of this, the patient has decided to go elsewhere, thanks", "DELETE"),
        ("Delete " + "all of this " * 40, "DELETE"),
    ],
)
def test_a_verb_within_a_line_and_one_nearly_spelled_are_asked_back(line: str, meant: str) -> None:
    assert nearly(line) == meant


@pytest.mark.parametrize(
    "line",
    [
        "Looks great, thank you!",
        "The last one sits well",
        "Code of the crown is A2",
        "We would like you to look at it with the list that we have sent you in the other mail",
        "The patient comes back on Monday and then we shall see whether to extend this any further",
        "It is fine " * 30 + "delete",
        f"Ask {KIM} or see https://scans.example/delete/status",
        "La corona está lista",
    ],
)
def test_ordinary_sentences_are_notes(line: str) -> None:
    assert read_reply(line, OWNER - {"CODE"}) == Reading(Said.NOTE, line=line)


def test_near_are_only_the_verbs_of_the_person_and_others_only_as_whole_commands() -> None:
    assert nearly("Please approve", REVIEWER) == "APPROVE"
    assert read_reply("Please approve", OWNER).said is Said.NOTE
    for line in ("Add 2 mm to the margin", "Close 14 gap please", "Delete the bump at 14"):
        assert read_reply(line, REVIEWER).said is Said.NOTE
    assert read_reply("Changes to 14 are done", OWNER).said is Said.NOTE
    assert verb("CHANGES: 14", OWNER) == "CHANGES"
    assert verb(f"REVOKE {KIM}", REVIEWER) == "REVOKE"


# ---------------------------------------------------------------- whole mails


@pytest.mark.parametrize("path", REPLIES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("STATUS", Said.COMMAND),
        ("*Status.*", Said.COMMAND),
        ("Status please", Said.NEARLY),
        ("Margins please, see 14", Said.NOTE),
        ("", Said.NOTHING),
    ],
)
def test_only_what_was_typed_is_read_in_the_replies_of_all_programs(
    path: Path, typed: str, said: Said
) -> None:
    text = path.read_text().replace("{typed}", typed)
    body = text_of_html(text) if path.suffix == ".html" else text
    reading = read_reply(body, OWNER)
    if path.stem == "outlook-desktop-de" and not typed:  # above its head stands a friendly greeting
        assert reading.line == "Mit freundlichen Grüßen"
        return
    assert reading.said is said
    assert reading.order is None or reading.order.verb == "STATUS"


FOOTS = [
    "This e-mail is confidential. If you are not the intended recipient, DELETE it.",
    "Diese E-Mail ist vertraulich. Bitte LÖSCHEN, wenn sie nicht für Sie bestimmt ist.",
    "Este correo es confidencial. ELIMINAR si no es el destinatario.",
    "本邮件保密。如误收，请删除。",
    "-- \nDELETE\nREVOKE",
    "Sent from my Galaxy",
    "Gesendet mit der GMX Mail App",
    "Enviado desde mi Huawei",
    "发自我的华为手机",
    "Sent by scanpost, the mail service of this lab. For de-identified cases only.",
]


@pytest.mark.parametrize("foot", FOOTS)
@pytest.mark.parametrize("verb_below", ["DELETE", "REVOKE"])
def test_signatures_and_disclaimers_say_nothing(foot: str, verb_below: str) -> None:
    assert read_reply(f"\n\n{foot}\n{verb_below}\n", OWNER) == Reading(Said.NOTHING)
    assert verb(f"STATUS\n\n{foot}\n{verb_below}\n") == "STATUS"
    assert read_reply(f"Thanks!\n\n{foot}\n{verb_below}\n", OWNER).said is Said.NOTE


BANNERS = [
    "[EXTERNAL]",
    "[EXTERN]",
    "*** EXTERNAL EMAIL ***",
    "⚠️ EXTERNAL SENDER ⚠️",
    "CAUTION: This email originated from outside of the organization. Do not click links or open"
    " attachments unless you recognize the sender.",
    "This message was sent from outside your organization",
    "ACHTUNG: Externe E-Mail! Bitte keine Anhänge öffnen",
    "Diese Nachricht kommt von außerhalb der Organisation.",
    "PRECAUCIÓN: correo externo",
    "[外部邮件]",
    "外部邮件，请谨慎",
    "You don't often get email from share@scans.example. Learn why this is important"
    "<https://aka.ms/LearnAboutSenderIdentification>",
    "Sie erhalten nicht oft E-Mails von share@scans.example.",
]


@pytest.mark.parametrize("banner", BANNERS)
@pytest.mark.parametrize("between", ["\n", "\n\n", "\n\n \n"])
def test_banners_of_a_gateway_are_skipped(banner: str, between: str) -> None:
    assert verb(f"{banner}{between}STATUS") == "STATUS"
    assert (
        verb(f"\n{banner}\n\n{BANNERS[0]}\n\n{BANNERS[4]}{between}STATUS\n\n> REVOKE") == "STATUS"
    )
    assert read_reply(f"{banner}{between}\n> REVOKE", OWNER).said is Said.NOTHING


def test_a_banner_is_a_paragraph_and_at_most_three_are_skipped() -> None:
    assert (
        verb("CAUTION: This mail is from an external sender.\nDo not click.\n\nSTATUS") == "STATUS"
    )
    assert verb("[EXTERNAL]\n" * 3 + "STATUS") == "STATUS"
    assert verb("[EXTERNAL]\n" * 4 + "STATUS") is None
    assert first_line("[EXTERNAL]\nLooks good") == "Looks good"
    assert first_line("Caution: the margin is thin") == "Caution: the margin is thin"


# Numbers of ../shared/acceptance/mails.md.
@pytest.mark.parametrize(
    ("number", "text", "said", "verb"),
    [
        (15, "STATUS\n\nAm So., 22. Nov. 2026 um 09:00 Uhr schrieb scanpost <share@scans.example>:\n"
             "> reply REVOKE\n> REVOKE", Said.COMMAND, "STATUS"),
        (17, "> What you can say:\n>  REVOKE\n\nREVOKE", Said.NOTHING, None),
        (21, "\u200b*ＲＥＶＯＫＥ*.\u00a0\n\nSent from my iPhone", Said.COMMAND, "REVOKE"),
        (23, "\n-- \nAnna DELETE\nplease delete this mail", Said.NOTHING, None),
        (23, "Thanks\n\nplease DELETE this mail if it is not for you", Said.NOTE, None),
        (25, "EXTEND -1", Said.COMMAND, "EXTEND"),
        (27, "\n\n", Said.NOTHING, None),
        (29, "ADD kim@clinic.example, kim@clinic.example, lee@", Said.COMMAND, "ADD"),
    ],
)  # fmt: skip
def test_the_acceptance_mails_are_read(
    number: int, text: str, said: Said, verb: str | None
) -> None:
    reading = read_reply(text, OWNER)
    assert (reading.said, reading.order and reading.order.verb) == (said, verb), number


def test_a_command_further_down_is_found_to_be_said_back_but_not_in_a_quotation() -> None:
    assert find_order_below("Hello\n\nREVOKE\n")
    assert find_order_below("> x\n\nREVOKE\n")
    assert find_order_below("On Sunday x wrote:\n> x\n\nREVOKE")
    for text in (
        "REVOKE",
        "Hello\n> REVOKE\n  > REVOKE\nPlease revoke\n",
        "Hello\n\n-- \nREVOKE",
        "Hello\n\nFrom: scanpost\nSent: Sunday\n\nLIST\n",
        "From: scanpost\nSent: Sunday\n\nLIST\n",
        "Hello\n  STATUS     who has looked, and when the links end\n",
        "Hello\nChanges to 14 are done",
    ):
        assert not find_order_below(text)


def test_the_first_line_is_what_was_typed_first() -> None:
    assert first_line(f"\n\nDr Kim <{KIM}<mailto:{KIM}>>\n") == f"Dr Kim <{KIM}>"
    assert first_line("> x\n\ny") == ""
    assert first_line("") == ""


# ---------------------------------------------------------------- text and HTML


@pytest.mark.parametrize(
    ("text", "html", "same"),
    [
        ("REVOKE", "<p>Revoke.</p>", True),
        ("STATUS", "<p>REVOKE</p>", False),
        ("REVOKE", "<p>Hello</p>", False),
        ("Hello", "<p>REVOKE</p>", False),
        ("REVOKE please", "<p>REVOKE</p>", False),
        ("EXTEND 7", "<p>EXTEND 30</p>", False),
        (f"REVOKE {KIM}", "<p>REVOKE</p>", False),
        (f"REVOKE {KIM}<mailto:{KIM}>", f"<p>REVOKE <a href='mailto:{KIM}'>{KIM}</a></p>", True),
        ("DELETE C-1\nCODE 123456", "<div>DELETE C-1</div><div>CODE 123456</div>", True),
        ("DELETE C-1\nCODE 123456", "<div>DELETE C-1</div><div>CODE 654321</div>", False),
        (f"ADD {KIM},\nlee@x.example", f"<p>ADD {KIM}, lee@x.example</p>", True),
        ("CHANGES the margin\nof 14", "<p>CHANGES the margin of 14</p>", True),
        ("CHANGES 14", "<p>CHANGES 15</p>", False),
        ("APPROVE", "<p>APPROVE</p><p>after 14</p>", False),
        ("Hello\nthere", "<p>Hello there</p>", True),
        ("STATUS", "<p style='display:none'>REVOKE</p><p>STATUS</p>", True),
    ],
)
def test_a_text_and_its_html_say_the_same_or_not(text: str, html: str, same: bool) -> None:
    readings = [read_reply(body, OWNER | REVIEWER) for body in (text, text_of_html(html))]
    assert same_order(*readings) is same
    assert same_order(*reversed(readings)) is same


# ---------------------------------------------------------------- any text at all


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    reading = read_reply(text, OWNER)
    find_order_below(text)
    said = read_order(first_line(text))
    assert said is None or said.verb in VERBS
    assert (reading.order is not None) == (reading.said in (Said.COMMAND, Said.NEARLY))


PIECES = [
    "REVOKE", "delete", "删除", "Löschen", "APPROVE", "CHANGES", "ADD", "CODE", "123456", "2FA", "OFF",
    KIM, "C-1042", "#7F3KQ2", "7", "days", "please", "not", " ", " ", "\n", "\n", "\n\n", "> ", "-- \n",
    "\u200b", "*", "?", ":", "：", ",", "<", ">", "—", "\u00a0", "\r\n", "On Sunday Anna wrote:\n",
    "[EXTERNAL]\n", "From: a\nSent: b\n", "Sent from my iPhone\n", "<mailto:a@b.cd>", "\u2028",
]  # fmt: skip
DECORATED = "*_`~\"'“”„‘’«»‹›·•–—-.,;:!?()[]。、「」『』《》【】 "


def mutated(chance: random.Random) -> str:
    text = "".join(chance.choices(PIECES, k=chance.randint(1, 12)))
    for _ in range(chance.randint(0, 3)):
        place = chance.randint(0, len(text))
        drop = chance.randint(0, 2)
        text = text[:place] + chance.choice(["", "x", " ", "\n", "§"]) + text[place + drop :]
    return text


def test_a_command_begins_with_a_verb_and_nothing_else_whatever_is_written() -> None:
    chance, commands = random.Random(17), 0
    words = sorted(
        (word.lower() for verb, others in VERBS.items() for word in (verb, *others)), key=len
    )
    for _ in range(6_000):
        text = mutated(chance)
        reading = read_reply(text, chance.choice([OWNER, REVIEWER]))
        find_order_below(text)
        if reading.said is not Said.COMMAND:
            continue
        commands += 1
        line = first_line(text).lstrip(DECORATED).lower()
        assert any(line.startswith(word) for word in words), text
        assert not first_line(text).startswith(">"), text
        assert reading.order is not None
        assert "123456" not in reading.order.line or reading.order.code != "123456", text
    assert commands > 300


@pytest.mark.parametrize(
    "text",
    ["REVOKE " + "a@" * 50_000, "REVOKE " + "1" * 100_000, "REVOKE " + "a-" * 50_000, "<" * 100_000,
     "REVOKE " + "<mailto:" * 12_000, "\n" * 100_000 + "REVOKE", "REVOKE " + "a." * 50_000 + "@",
     "ADD " + "a@b.c," * 40_000, "ADD " + "a <" * 1_300, "DELETE " + "CODE:" * 790, "\ufdfa" * 60_000,
     ("\ufdfa" * 300 + "\n") * 200, "[EXTERNAL]\n" * 20_000, "On " * 60_000, "On x 1\n" * 20_000,
     "From: a\n" * 20_000, "CHANGES " + "x " * 100_000, "CHANGES\n" + "delete\n" * 20_000,
     "删" * 200_000, "状态很" * 60_000, "caution: external " * 10_000, "this mail " * 9_000,
     "[cid:" * 12_000, ("1@ wrote " * 40 + "\n") * 150, "REVOKE\n" * 9_000, "ADD\n" + "a@b.cd,\n" * 9_000],
)  # fmt: skip
def test_texts_made_to_be_slow_are_not(text: str) -> None:
    begun = process_time()
    read_order(first_line(text))
    find_order_below(text)
    read_reply(text, OWNER)
    assert process_time() - begun < 0.4


def test_a_line_of_200_kilobytes_is_read_in_no_time() -> None:
    chance = random.Random(1)
    line = "".join(chr(chance.randrange(32, 0x3000)) for _ in range(200_000))
    begun = process_time()
    assert verb(line) is None
    assert process_time() - begun < 0.1


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("Approve, thanks Anna!", "thanks Anna!"),
        ("APPROVE: the margins are perfect", "the margins are perfect"),
        ("APPROVE - nice crown", "nice crown"),
        ("Freigeben, vielen Dank", "vielen Dank"),
        (
            "APPROVE\n\nDr. Kim Lee\nSmile Clinic\n+49 30 1234",
            "Dr. Kim Lee\nSmile Clinic\n+49 30 1234",
        ),
    ],
)
def test_an_approval_with_praise_a_colon_or_a_signature_is_one(line: str, note: str) -> None:
    said = order(line, REVIEWER)
    assert (said.verb, said.text) == ("APPROVE", note)


@pytest.mark.parametrize(
    ("text", "verb"),
    [
        ("Hi,\n\nRevoke Kim please, he left the clinic", "REVOKE"),
        ("Hallo,\nbitte den Link von Dr. Kim widerrufen", "REVOKE"),
        ("Dear team,\n\nDELETE", "DELETE"),
        ("您好，\n撤销", "REVOKE"),
    ],
)
def test_behind_a_greeting_a_verb_is_asked_back_and_never_obeyed(text: str, verb: str) -> None:
    assert nearly(text, OWNER) == verb


# ---------------------------------------------------------------- which version


@pytest.mark.parametrize(
    ("line", "version", "note"),
    [
        ("APPROVE v2", 2, ""),
        ("approve V2", 2, ""),
        ("APPROVE version 12", 12, ""),
        ("APPROVE v2: fine", 2, "fine"),
        ("APPROVE 2: fine", 2, "fine"),
        ("APPROVE version 2, thanks", 2, "thanks"),
        ("APPROVE v2 - fine", 2, "fine"),
        ("APPROVE: v2", 2, ""),
        ("APPROVE #7F3KQ2 v2", 2, ""),
        ("APPROVE v2 #7f3kq2: ok", 2, "ok"),
        ("APPROVE #7F3KQ2", None, ""),
        ("批准 v2", 2, ""),
        ("APROBAR versión 2", 2, ""),
        ("CHANGES v1: the margin", 1, "the margin"),
        ("CHANGES v1 the margin", 1, "the margin"),
        ("CHANGES version 1: the margin", 1, "the margin"),
        ("CHANGES version 1 was better", None, "version 1 was better"),
        ("CHANGES 14: reduce", None, "14: reduce"),  # a tooth
        ("CHANGES #14 is open", None, "#14 is open"),
    ],
)
def test_a_verdict_may_say_its_version(line: str, version: int | None, note: str) -> None:
    said = order(line, REVIEWER)
    assert (said.version, said.text) == (version, note)
    assert said.cases == (["#7F3KQ2"] if "#7" in line else [])


@pytest.mark.parametrize(
    "line", ["APPROVE 2", "APPROVE 14", "APPROVE v2?", "APPROVE v2 if 14 is shorter", "APPROVE v2.1",
             "APPROVE v1 v2", "APPROVE v2 of the crown"]
)  # fmt: skip
def test_what_only_looks_like_a_version_is_asked_back(line: str) -> None:
    assert nearly(line, REVIEWER) == "APPROVE"


def test_stop_may_name_its_case_and_nothing_else() -> None:
    assert order("STOP #7F3KQ2", REVIEWER).cases == ["#7F3KQ2"]
    assert verb("STOP 14", REVIEWER) is None
    assert verb("STOP #7F3KQ2 now", REVIEWER) is None


def test_text_and_html_that_name_two_versions_are_not_the_same_order() -> None:
    one, other = (read_reply(text, REVIEWER) for text in ("APPROVE v1", "APPROVE v2"))
    assert not same_order(one, other)
