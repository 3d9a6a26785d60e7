"""What requests for meshes have found out, for those that ask the same again before anything has changed.

A page asks for one file after another, and many readers for the same one; to look up link, session, scan
and key each time costs more than to send the bytes. Any commit to the database, by whichever process,
empties this: a REVOKE holds at the next request, as ever. What only time ends is looked at each time.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web

from store.blobs.sealed import SealedReader
from store.house import House
from store.model import SESSION_IDLE, SESSION_LIFETIME, Scan
from viewer.visit import HOUSE, Visit

MOST_ASKED = 512
MOST_OPEN = 8  # each keeps a chunk, and up to four of them sealed (store/blobs/sealed.py)
KEPT_FOR = 60.0  # seconds

K = TypeVar("K")
V = TypeVar("V")
Question = tuple[str, str]  # the address and the cookies


@dataclass
class Remembered:
    stamp: int = -1
    answers: OrderedDict[Question, tuple[Visit, Scan]] = field(default_factory=OrderedDict)
    readers: OrderedDict[str, SealedReader] = field(default_factory=OrderedDict)
    forgetting: asyncio.TimerHandle | None = None

    def answer(self, request: web.Request) -> tuple[Visit, Scan] | None:
        """Who asks for which scan, if nothing has changed since the same was asked before."""
        house = request.app[HOUSE]
        self._forget_what_is_old(house)
        known = self.answers.get(_question(request))
        if known is None or not _still_in_time(house, known[0]):
            return None
        return known

    def remember(self, request: web.Request, stamp: int, visit: Visit, scan: Scan) -> None:
        """Keeps an answer that was looked up under a stamp."""
        if stamp == self.stamp:
            _keep(self.answers, _question(request), (visit, scan), MOST_ASKED)
            self._forget_soon()

    def reader(self, house: House, name: str) -> SealedReader | None:
        self._forget_what_is_old(house)
        return self.readers.get(name)

    async def remember_reader(
        self, house: House, stamp: int, name: str, reader: SealedReader
    ) -> None:
        """Keeps a reader, with the sealed bytes of a small object: many ask for the same one."""
        if stamp != self.stamp:
            return
        for old in _keep(self.readers, name, reader, MOST_OPEN):
            old.let_go()
        self._forget_soon()
        await house.object_threads.run(reader.hold)
        if self.readers.get(name) is not reader:  # forgotten meanwhile
            reader.let_go()

    def _forget_what_is_old(self, house: House) -> None:
        stamp = house.database.stamp()
        if stamp != self.stamp:
            self._forget()
            self.stamp = stamp

    def _forget_soon(self) -> None:
        """Keys and plaintext do not outlive their use, even where nobody asks again."""
        if self.forgetting is None:
            self.forgetting = asyncio.get_running_loop().call_later(KEPT_FOR, self._forget)

    def _forget(self) -> None:
        self.answers.clear()
        for reader in self.readers.values():  # some may still be in use
            reader.let_go()
        self.readers.clear()
        if self.forgetting:
            self.forgetting.cancel()
            self.forgetting = None


REMEMBERED = web.AppKey("remembered", Remembered)


def _question(request: web.Request) -> Question:
    return request.path, request.headers.get("Cookie", "")


def _still_in_time(house: House, visit: Visit) -> bool:
    now, session = house.clock.now(), visit.session
    return (
        visit.holder.may_look(now)
        and session is not None
        and session.last_seen_at > now - SESSION_IDLE
        and session.created_at > now - SESSION_LIFETIME
    )


def _keep(kept: OrderedDict[K, V], key: K, value: V, most: int) -> list[V]:
    """Keeps a value; what had to go for it."""
    gone = [kept.pop(key)] if key in kept else []
    kept[key] = value
    while len(kept) > most:
        gone.append(kept.popitem(last=False)[1])
    return gone
