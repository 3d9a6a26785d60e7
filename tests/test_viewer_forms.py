"""Bodies that no browser sends: refused in words, for next to nothing, and never an error of ours."""

import asyncio
import json
import time

import aiohttp
import brotli
import pytest

from tests.clicks import Site, Thread
from tests.test_viewer_entry import Device, devices
from viewer import forms

CHEAP = 0.5  # seconds of this process's time; what it is about took from three to twenty
MULTIPART = "multipart/form-data; boundary=XX"
NEWLINES = brotli.compress(b"\n" * (10 << 20), quality=5)
FIELD = b'--XX\r\nContent-Disposition: form-data; name="%s"\r\n%s\r\n%s\r\n--XX--\r\n'


@pytest.fixture
async def device(site: Site, thread: Thread) -> Device:
    [device] = await devices(site, thread, 1)
    return device


def head_of(device: Device, below: str, lines: tuple[str, ...]) -> bytes:
    """The head of a request, written by hand."""
    path = device.link.removeprefix(device.site.url)
    cookie = "; ".join(f"{name}={value}" for name, value in device.jar.items())
    head = [f"POST {path}{below} HTTP/1.1", "Host: x", "Connection: close", f"Cookie: {cookie}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


async def sent(device: Device, below: str, body: bytes, *lines: str) -> tuple[int, str]:
    """Status and answer of a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", device.site.listener.port)
    writer.write(head_of(device, below, lines) + body)
    async with asyncio.timeout(30):
        answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split()[1]), answer


async def begun(device: Device, below: str, *lines: str) -> int:
    """The status of a request whose body never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", device.site.listener.port)
    writer.write(head_of(device, below, lines))
    async with asyncio.timeout(5):
        line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def posted(
    device: Device, below: str, body: bytes, *lines: str, kind: str = MULTIPART
) -> tuple[int, str]:
    given = (f"Content-Type: {kind}", f"Content-Length: {len(body)}")
    return await sent(device, below, body, *given, *lines)


@pytest.mark.parametrize("below", ["/open", "/stop", "/ask", "/remarks", "/marks"])
async def test_a_packed_body_is_refused_and_not_unpacked(device: Device, below: str) -> None:
    await device.open()
    assert len(NEWLINES) < 30
    began = time.process_time()
    packed = "Content-Encoding: identity", "Content-Encoding: br"
    status, text = await posted(device, below, NEWLINES, *packed)
    assert (status, "did not arrive" in text) == (415, True)
    assert time.process_time() - began < CHEAP


async def test_a_long_preamble_costs_nothing(device: Device) -> None:
    await device.open()
    began = time.process_time()
    own = f"Origin: {device.site.url}"
    assert (await posted(device, "/open", b"\n" * 3_000_000, own))[0] == 413
    assert (await posted(device, "/open", b"\n" * 60_000, own))[0] == 400
    assert (await posted(device, "/remarks", b"\n" * 6_900_000, own))[0] == 400
    almost = FIELD % (b"text", b"", b"\r\n--X" * 1_000_000)
    assert (await posted(device, "/remarks", almost, own))[0] == 400
    assert time.process_time() - began < CHEAP


@pytest.mark.parametrize("below", ["/open", "/leave", "/ask", "/code", "/stop", "/remarks"])
async def test_a_form_of_another_site_is_refused_before_it_is_read(
    device: Device, below: str
) -> None:
    await device.open()
    if below == "/stop":  # mail programs' button says no origin; the form must be looked into
        assert (await posted(device, below, b"a=b", "Origin: https://evil.example"))[0] == 400
        return
    lines = "Origin: https://evil.example", f"Content-Type: {MULTIPART}", "Content-Length: 60000"
    assert await begun(device, below, *lines) == 403


async def test_a_form_says_its_length_and_comes_in_time(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = f"Origin: {device.site.url}"
    kind = f"Content-Type: {MULTIPART}"
    chunked = "Transfer-Encoding: chunked"
    assert (await sent(device, "/open", b"0\r\n\r\n", kind, chunked, own))[0] == 411
    monkeypatch.setattr(forms, "_SECONDS", 0.05)
    late = await begun(device, "/open", kind, "Content-Length: 100", own)
    assert late == 408


ODD = {
    "a part without a name": b"--XX\r\n\r\nyes\r\n--XX--\r\n",
    "an endless head": b"--XX\r\n" + b"A" * 20_000 + b": x\r\n\r\nx\r\n--XX--\r\n",
    "no end": b'--XX\r\nContent-Disposition: form-data; name="text"\r\n\r\nnever ends',
    "another boundary": b'--XXY\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--XX--\r\n',
    "nothing": b"",
    "too many": (FIELD % (b"a", b"", b"b"))[:-4].join([b"", b"\r\n"] * 200) + b"--XX--\r\n",
}


@pytest.mark.parametrize("below", ["/open", "/stop", "/ask", "/code", "/remarks"])
async def test_odd_forms_are_refused_in_words(device: Device, below: str) -> None:
    await device.open()
    own = f"Origin: {device.site.url}"
    for what, body in ODD.items():
        status, text = await posted(device, below, body, own)
        assert status == 400, (what, text)
        assert "did not arrive" in text or "cannot be read" in text, (what, text)
    for kind in ("multipart/form-data", f"multipart/form-data; boundary={'y' * 200}"):
        assert (await posted(device, below, b"--XX\r\n", own, kind=kind))[0] == 400, kind


@pytest.mark.parametrize("below", ["/open", "/stop", "/ask", "/code", "/remarks"])
async def test_charsets_and_encodings_of_parts_are_no_fault(device: Device, below: str) -> None:
    await device.open()
    own = f"Origin: {device.site.url}"
    for body in (
        FIELD % (b"_charset_", b"", b"x" * 100),
        FIELD % (b"text", b"Content-Transfer-Encoding: weird\r\n", b"x"),
        FIELD % (b"text", b"Content-Encoding: deflate\r\n", b"nonsense"),
        FIELD % (b"text", b"Content-Length: 3\r\n", b"abcdefgh"),
    ):
        assert (await posted(device, below, body, own))[0] in (200, 303, 400), body
    for charset in ("zlib", "punycode", "unicode_escape"):
        kind = f"application/x-www-form-urlencoded; charset={charset}"
        status, text = await posted(device, below, b"text=a", own, kind=kind)
        assert status in (400, 415), text


async def test_a_mail_programs_button_may_send_either_kind_of_form(
    site: Site, device: Device
) -> None:
    """RFC 8058 3.1."""
    body = FIELD % (b"List-Unsubscribe", b"", b"One-Click")
    status, text = await posted(device, "/stop", body)
    assert (status, "None will be sent to you." in text) == (200, True)


async def test_what_a_browser_writes_into_a_multipart_form_arrives(
    site: Site, device: Device
) -> None:
    await device.open()
    form = aiohttp.FormData(default_to_multipart=True)
    words = 'Margin at 14:\r\n--XX\r\n\r\n"öpen" 边缘; name="kind"'
    for name, value in {"kind": "comment", "version": "1", "text": words}.items():
        form.add_field(name, value)
    accept = {"Accept": "application/json"}
    said = await device.ask("POST", "/remarks", form, Origin=site.url, **accept)
    assert said.status == 200, said.text
    [remark] = json.loads((await device.get("/remarks")).text)["remarks"]
    assert remark["text"] == words.replace("\r\n", "\n")
