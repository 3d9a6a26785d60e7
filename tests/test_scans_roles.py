import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbound.scans.roles import Role, role_from_name


@pytest.mark.parametrize(
    ("name", "role"),
    [
        # iTero
        ("OrthoCAD_Export_12345678/12345678_shell_occlusion_u.stl", Role.UPPER),
        ("12345678_shell_occlusion_l.stl", Role.LOWER),
        ("12345678_shell_teethup_u.STL", Role.UPPER),
        # 3Shape
        ("Case 12_UpperJawScan.stl", Role.UPPER),
        ("scan for retainers LowerJawScan.stl", Role.LOWER),
        # Medit
        ("C-1042-upperjaw.obj", Role.UPPER),
        ("C-1042-lowerjaw.ply", Role.LOWER),
        ("C-1042-upperjaw-situ.ply", Role.SITU),
        # Shining 3D, Primescan, Sirios, DEXIS
        ("C-1042-UpperJaw.stl", Role.UPPER),
        ("JS-30_LowerJaw.stl", Role.LOWER),
        ("A1_UPPER_ARCH.ply", Role.UPPER),
        ("A1_LOWER_ARCH.ply", Role.LOWER),
        ("Mandibular 2.stl", Role.LOWER),
        ("Maxillary.stl", Role.UPPER),
        # exocad
        ("2026-04-12_00001-001-2-UpperJaw.stl", Role.UPPER),
        ("2026-04-12_00001-001-30-crown_cad.stl", Role.DESIGN),
        # German, Spanish, French
        ("Oberkiefer.stl", Role.UPPER),
        ("1042_UK.stl", Role.LOWER),
        ("Gegenkiefer_OK.stl", Role.ANTAGONIST),
        ("Stumpf 46.stl", Role.DIE),
        ("Brücke.stl", Role.DESIGN),
        ("maxilar superior.stl", Role.UPPER),
        ("mandíbula.ply", Role.LOWER),
        ("corona 14.stl", Role.DESIGN),
        ("mâchoire inférieure.ply", Role.LOWER),
        ("couronne.stl", Role.DESIGN),
        # all other roles
        ("bite1.stl", Role.BITE),
        ("Buccal Bite 2.ply", Role.BITE),
        ("prep upper.stl", Role.PREP),
        ("lower_30_prep.stl", Role.PREP),
        ("preop_upper.stl", Role.SITU),
        ("pre-op lower.stl", Role.SITU),
        ("Opposing.stl", Role.ANTAGONIST),
        ("ScanBody_14.stl", Role.SCANBODY),
        ("scan body upper.stl", Role.SCANBODY),
        ("gingiva_upper.stl", Role.GINGIVA),
        ("wax-up lower.stl", Role.WAXUP),
        ("die30.stl", Role.DIE),
        ("model.stl", Role.MODEL),
        ("upper model.stl", Role.UPPER),
        ("crown #30.stl", Role.DESIGN),
        ("UpperJaw/scan1.stl", Role.UPPER),
        (r"C:\cases\LowerJaw\scan1.stl", Role.LOWER),
        ("Max Mueller LowerJaw.stl", Role.LOWER),
    ],
)
def test_a_name_tells_the_role(name, role):
    assert role_from_name(name) is role


@pytest.mark.parametrize(
    "name",
    [
        "scan.stl",
        "u.stl",
        "Smith_J_30.stl",
        "L_Smith.stl",
        "12345678.ply",
        "",
        ".stl",
        "upper and lower.stl",
    ],
)
def test_a_name_that_does_not_tell_gives_none(name):
    assert role_from_name(name) is None


def test_every_role_has_words_for_people():
    assert all(role.label for role in Role)
    assert Role.UPPER.label == "Upper jaw"


@given(st.text(max_size=300))
def test_any_name_is_taken_without_an_error(name):
    assert role_from_name(name) in {None, *Role}
