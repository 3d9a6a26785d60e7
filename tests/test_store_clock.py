"""The clock that a test can move under a started process."""

from pathlib import Path

from store.clock import DAY, MovedClock, SystemClock


def test_a_file_moves_the_clock_of_a_live_process(tmp_path: Path) -> None:
    moved, real = MovedClock(tmp_path / "offset"), SystemClock()
    assert abs(moved.now() - real.now()) < 5_000
    (tmp_path / "offset").write_text(str(DAY // 1000))
    assert abs(moved.now() - real.now() - DAY) < 5_000
    (tmp_path / "offset").write_text("half written")
    assert abs(moved.now() - real.now()) < 5_000
