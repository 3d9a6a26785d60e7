"""Files in the text of a mail: found where they are, and the bytes that the standard library gives."""

import base64
import binascii
import random
import tracemalloc
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbound.mail.parts import WINDOW
from inbound.mail.uuencode import MOST_BLOCKS, SLACK, Block, blocks, decoded, has_yenc
from store.errors import Refusal
from tests.conftest import jaw_stl
from tests.test_mail_parts import Mail

JAW = jaw_stl("upper", 500)


def uu_lines(data: bytes, ticks: bool = False, length: int = 45) -> list[bytes]:
    return [
        binascii.b2a_uu(data[at : at + length], backtick=ticks)[:-1]
        for at in range(0, len(data), length)
    ]


def written(
    data: bytes, name: str = "jaw.stl", ticks: bool = False, end: bytes = b"\r\n", length: int = 45
) -> bytes:
    head = f"begin 644 {name}".encode()
    last = b"`" if ticks else b" "
    return end.join([head, *uu_lines(data, ticks, length), last, b"end", b""])


def found(text: bytes) -> list[Block]:
    return blocks(Mail(text), 0, len(text))


def files(text: bytes) -> list[tuple[str, bytes]]:
    return [(block.name, b"".join(decoded(Mail(text), block))) for block in found(text)]


def refusal(text: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        files(text)
    return str(caught.value)


# ---------------------------------------------------------------- finding


def test_a_file_in_a_letter_is_found_with_its_name_and_its_bytes() -> None:
    letter = b"Dear Dr Kim,\r\n\r\n"
    text = letter + written(JAW, "Upper jaw.stl") + b"\r\nRegards\r\n"
    (block,) = found(text)
    assert block.name == "Upper jaw.stl"
    assert block.whole
    assert files(text) == [("Upper jaw.stl", JAW)]
    assert text[: block.block_start] + text[block.block_end :] == letter + b"\r\nRegards\r\n"
    assert text[block.start : block.end].startswith(b"M")
    assert text[block.end :].startswith(b"end")


def test_several_files_are_found_in_their_order_and_empty_ones_too() -> None:
    text = written(JAW, "a.stl") + written(b"", "b.stl", ticks=True) + b"and\n" + written(JAW[:84])
    assert files(text) == [("a.stl", JAW), ("b.stl", b""), ("jaw.stl", JAW[:84])]


def test_only_the_given_range_is_searched() -> None:
    text = written(JAW, "a.stl") + written(JAW, "b.stl")
    half = len(text) // 2
    assert [block.name for block in blocks(Mail(text), half, len(text))] == ["b.stl"]
    assert [block.whole for block in blocks(Mail(text), 0, half - 5)] == [False]


@pytest.mark.parametrize("mode", ["644", "0644", "666", "600", "0000"])
def test_modes_of_three_and_four_digits_are_known(mode: str) -> None:
    assert files(written(JAW).replace(b"begin 644", f"begin {mode}".encode())) == [("jaw.stl", JAW)]


@pytest.mark.parametrize("name", ["Brücke.stl", "two  words.stl", "..\\..\\x.stl", "x" * 500])
@pytest.mark.parametrize("charset", ["utf-8", "latin-1"])
def test_names_are_read_in_utf_8_and_latin_1(name: str, charset: str) -> None:
    text = written(JAW).replace(b"jaw.stl", name.encode(charset))
    assert files(text) == [(name, JAW)]


@pytest.mark.parametrize(
    "text",
    [
        b"begin 644 of the old orders first.\r\nThen the rest.\r\n",
        b"begin 644 of the old orders first.\r\n\r\nThen the rest.\r\nend\r\n",
        b"begin 644 of the old orders first.\n \nThen\nend\n",
        b"begin 644 times\nNOW AND THEN\nend\n",
        b"> begin 644 jaw.stl\r\n> " + uu_lines(JAW)[0],
        b" " + written(JAW),
        b"so begin 644 jaw.stl\n" + uu_lines(JAW)[0],
        b"begin 99 jaw.stl\n" + uu_lines(JAW)[0],
        b"begin 64400 jaw.stl\n" + uu_lines(JAW)[0],
        b"begin 888 jaw.stl\n" + uu_lines(JAW)[0],
        b"begin 644 " + b"x" * 501 + b"\n" + uu_lines(JAW)[0],
        b"begin 644 jaw.stl",
        b"begin 644 jaw.stl\r\n",
        b"begin-base64 644 jaw.stl\n!!\n====\n",
        b"end\nend\n====\n",
        b"",
    ],
)
def test_what_only_looks_like_a_file_is_none(text: bytes) -> None:
    assert found(text) == []


@pytest.mark.parametrize("shift", [*range(-3, 100), 500, 1_000])
def test_marks_that_cross_windows_are_found(shift: int) -> None:
    letter = b"x" * (WINDOW - shift - 1) + b"\n"
    assert files(letter + written(JAW)) == [("jaw.stl", JAW)]
    text = written(JAW)
    letter = b"x" * (WINDOW - len(text) + shift - 1) + b"\n"
    assert files(letter + text + text) == [("jaw.stl", JAW)] * 2


def test_a_file_without_its_end_is_told_from_a_whole_one_and_not_decoded() -> None:
    cut = written(JAW, "up\x1b\u202eper.stl")[:-10]
    assert [block.whole for block in found(cut)] == [False]
    assert refusal(cut) == (
        "upper.stl stops before its end. Send it once more as an ordinary attachment."
    )
    text = cut + b"\r\n" + written(JAW, "lower.stl")
    assert [(block.name, block.whole) for block in found(text)][1] == ("lower.stl", True)
    assert not found(text)[0].whole
    assert found(text)[0].block_end == found(text)[1].block_start


def test_a_hundred_files_are_taken_and_more_are_refused() -> None:
    assert len(found(written(JAW[:90]) * MOST_BLOCKS)) == MOST_BLOCKS
    assert "more than 100 files" in refusal(written(JAW[:90]) * (MOST_BLOCKS + 1))


# ---------------------------------------------------------------- decoding


@settings(max_examples=300, deadline=None)
@given(
    data=st.binary(max_size=400),
    ticks=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n"]),
    length=st.one_of(st.just(45), st.integers(1, 45)),
)
def test_every_file_gives_what_the_standard_library_wrote(
    data: bytes, ticks: bool, end: bytes, length: int
) -> None:
    text = written(data, ticks=ticks, end=end, length=length)
    assert files(text) == ([("jaw.stl", data)] if data or ticks else [])
    assert data == b"".join(map(binascii.a2b_uu, text.splitlines()[1:-2]))


@settings(max_examples=200, deadline=None)
@given(
    data=st.lists(st.sampled_from([b"\0", b"\0\0\0\0", b"a", b"\xff"]), min_size=60).map(b"".join),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_blanks_that_a_gateway_cut_are_put_back(data: bytes, end: bytes) -> None:
    data = data[: len(data) // 45 * 45]
    text = end.join(line.rstrip() for line in written(data, end=b"\n").splitlines())
    assert files(text) == [("jaw.stl", data)]


@pytest.mark.parametrize("ticks", [True, False])
@pytest.mark.parametrize("behind", [b"X", b" ", b"`", b"   "])
def test_a_checksum_or_blanks_behind_a_line_are_passed_over(ticks: bool, behind: bytes) -> None:
    lines = [line + behind for line in uu_lines(JAW, ticks)]
    text = b"\r\n".join([b"begin 644 jaw.stl", *lines, b"`", b"", b"end"])
    assert files(text) == [("jaw.stl", JAW)]


@pytest.mark.parametrize("size", range(46, 54))
def test_a_last_line_that_is_not_filled_up_is_read(size: int) -> None:
    data = bytes(range(100, 100 + size))
    lines = uu_lines(data, ticks=True)
    lines[-1] = lines[-1][: 1 + -(-(size - 45) * 4 // 3)]
    assert files(b"\n".join([b"begin 644 x", *lines, b"`", b"end"])) == [("x", data)]


def test_both_ways_to_write_a_zero_are_read_in_one_file() -> None:
    lines = uu_lines(bytes(450), ticks=True)[:5] + uu_lines(bytes(450))[:5]
    assert files(b"\n".join([b"begin 644 x", *lines, b"`", b"end"])) == [("x", bytes(450))]


@pytest.mark.parametrize("size", [WINDOW, WINDOW * 3 + 7])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("ticks", [True, False])
def test_large_files_that_cross_windows_are_decoded(size: int, end: bytes, ticks: bool) -> None:
    data = random.Random(size).randbytes(size)
    assert files(b"Hello\n" + written(data, ticks=ticks, end=end)) == [("jaw.stl", data)]


@pytest.mark.parametrize(
    "damage",
    [
        b"--- Scanned by Mailguard ---",
        b"M" + b"0" * 62,
        b"MABCDEF~",
        b"M" + b"0" * 30 + b"\x80" + b"0" * 29,
        b"x" * 61,
        b"=" * 5000,
    ],
)
@pytest.mark.parametrize("place", [1, 30, -1])
def test_a_line_that_is_not_what_it_says_refuses_the_file(damage: bytes, place: int) -> None:
    lines = uu_lines(JAW)
    lines.insert(place, damage)
    text = b"\r\n".join([b"begin 644 jaw.stl", *lines, b"`", b"end"])
    assert refusal(text) == (
        "jaw.stl is damaged: a line of it cannot be read."
        " Send it once more as an ordinary attachment."
    )


def test_a_line_that_lost_more_than_blanks_refuses_the_file() -> None:
    lines = uu_lines(JAW, ticks=True)
    lines[9] = lines[9][:40]
    assert "is damaged" in refusal(b"\n".join([b"begin 644 jaw.stl", *lines, b"`", b"end"]))


def test_lines_that_do_not_end_are_refused_without_reading_them_all() -> None:
    text = b"begin 644 jaw.stl\n" + uu_lines(JAW)[0] + b"\n" + b"M" * 5 * WINDOW + b"\nend\n"
    assert "is damaged" in refusal(text)


# ---------------------------------------------------------------- base64 between the same lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 44, 45, 46, len(JAW)])
def test_base64_between_begin_and_equals_signs_is_decoded(size: int, end: bytes) -> None:
    lines = base64.encodebytes(JAW[:size]).splitlines()
    text = end.join([b"Hi", b"begin-base64 644 jaw.stl", *lines, b"====", b"Bye"])
    assert files(text) == [("jaw.stl", JAW[:size])]


def test_large_base64_that_crosses_windows_is_decoded() -> None:
    data = random.Random(1).randbytes(WINDOW * 2 + 5)
    text = b"begin-base64 644 x\n" + base64.encodebytes(data) + b"====\n"
    assert files(text) == [("x", data)]


@pytest.mark.parametrize("damage", [b"a line of words", b"=", b"AB"])
def test_damaged_base64_is_refused(damage: bytes) -> None:
    lines = [*base64.encodebytes(JAW).splitlines()[:9], damage]
    text = b"\n".join([b"begin-base64 644 jaw.stl", *lines, b"====", b""])
    assert "is damaged" in refusal(text)


# ---------------------------------------------------------------- hostile text


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"begin 644 x\n", b"begin-base64 644 x\n", b"end\n", b"====\n", b"`\n", b"\r\n"]
            ),
            st.sampled_from([b"M" + b"0" * 60 + b"\n", b"#86)C\n", b"YWJj\n", b"M\n"]),
            st.binary(max_size=30),
        )
    ).map(b"".join)
)
def test_any_text_is_searched_and_decoded_or_refused(text: bytes) -> None:
    for block in found(text):
        assert 0 <= block.block_start <= block.start <= block.end <= block.block_end <= len(text)
        with suppress(Refusal):
            assert len(b"".join(decoded(Mail(text), block))) <= len(text) + SLACK


@pytest.mark.parametrize(
    "unit",
    [
        b"\n",
        b"\nbegin 644 ",
        b"\nbegin 644 " + b" " * 500,
        b"begin 644 a\nM\n",
        b"begin 644 a\nb\n",
        b"end" + b" " * 99 + b"\r\r",
        b"end\n",
        b"\n====",
    ],
)
def test_hostile_text_is_searched_in_linear_time(unit: bytes) -> None:
    text = (unit * (4 * WINDOW))[: 4 * WINDOW]
    start = process_time()
    with suppress(Refusal):
        found(text)
    assert process_time() - start < 2


@pytest.mark.parametrize(
    "line", [b"M\n", b" \n", b"\n", b"!  \n", b"M" + b" " * 15 + b"\n", b"M" + b"0" * 60 + b"X\n"]
)
@pytest.mark.parametrize("head", [b"begin 644 x\n", b"begin-base64 644 x\nAAAA\n"])
def test_unusual_lines_are_decoded_in_linear_time(line: bytes, head: bytes) -> None:
    lines = (line * (4 * WINDOW))[: 4 * WINDOW // len(line) * len(line)]
    text = head + uu_lines(bytes(45))[0] + b"\n" + lines + b"`\nend\n====\n"
    start = process_time()
    with suppress(Refusal):
        files(text)
    assert process_time() - start < 3


def test_a_text_does_not_grow_when_its_blanks_are_put_back() -> None:
    many = b"begin 644 x\n" + (b"M\n" * 20 + uu_lines(bytes(range(45)))[0] + b"\n") * 20_000
    assert "is damaged" in refusal(many + b"`\nend\n")


def test_memory_stays_small_whatever_the_size() -> None:
    data = random.Random(2).randbytes(24 << 20)
    mail = Mail(written(data))
    tracemalloc.start()
    (block,) = blocks(mail, 0, len(mail))
    assert sum(map(len, decoded(mail, block))) == len(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * WINDOW


# ---------------------------------------------------------------- yEnc


def test_yenc_is_recognised_and_a_word_about_it_is_not() -> None:
    assert has_yenc(b"Hello\r\n=ybegin line=128 size=123456 name=upper.stl\r\n")
    assert has_yenc(b"=ybegin part=1 total=2 line=128 size=5 name=upper.stl\r\n")
    assert not has_yenc(b"a mail with =ybegin line=128 in it\r\n")
    assert not has_yenc(b"=ybegin is the first line of yEnc\r\n")
