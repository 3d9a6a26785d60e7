import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inbound.scans import maps


def test_a_map_is_two_bytes_a_vertex_lower_byte_first_in_micrometres():
    values = np.array([0, 0.001, -0.001, 0.21, 1.8, np.nan], np.float32)
    expected = np.array([0, 1, -1, 210, 1800, -32768], "<i2").tobytes()
    assert maps.pack(values) == expected
    assert maps.pack(values)[6:8] == b"\xd2\x00"


def test_values_too_far_stand_at_the_limit_and_are_not_taken_for_none():
    values = np.array([99, -99, np.inf, -np.inf], np.float32)
    back = maps.unpack(maps.pack(values))
    assert np.allclose(back, [32.767, -32.767, 32.767, -32.767])


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(-32, 32, width=32)), st.data())
def test_values_come_back_to_within_half_a_micrometre(values, data):
    none = data.draw(arrays(bool, len(values)))
    values[none] = np.nan
    packed = maps.pack(values)
    back = maps.unpack(packed)
    assert (np.isnan(back) == none).all()
    assert (np.abs(back - values)[~none] <= 0.000503).all()
    assert maps.pack(back) == packed
