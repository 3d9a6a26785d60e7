"""MTL: the materials of an OBJ. Of each only its plain colour (`Kd`) and its image (`map_Kd`) are of use here."""

import re
from dataclasses import dataclass, replace

from inbound.scans.texture import Colour

_LINE = re.compile(rb"^[ \t]*(newmtl|Kd|map_Kd)[ \t]+([^\r\n]*)", re.MULTILINE | re.IGNORECASE)
_OPTION = re.compile(r"-[a-zA-Z]+(?:\s+(?:-?[\d.]+|on|off)(?=\s))*\s+")
_MOST = 100_000  # materials
_LONGEST = 2_000  # letters of a name and the options before it


@dataclass(frozen=True)
class Material:
    """Attributes: colour: sRGB, if the file gives one; image: a file's name as written, or ""."""

    colour: Colour | None = None
    image: str = ""


def read(data: memoryview) -> dict[str, Material]:
    """Materials by name. Lines that cannot be understood are passed over: the scan does without them."""
    found: dict[str, Material] = {}
    name = ""
    for line in _LINE.finditer(bytes(data)):
        keyword, value = line[1].lower(), words(line[2])
        if keyword == b"newmtl" and len(found) < _MOST:
            name = value
            found[name] = Material()
        elif keyword == b"kd" and name in found:
            found[name] = replace(found[name], colour=_colour(value))
        elif keyword == b"map_kd" and name in found:
            found[name] = replace(found[name], image=value)
    return found


def image_names(value: str) -> list[str]:
    """What the value of a `map_Kd` may name, most likely first: options may stand before, blanks be inside."""
    value = value[:_LONGEST]
    without = value
    while option := _OPTION.match(without):
        without = without[option.end() :]
    return list(dict.fromkeys([without, value, *value.split()[-1:]]))


def words(value: bytes) -> str:
    """The text after a keyword."""
    return value.decode("utf-8", "replace").strip()


def _colour(value: str) -> Colour | None:
    try:
        red, green, blue = (min(max(float(word), 0.0), 1.0) for word in value.split()[:3])
        return round(red * 255), round(green * 255), round(blue * 255)
    except ValueError:  # "spectral ...", "xyz ...", no number, or NaN
        return None
