"""The password of a case, where it has one: judged off the loop, and only five times."""

from aiohttp import web

from store import passwords
from store.clock import DAY
from store.records import outbox, owners, tries
from viewer.languages import msgid, say
from viewer.visit import HOUSE, Visit, require_live_link

# The same for a wrong one and for a right one while none counts.
_WRONG = msgid(
    "This password does not count. After five wrong ones none counts for 15 minutes; capitals matter,"
    " blanks at the ends do not."
)


async def judge_password(request: web.Request, visit: Visit, typed: str) -> str:
    """What is wrong with the password that was typed; empty if it counts, or none is asked for.

    Raises Gone: the link ended while it was on its way.
    """
    case, person = visit.holder.case, visit.holder.person
    if not case.password:
        return ""
    if not typed:  # a robot that presses buttons must not lock anybody out
        return say("Type the password of this case.")
    house = request.app[HOUSE]
    now = house.clock.now()
    async with house.database.write() as connection:
        await require_live_link(connection, visit, now)
        left = await tries.take(connection, person.id, now)
    if left is None:
        return say(_WRONG)
    right = await house.threads.run(passwords.is_right, typed, case.password)
    if not right and left:
        return say(_WRONG)
    async with house.database.write() as connection:
        if right:
            await tries.forget(connection, person.id)
        else:
            draft = await owners.locked_letter(connection, case, person)
            once = f"locked|{person.id}|{now // DAY}"
            await outbox.write(connection, draft, house.settings.domain, now, once)
    house.poke()
    return "" if right else say(_WRONG)
