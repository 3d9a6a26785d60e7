"""Text in the charsets that mail programs write, under the labels that they put on it."""

from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inbound.mail.charsets import readable_text

GERMAN = "Grüße aus Köln, die Krone für Frau Groß"
RUSSIAN = "Здравствуйте, отправляю сканы"
CHINESE = "您好，附件是患者的上下颌扫描数据，请检查"
JAPANESE = "お世話になっております。上顎のスキャン"
KOREAN = "안녕하세요. 상악 스캔 데이터를 보내드립니다"


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8", '"UTF-8"'),
        (GERMAN, "utf-8", " 'utf8' "),
        (GERMAN, "utf-8", "utf-8; format=flowed"),
        (GERMAN, "utf-8", "unicode-1-1-utf-8"),
        (GERMAN, "utf-8", "cp65001"),
        (GERMAN, "latin-1", "iso-8859-1"),
        (GERMAN, "latin-1", "ISO_8859-1:1987"),
        (GERMAN, "latin-1", "us-ascii"),
        ("“Upper” – 5 €", "cp1252", "iso-8859-1"),
        ("“Upper” – 5 €", "cp1252", "us-ascii"),
        ("“Upper” – 5 €", "cp1252", "Windows-1252"),
        ("“Upper” – 5 €", "cp1252", "x-cp1252"),
        ("Größe", "cp850", "ibm850"),
        ("ağız taraması €", "cp1254", "iso-8859-9"),
        ("Příliš žluťoučký", "iso8859-2", "latin2"),
        ("Příliš žluťoučký", "cp1250", "cp1250"),
        ("Příliš žluťoučký", "iso8859-2", "cp28592"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (RUSSIAN, "cp1251", "win-1251"),
        (RUSSIAN, "cp1251", "x-windows-1251"),
        (RUSSIAN, "cp866", "dos-866"),
        (CHINESE, "gb18030", "gb2312"),
        ("镕瑠 €", "gb18030", "gb2312"),
        ("镕瑠", "gbk", "GB_2312-80"),
        (CHINESE, "gbk", "windows-936"),
        (CHINESE, "hz", "hz-gb-2312"),
        ("您好，請檢查牙冠", "big5", "big5"),
        ("嘅咗", "big5hkscs", "Big5"),
        (JAPANESE, "cp932", "shift_jis"),
        ("① ㈱髙橋", "cp932", "x-sjis"),
        ("① ㈱髙橋", "cp932", "windows-31j"),
        (JAPANESE, "euc_jp", "x-euc-jp"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        ("ｽｷｬﾝ 上顎", "iso2022_jp_ext", "iso-2022-jp"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        ("똠방각하", "cp949", "euc-kr"),
        ("똠방각하", "cp949", "x-windows-949"),
        ("Jaw £1 ✓", "utf-7", "unicode-1-1-utf-7"),
        ("Jaw £1 ✓", "utf-7", "utf-7"),
        ("שלום", "iso8859-8", "iso-8859-8-i"),
        ("ครับ", "cp874", "tis-620"),
        (GERMAN, "utf-16-le", "utf-16le"),
        (CHINESE, "utf-16-be", "utf-16be"),
        (GERMAN, "utf-16", "utf-16"),
        (GERMAN, "utf-16", "iso-8859-1"),
        (GERMAN, "utf-16", None),
        (GERMAN, "utf-32", None),
        (GERMAN, "utf-8-sig", None),
        (GERMAN, "utf-8-sig", "windows-1252"),
        (GERMAN, "utf-8-sig", "utf-8"),
    ],
)
def test_a_label_is_read_as_programs_mean_it(text: str, codec: str, label: str | None) -> None:
    assert readable_text(text.encode(codec), label) == text


def test_the_circled_numbers_of_windows_are_read_in_iso_2022_jp() -> None:
    data = b"\x1b$B-!-j>e3\\\x1b(B OK"
    assert readable_text(data, "iso-2022-jp") == "①㈱上顎 OK"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Größe", "iso-8859-1"),
        ("é", "windows-1252"),
        ("don’t", "us-ascii"),
        ("✓", "iso-8859-15"),
        (RUSSIAN, "iso-8859-1"),
        (RUSSIAN, "koi8-r"),
        (GERMAN, "iso-8859-2"),
        (CHINESE, "gb2312"),
        (JAPANESE, "shift_jis"),
        (KOREAN, "euc-kr"),
        ("plain words\n", "utf-16"),
        (GERMAN, "utf-16le"),
    ],
)
def test_utf_8_under_another_label_is_utf_8(text: str, label: str) -> None:
    assert readable_text(text.encode(), label) == text


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        ("“JOSÉ’S” scan", "cp1252", "windows-1252"),
        ("JOSÉ’S scan", "cp1252", "iso-8859-1"),
        ("NESTLÉ®", "cp1252", "windows-1252"),
        ("CAFÉ…", "cp1252", "windows-1252"),
        ("Úžas!", "iso8859-2", "iso-8859-2"),
        ("её", "koi8-r", "koi8-r"),
        ("Ці", "cp1251", "windows-1251"),
        ("ยก", "cp874", "windows-874"),
        ("模型", "gb2312", "gb2312"),
    ],
)
def test_words_that_are_utf_8_by_chance_are_what_their_label_says(
    text: str, codec: str, label: str
) -> None:
    assert readable_text(text.encode(codec), label) == text


@pytest.mark.parametrize(
    "label", [None, "", "x-unknown", "unknown-8bit", "utf-8", "nonsense\0", "8bit", "🦷", "a" * 999]
)
@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "cp1252"),
        ("Señor Muñoz: ¿puede revisar la corona?", "cp1252"),
        ("Ça va très bien, à bientôt. Où êtes-vous?", "cp1252"),
        ("Øystein på Sørlandet, blåbær", "cp1252"),
        (RUSSIAN, "cp1251"),
        (f"{RUSSIAN} верхней и нижней челюсти. Пожалуйста, проверьте коронку", "koi8-r"),
        (JAPANESE, "cp932"),
        (CHINESE, "gb18030"),
        (KOREAN, "cp949"),
    ],
)
def test_without_a_usable_label_utf_8_is_tried_and_then_a_guess(
    text: str, codec: str, label: str | None
) -> None:
    assert readable_text(text.encode(codec), label) == text


@pytest.mark.parametrize(
    "label",
    [
        *("rot13", "rot_13", "hex", "zip", "zlib_codec", "bz2", "base64", "uu", "quopri", "idna"),
        *("punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"),
        *("charmap", "cp037", "cp500", "palmos", "../../os", "antigravity", "encodings.utf_8"),
    ],
)
def test_what_is_no_charset_of_a_mail_is_never_used_as_one(label: str) -> None:
    written = "REVOKE 5ca1ab1e \\u0041 =41 %41 ü"
    assert readable_text(written.encode(), label) == written


def test_bytes_that_a_western_charset_does_not_define_do_not_fail() -> None:
    assert readable_text(b"caf\xe9 \x81\x8d\x8f\x90\x9d", "iso-8859-1") == "café " + "\ufffd" * 5
    assert readable_text(b"caf\xe9 \x81", "windows-1252") == "café \ufffd"


def test_control_characters_are_dropped_but_tabs_and_line_ends() -> None:
    assert readable_text(b"a\0b\x07c\x1bd\x7f\te\r\nf\x0b\x0cg", "us-ascii") == "abcd\te\r\nfg"
    assert readable_text("a\x85b\x9fc".encode(), "utf-8") == "abc"
    assert readable_text(b"\0R\0E\0V", None) == "REV"


def test_a_character_that_a_limit_cut_in_two_costs_only_itself() -> None:
    assert readable_text("Größe 5 €".encode()[:-1], "utf-8") == "Größe 5 "
    assert readable_text(CHINESE.encode("gb18030")[:-1], "gb2312") == CHINESE[:-1]
    assert readable_text(GERMAN.encode("utf-16")[:-1], "utf-16") == GERMAN[:-1]


def test_a_broken_byte_in_much_text_costs_only_itself() -> None:
    data = (RUSSIAN * 9).encode()
    assert readable_text(data + b"\xff" + data, "utf-8") == f"{RUSSIAN * 9}\ufffd{RUSSIAN * 9}"
    data = (CHINESE * 9).encode("gb18030")
    assert readable_text(data + b"\xff" + data, "gb2312").count("\ufffd") == 1


def test_halves_of_characters_become_the_sign_of_what_is_missing() -> None:
    assert readable_text(b"+2AA-x", "utf-7") == "\ufffdx"


@settings(max_examples=1_000, deadline=None)
@example(b"\xff\xfe", "utf-16")
@example(b"\xff\xfe\0\0\0\0\x11\0", None)
@example(b"\x1b$B\x1b", "iso-2022-jp")
@given(
    st.binary(max_size=300),
    st.one_of(
        st.none(),
        st.text(max_size=50),
        st.sampled_from(
            [
                *("utf-8", "utf-7", "utf-16", "utf-16be", "utf-32", "us-ascii", "iso-8859-1"),
                *("gb2312", "hz", "big5", "euc-jp", "shift_jis", "iso-2022-jp", "iso-2022-kr"),
                *("iso-2022-jp-2004", "johab", "koi8-r", "windows-1255"),
            ]
        ),
    ),
)
def test_any_bytes_under_any_label_give_text_that_can_be_stored(
    data: bytes, charset: str | None
) -> None:
    text = readable_text(data, charset)
    assert text.encode().decode() == text
    assert not any(letter < " " and letter not in "\t\r\n" for letter in text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])), st.sampled_from(["utf-8", None]))
def test_utf_8_comes_back_as_it_was_written(text: str, label: str | None) -> None:
    assert readable_text(text.encode(), label) == text.removeprefix("\ufeff")


@pytest.mark.parametrize(
    ("text", "codec", "label"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8", "iso-8859-1"),
        (CHINESE, "gb18030", "gb2312"),
        (JAPANESE, "iso2022_jp", "iso-2022-jp"),
        (RUSSIAN, "koi8-r", None),
        ("plain words ", "ascii", None),
    ],
)
def test_a_quarter_of_a_megabyte_is_read_at_once(text: str, codec: str, label: str | None) -> None:
    data = (text * 50_000).encode(codec)[: 256 * 1024]
    start = process_time()
    readable_text(data, label)
    assert process_time() - start < 0.25  # 2 to 30 ms where nothing else runs


@pytest.mark.parametrize("unit", [b"\xff", b"\x81\x20", bytes(range(256)), b"\x1b$B", b"+AAA"])
@pytest.mark.parametrize("label", [None, "utf-7", "iso-2022-jp", "gb2312", "iso-8859-1", "utf-16"])
def test_hostile_bytes_take_no_longer(unit: bytes, label: str | None) -> None:
    data = (unit * (256 * 1024))[: 256 * 1024]
    start = process_time()
    readable_text(data, label)
    assert process_time() - start < 1
