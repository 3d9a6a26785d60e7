"""3MF: parts in their places and units, colours, and archives and models made to harm."""

import io
import time
import zipfile

import numpy as np
import pytest

from inbound.scans import threemf
from inbound.scans.mesh import Mesh
from scanpost import jaws
from tests.refusing import refused

JAW = jaws.make_jaw(3_000, "lower")
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
SPACES = (
    f'xmlns="{CORE}" xmlns:m="http://schemas.microsoft.com/3dmanufacturing/material/2015/02" '
    'xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
)
POINTS = '<vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="2" z="0"/></vertices>'
TRIANGLE = '<triangles><triangle v1="0" v2="1" v3="2"/></triangles>'
SURFACE = f"<mesh>{POINTS}{TRIANGLE}</mesh>"
RELATIONS = (
    '<Relationships><Relationship Target="/3D/odd.model" Id="x" '
    'Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/></Relationships>'
)


def package(model, name="3D/3dmodel.model", **more):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("[Content_Types].xml", "<Types/>")
        packed.writestr(name, model)
        for other, content in more.items():
            packed.writestr(other, content)
    return out.getvalue()


def model(resources, build='<item objectid="1"/>', unit="millimeter", before=""):
    return f'<?xml version="1.0"?><model unit="{unit}" {SPACES}>{before}<resources>{resources}</resources><build>{build}</build></model>'


def thing(inside=SURFACE, number=1, more=""):
    return f'<object id="{number}" {more}>{inside}</object>'


def read(data):
    return threemf.read(memoryview(data))


def corners(data):
    mesh = read(data).mesh
    return mesh.vertices[mesh.faces].tolist()


def refusal(data):
    return refused(read, data)


def test_what_was_written_is_read_back_bit_for_bit():
    for mesh in (JAW, Mesh(JAW.vertices, JAW.faces)):
        found = read(threemf.write(mesh))
        after = found.mesh
        assert after.vertices[after.faces].tobytes() == mesh.vertices[mesh.faces].tobytes()
        assert (found.unit, found.stripped) == ("mm", 0)
        assert (after.colours is None) == (mesh.colours is None)
    after = read(threemf.write(JAW)).mesh
    assert (after.colours[after.faces] == JAW.colours[JAW.faces]).all()


def test_a_copy_of_the_same_scan_is_the_same_bytes_whenever_it_is_made():
    assert threemf.write(JAW) == threemf.write(JAW)


@pytest.mark.parametrize(
    ("unit", "called", "factor"),
    [("micron", "micron", 0.001), ("millimeter", "mm", 1), ("centimeter", "cm", 10),
     ("inch", "inch", 25.4), ("foot", "foot", 304.8), ("meter", "m", 1000)],
)  # fmt: skip
def test_every_unit_becomes_millimetres(unit, called, factor):
    found = read(package(model(thing(), unit=unit)))
    assert found.unit == called
    assert np.allclose(found.mesh.vertices[1], [factor, 0, 0])


def test_a_model_without_unit_is_in_millimetres_and_an_unknown_one_is_refused():
    assert read(package(model(thing()).replace('unit="millimeter"', ""))).unit == "mm"
    assert "unit that 3MF does not know" in refusal(package(model(thing(), unit="parsec")))


def test_items_and_components_are_placed_one_in_the_other():
    inner = thing(number=1)
    outer = thing(
        '<components><component objectid="1" transform="1 0 0 0 1 0 0 0 1 0 0 5"/></components>', 2
    )
    build = '<item objectid="2" transform="0 1 0 -1 0 0 0 0 1 10 0 0"/><item objectid="1"/>'
    found = corners(package(model(inner + outer, build)))
    assert found == [[[10, 0, 5], [10, 1, 5], [8, 0, 5]], [[0, 0, 0], [1, 0, 0], [0, 2, 0]]]


def test_a_mirrored_part_is_not_inside_out():
    build = '<item objectid="1" transform="-1 0 0 0 1 0 0 0 1 0 0 0"/>'
    assert corners(package(model(thing(), build))) == [[[0, 2, 0], [-1, 0, 0], [0, 0, 0]]]


def test_parts_in_other_models_and_a_root_of_another_name_are_found():
    outer = thing(
        '<components><component objectid="7" p:path="/3D/Objects/One.model"/></components>', 2
    )
    data = package(
        model(outer, '<item objectid="2"/>'),
        "3D/odd.model",
        **{"_rels/.rels": RELATIONS, "3D/Objects/one.model": model(thing(number=7), "")},
    )
    assert len(corners(data)) == 1


def test_a_prefix_for_the_namespace_changes_nothing():
    plain = model(thing())
    prefixed = plain.replace("<", "<c:").replace("<c:/", "</c:").replace("<c:?", "<?").replace(
        f'xmlns="{CORE}"', f'xmlns:c="{CORE}"'
    )  # fmt: skip
    assert corners(package(prefixed)) == corners(package(plain))


def test_colours_of_materials_and_groups_reach_the_vertices():
    base = '<basematerials id="5"><base name="a" displaycolor="#FF0000"/><base name="b" displaycolor="#0000FF80"/></basematerials>'
    group = (
        '<m:colorgroup id="6"><m:color color="#00FF00"/><m:color color="#102030FF"/></m:colorgroup>'
    )
    painted = (
        f'<mesh>{POINTS}<triangles><triangle v1="0" v2="1" v3="2"/><triangle v1="0" v2="1" v3="2" p1="1"/>'
        '<triangle v1="2" v2="1" v3="0" pid="6" p1="0" p2="1" p3="0"/></triangles></mesh>'
    )
    found = read(package(model(base + group + thing(painted, more='pid="5" pindex="0"'))))
    colours = found.mesh.colours[found.mesh.faces].tolist()
    red, blue, green = [255, 0, 0], [0, 0, 255], [0, 255, 0]
    assert colours == [[red] * 3, [blue] * 3, [green, [16, 32, 48], green]]
    assert found.stripped == 2
    whole = read(package(model(base + thing(more='pid="5" pindex="1"')))).mesh
    assert whole.colours.tolist() == [blue] * 3


@pytest.mark.parametrize("paint", ['pid="9" p1="0"', 'p1="77"', 'p1="-1"'])
def test_colours_that_are_not_there_are_no_colours(paint):
    painted = (
        f'<mesh>{POINTS}<triangles><triangle v1="0" v2="1" v3="2" {paint}/></triangles></mesh>'
    )
    group = '<m:colorgroup id="6"><m:color color="#00FF00"/></m:colorgroup>'
    assert read(package(model(group + thing(painted)))).mesh.colours is None


def test_all_that_names_anyone_is_counted_and_left_behind():
    before = '<metadata name="Designer">Jane Doe</metadata><metadata name="Application">X</metadata><!-- Jane -->'
    data = package(
        model(thing(more='name="Jane Doe upper"'), before=before),
        **{"Metadata/thumbnail.png": b"Jane", "Metadata/case.xml": "<Jane/>"},
    )
    found = read(data)
    assert found.stripped == 6
    copy = threemf.write(found.mesh)
    assert b"Jane" not in b"".join(
        zipfile.ZipFile(io.BytesIO(copy)).read(n)
        for n in zipfile.ZipFile(io.BytesIO(copy)).namelist()
    )


# ---------------------------------------------------------------- made to harm

BILLION = '<!DOCTYPE model [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE model [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "declaration", [BILLION, OUTSIDE, '<!DOCTYPE model SYSTEM "http://x.example/a.dtd">']
)
def test_no_entity_is_ever_declared(declaration):
    data = package(model(thing()).replace("<model", declaration + "<model"))
    assert refusal(data).startswith("declares a document type")


def nested(depth, width):
    """An object that holds `width` of the next, and so on: width ** depth of the last."""
    parts = [thing(number=0)]
    for level in range(1, depth):
        inside = f'<component objectid="{level - 1}"/>' * width
        parts.append(thing(f"<components>{inside}</components>", level))
    return package(model("".join(parts), f'<item objectid="{depth - 1}"/>'))


def test_parts_that_hold_themselves_or_multiply_come_to_an_end():
    circle = thing('<components><component objectid="2"/></components>', 1) + thing(
        '<components><component objectid="1"/></components>', 2
    )
    for data in (package(model(circle)), nested(40, 2), nested(3, 5_000), nested(12_000, 1)):
        began = time.process_time()
        assert refusal(data).startswith("places its parts more than 10,000 times")
        assert time.process_time() - began < 3


def test_a_few_large_parts_placed_very_often_are_refused_before_they_are_copied():
    rows = '<triangle v1="0" v2="1" v3="2"/>' * 7_000
    large = thing(f"<mesh>{POINTS}<triangles>{rows}</triangles></mesh>")
    data = package(model(large, '<item objectid="1"/>' * 9_000))
    assert refusal(data).startswith("holds more than 20,000,000 triangles")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PK\x03\x04", "stops before its end"),
        (package(model(thing()))[:-40], "stops before its end"),
        (package(b"x", "3D/readme.txt"), "holds no 3D model"),
        (package(b""), "is damaged or stops before its end"),
        (package(model(thing())[:-90]), "is damaged or stops before its end"),
        (package(model("", "")), "holds no triangles"),
        (package(model(thing("<mesh><vertices/><triangles/></mesh>"))), "holds no triangles"),
        (package(model(thing(), '<item objectid="4"/>')), "refers to a part that is not in it"),
        (package(model(thing('<components><component objectid="1" p:path="/../../etc/passwd"/></components>'))),
         "refers to a part that is not in it"),
        (package(model(thing(), '<item objectid="1" transform="1 0 0"/>')), "places a part where there is no"),
        (package(model(thing(), '<item objectid="1" transform="nan 0 0 0 1 0 0 0 1 0 0 0"/>')), "places a part"),
        (package(model(thing(), '<item objectid="1" transform="1e300 0 0 0 1 0 0 0 1 0 0 0"/>')), "has 1 point"),
        (package(model(thing().replace('x="1"', 'x="nan"'))), "has 1 point without a position"),
        (package(model(thing().replace('x="1"', 'x="1e400"'))), "has 1 point without a position"),
        (package(model(thing().replace('x="1"', 'x="3e38"'))), "has points more than a kilometre"),
        (package(model(thing().replace('x="1"', 'x="one"'))), "cannot be read as 3MF"),
        (package(model(thing().replace('x="1"', ""))), "cannot be read as 3MF"),
        (package(model(thing().replace('v3="2"', 'v3="99999999999"'))), "cannot be read as 3MF"),
        (package(model(thing().replace('v3="2"', f'v3="{"9" * 5_000}"'))), "cannot be read as 3MF"),
        (package(model(thing().replace('v3="2"', 'v3="3"'))), "refers to point 4 and holds 3 points"),
        (package(model(thing().replace('v3="2"', 'v3="-1"'))), "refers to point -1"),
        (package(model(thing().replace('id="1"', ""))), "cannot be read as 3MF"),
    ],
)  # fmt: skip
def test_hostile_files_get_a_sentence(data, sentence):
    assert refusal(data).startswith(sentence)


def test_a_bomb_is_refused_by_its_directory():
    blanks = package(model(thing()) + " " * (300 << 20))
    assert len(blanks) < 1 << 20
    began = time.process_time()
    assert "unpacks to far more than any scan" in refusal(blanks)
    assert time.process_time() - began < 1


def test_corners_of_a_painted_part_are_held_against_its_points():
    group = '<m:colorgroup id="6"><m:color color="#00FF00"/></m:colorgroup>'
    for corner, said in (("9", "point 10 "), ("-4", "point -4 ")):
        painted = f'<mesh>{POINTS}<triangles><triangle v1="0" v2="1" v3="{corner}" pid="6" p1="0"/></triangles></mesh>'
        assert said in refusal(package(model(group + thing(painted))))


def test_a_hundred_thousand_groups_of_colours_cost_no_more_than_their_reading():
    groups = "".join(
        f'<m:colorgroup id="g{n}"><m:color color="#00FF00"/></m:colorgroup>' for n in range(50_000)
    )
    rows = "".join(f'<triangle v1="0" v2="1" v3="2" pid="g{n}" p1="0"/>' for n in range(50_000))
    data = package(model(groups + thing(f"<mesh>{POINTS}<triangles>{rows}</triangles></mesh>")))
    began = time.process_time()
    assert len(read(data).mesh.faces) == 50_000
    assert time.process_time() - began < 3
