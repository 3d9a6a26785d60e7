"""The way of one letter: composed, handed to the relay, and its answer written down.

An attempt that the relay puts off moves the row's `due_at`; an outage of the relay so holds up
nothing else. Every attempt has the same Message-ID, so that a reader's server can tell twins.
"""

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from outbound.compose import compose
from outbound.digest import fill_digest
from outbound.gate import PAUSE, Decision, Passage, alarm, decide, join, plan_digest
from outbound.posting import Relay
from store.clock import DAY, HOUR, MINUTE
from store.engine import Step
from store.errors import LetterRefused, RelayBusy
from store.house import House
from store.model import INVITATIONS, Letter
from store.records import access, audit, cases, outbox
from store.records.owners import undelivered_letter
from store.states import LetterState, Suppression
from store.statuses import Action, Fate, fate_of, status_in
from store.tokens import MasterPurpose

FIRST_PAUSE = MINUTE
LONGEST_PAUSE = HOUR
PATIENCE = 2 * DAY  # then a letter that was always put off counts as refused
log = structlog.get_logger()


async def letter_flow(house: House, relay: Relay, step: Step, letter_id: str) -> None:
    await step(deliver, house, relay, letter_id)


async def deliver(house: House, relay: Relay, letter_id: str) -> None:
    """One attempt at one letter."""
    letter = await _let_out(house, letter_id)
    if letter is None:
        return
    posting = await compose(house, letter)
    try:
        answer = await relay.send(posting)
    except RelayBusy as busy:
        await _put_off(house, letter, str(busy))
    except LetterRefused as refusal:
        await _refused(house, letter, str(refusal))
    else:
        await _sent(house, letter, answer)


def pause_after(tries: int) -> int:
    """Milliseconds until the next attempt: 1, 2, 4 … minutes, at most an hour."""
    return min(LONGEST_PAUSE, FIRST_PAUSE << min(tries, 10))


async def _let_out(house: House, letter_id: str) -> Letter | None:
    """The letter, if it passes the gate; what comes back of it is known from this moment on."""
    now = house.clock.now()
    async with house.database.write() as connection:
        letter = await outbox.letter(connection, letter_id)
        if letter.state is not LetterState.DUE:
            return None
        decision = await decide(house, connection, letter)
        if decision.passage is Passage.OPEN:
            if letter.kind == "digest" and not await fill_digest(connection, letter):
                why = "nothing is left to say"
                await outbox.settle(connection, letter.id, LetterState.WITHDRAWN, why, now)
                return None
            token = house.keys.token(MasterPurpose.BOUNCE, letter.id)
            await outbox.note_bounce_token(connection, letter.id, token)
            return await outbox.letter(connection, letter_id)
        await _keep_in(house, connection, letter, decision, now)
    house.poke()
    return None


async def _keep_in(
    house: House, connection: AsyncConnection, letter: Letter, decision: Decision, now: int
) -> None:
    if decision.passage in (Passage.JOINED, Passage.UNHEARD):
        await alarm(house, connection, letter, decision.why)
    if decision.passage is Passage.JOINED:
        await join(house, connection, letter, decision.why)
        return
    if decision.passage is Passage.LATER:
        await outbox.try_later(connection, letter.id, now + PAUSE, decision.why)
        return
    await outbox.settle(connection, letter.id, LetterState.WITHDRAWN, decision.why, now)
    if decision.passage is Passage.UNWANTED and letter.kind in INVITATIONS:
        draft = await undelivered_letter(connection, letter, Suppression(decision.why))
        await outbox.write(connection, draft, house.settings.domain, now)


async def _put_off(house: House, letter: Letter, answer: str) -> None:
    now = house.clock.now()
    if now - letter.created_at > PATIENCE:
        await _refused(house, letter, f"put off for two days; at last: {answer}")
        return
    log.warning("letter put off", letter=letter.id, tries=letter.tries + 1)
    async with house.database.write() as connection:
        await outbox.try_later(connection, letter.id, now + pause_after(letter.tries), answer)


async def _refused(house: House, letter: Letter, answer: str) -> None:
    now = house.clock.now()
    log.warning("letter refused", letter=letter.id, kind=letter.kind)
    async with house.database.write() as connection:
        await outbox.settle(connection, letter.id, LetterState.REFUSED, answer, now)
        await _record(connection, letter, "refused", now)
        if letter.kind in INVITATIONS and letter.case_id:
            fate = fate_of(Action.FAILED, status_in(answer), answer)
            if letter.person_id and fate is Fate.PERMANENT:
                await access.note_trouble(connection, letter.person_id, answer[:300], now)
            draft = await undelivered_letter(connection, letter, fate, answer)
            await outbox.write(connection, draft, house.settings.domain, now)
    house.poke()


async def _sent(house: House, letter: Letter, answer: str) -> None:
    now = house.clock.now()
    async with house.database.write() as connection:
        await outbox.settle(connection, letter.id, LetterState.SENT, answer[:300], now)
        if letter.kind == "digest":
            said = letter.context or {}
            await outbox.forget_joined(connection, said.get("letters", []))
            if said.get("more"):
                await plan_digest(house, connection, letter.recipient)
        await _record(connection, letter, "sent", now)


async def _record(connection: AsyncConnection, letter: Letter, what: str, now: int) -> None:
    case = await cases.case(connection, letter.case_id) if letter.case_id else None
    await audit.record(
        connection,
        now,
        "scanpost",
        f"letter {what}: {letter.kind}",
        lab_id=case.lab_id if case else None,
        case_id=letter.case_id,
        to=letter.recipient,
    )
