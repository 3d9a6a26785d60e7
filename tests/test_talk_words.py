"""The verbs in four languages, and what is near one."""

from time import process_time

import pytest

from inbound.commands.table import COMMANDS
from inbound.talk.words import (
    VERBS,
    chinese_in,
    chinese_verb,
    choice_of,
    distance,
    is_hedged,
    meant_in,
    verb_of,
)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_known_in_every_language_and_spelling(verb: str) -> None:
    for word in (verb, *VERBS[verb]):
        assert verb_of(word) == verb_of(word.lower()) == verb_of(word.capitalize()) == verb


def test_no_word_is_two_verbs() -> None:
    words = [word for verb, others in VERBS.items() for word in (verb, *others)]
    assert len(words) == len(set(words))


def test_every_command_has_a_verb_here() -> None:
    assert set(COMMANDS) <= set(VERBS)


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("löschen", "DELETE"),
        ("LÖSCHEN", "DELETE"),
        ("loeschen", "DELETE"),
        ("loschen", "DELETE"),
        ("lo\u0308schen", "DELETE"),
        ("Verlaengern", "EXTEND"),
        ("Aenderungen", "CHANGES"),
        ("schließen", "CLOSE"),
        ("anadir", "ADD"),
        ("código", "CODE"),
        ("2fa", "2FA"),
        ("刪除", "DELETE"),
        ("REVOKED", None),
        ("REVOK", None),
        ("", None),
        ("R\u0336E\u0336V\u0336O\u0336K\u0336E\u0336", None),  # crossed out
        ("RЕVOKE", None),  # a Cyrillic letter
        ("revoke" * 1000, None),
    ],
)
def test_accents_and_capitals_do_not_matter_and_everything_else_does(
    word: str, verb: str | None
) -> None:
    assert verb_of(word) == verb


@pytest.mark.parametrize(
    ("line", "verb"),
    [("删除", "DELETE"), ("延长7天", "EXTEND"), ("请删除", None), ("delete", None), ("", None)],
)
def test_chinese_needs_no_blanks(line: str, verb: str | None) -> None:
    found = chinese_verb(line)
    assert (found and found[0]) == verb


def test_on_and_off_in_four_languages() -> None:
    for verb in ("2FA", "NOTIFY", "DOWNLOADS"):
        on = [choice_of(verb, word) for word in ("On", "ein", "activar", "开启")]
        off = [choice_of(verb, word) for word in ("off", "AUS", "desactivar", "关闭")]
        assert (on, off) == (["ON"] * 4, ["OFF"] * 4)
        assert choice_of(verb, "maybe") is None
    assert choice_of("EXTEND", "on") is None
    modes = [choice_of("ACCESS", word) for word in ("enlace", "Gebunden", "验证码")]
    assert modes == ["LINK", "BOUND", "CODE"]


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("revoke", "revoke", 0),
        ("revok", "revoke", 1),
        ("revokke", "revoke", 1),
        ("rewoke", "revoke", 1),
        ("reovke", "revoke", 1),
        ("revolve", "revoke", 2),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_slips_are_counted(one: str, other: str, slips: int) -> None:
    assert distance(one, other) == distance(other, one) == slips


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("Revoked", "REVOKE"), ("Revolve", "REVOKE"), ("Revok", "REVOKE"), ("Rewoke", "REVOKE"),
        ("Extended", "EXTEND"), ("Extent", "EXTEND"), ("Exend", "EXTEND"), ("Detele", "DELETE"),
        ("Deleted", "DELETE"), ("Delte", "DELETE"), ("Approved", "APPROVE"), ("Aprove", "APPROVE"),
        ("Approvd", "APPROVE"), ("Statue", "STATUS"), ("Satus", "STATUS"), ("Lits", "LIST"),
        ("Hlep", "HELP"), ("Resent", "RESEND"), ("Chnages", "CHANGES"), ("Widerufen", "REVOKE"),
        ("gelöscht", "DELETE"), ("Verlängerung", "EXTEND"), ("Freigabe", "APPROVE"),
        ("Freigegeben", "APPROVE"), ("aprobado", "APPROVE"), ("Cambio", "CHANGES"),
    ],
)  # fmt: skip
def test_a_slip_and_what_telephones_make_of_a_verb_are_near_it(word: str, verb: str) -> None:
    assert meant_in([word], set(VERBS), len(word)) == (verb, 0)


PROSE = [
    "The crown looks good, thank you",
    "Please improve the contact at the margin",
    "The last one sits well",
    "This step is too high, see the core",
    "Ich finde die Krone sehr schön",
    "La corona está lista para el paciente",
    "El paciente ha estado aquí",
    "Content with this, charges as usual",
    "I hope those fit",
]


@pytest.mark.parametrize("line", PROSE)
def test_ordinary_sentences_are_near_nothing(line: str) -> None:
    assert meant_in(line.split(), set(VERBS), len(line)) is None


def test_the_longer_a_line_the_less_a_verb_within_it_says() -> None:
    words = ["the", "crown", "please", "revoke"]
    assert meant_in(words, {"REVOKE"}, 60) == ("REVOKE", 3)
    assert meant_in(words, {"REVOKE"}, 61) is None
    assert meant_in(words[1:], {"REVOKE"}, 200) == ("REVOKE", 2)
    assert meant_in(words[2:], {"REVOKE"}, 201) is None
    assert meant_in(words[3:], {"REVOKE"}, 9_999) == ("REVOKE", 0)


def test_an_everyday_word_counts_in_a_long_line_only_as_the_first() -> None:
    assert meant_in(["we", "list"], {"LIST"}, 60) == ("LIST", 1)
    assert meant_in(["we", "list"], {"LIST"}, 61) is None
    assert meant_in(["list", "we"], {"LIST"}, 61) == ("LIST", 0)


def test_only_what_a_person_may_say_is_near() -> None:
    assert meant_in(["Revoked"], {"APPROVE"}, 7) is None
    assert chinese_in("请删除", {"APPROVE"}) is None
    assert chinese_in("请删除", {"DELETE"}) == "DELETE"


@pytest.mark.parametrize(
    "text",
    ["if 14 is fixed", "but not 15", "once it fits", "wenn 14 passt", "pero no 15", "只有14", "吗"],
)
def test_a_condition_takes_an_approval_back(text: str) -> None:
    assert is_hedged("APPROVE", text)
    assert not is_hedged("COMMENT", text)


def test_a_line_of_many_words_takes_little_time() -> None:
    words = [f"re{chr(97 + n % 26)}{chr(97 + n // 26)}ke" for n in range(600)]
    begun = process_time()
    meant_in(words, set(VERBS), 60)
    assert process_time() - begun < 0.3
