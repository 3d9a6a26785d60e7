"""The end of a case takes its objects and its key with it, wherever objects lie."""

import pytest

from store import ending
from store.errors import Gone, NotFound, TryAgain
from store.house import House, SealedObject, case_prefix, object_name, open_object
from store.records import cases
from store.states import CaseState
from tests.conftest import on_both_stores
from tests.test_store_records import make_case

pytestmark = on_both_stores
VERSION = "0123456789"
WHATS = ("original", "preview", "full", "copy")


async def put(house: House, case_id: str) -> list[str]:
    async with house.database.read() as connection:
        key = await house.case_key(connection, case_id)
    names = [object_name(case_id, VERSION, scan, what) for scan in (1, 2) for what in WHATS]
    for name in names:
        sealed = SealedObject(house.blobs, key, name)
        sealed.write(name.encode())
        sealed.commit()
        assert open_object(house.blobs, key, name).read(0, 999) == name.encode()
    return names


async def end(house: House, case_id: str) -> int:
    async with house.database.write() as connection:
        await cases.move(connection, case_id, CaseState.EXPIRED, ended_at=house.clock.now())
    return await ending.destroy(house, case_id)


async def test_nothing_of_an_ended_case_is_left_and_its_neighbour_keeps_all(house: House) -> None:
    case_id, neighbour = await make_case(house, "C-1"), await make_case(house, "C-2")
    names, kept = await put(house, case_id), await put(house, neighbour)
    assert house.blobs.names(case_prefix(case_id)) == sorted(names)
    assert await end(house, case_id) == len(names)
    assert house.blobs.names("") == sorted(kept)
    with pytest.raises(NotFound):
        house.blobs.size(names[0])
    async with house.database.read() as connection:
        with pytest.raises(Gone):
            await house.case_key(connection, case_id)


async def test_the_end_may_run_twice(house: House) -> None:
    case_id = await make_case(house)
    await put(house, case_id)
    assert await end(house, case_id) == 8
    assert await ending.destroy(house, case_id) == 0


async def test_an_end_that_fails_half_way_goes_on_where_it_stopped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = await make_case(house)
    names = await put(house, case_id)
    delete = house.blobs.delete

    def fails_at_the_third(name: str) -> None:
        if name == sorted(names)[2]:
            raise TryAgain("an outage")
        delete(name)

    with monkeypatch.context() as broken:
        broken.setattr(house.blobs, "delete", fails_at_the_third)
        with pytest.raises(TryAgain):
            await end(house, case_id)
    assert len(house.blobs.names(case_prefix(case_id))) == 6
    assert await ending.destroy(house, case_id) == 6
    assert house.blobs.names("") == []
