"""One more device: an address is typed; if it is the person's own, a code goes there.

Whoever has a link that is not theirs must not learn whose it is. So every address gets the same answer
after the same work: a knock, a line in the trail, a letter, a page that asks for the code. For a wrong
address no code is right, and the gate keeps the letter in (outbound/gate.py), when the answer is out.
"""

import re

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from store.model import Knock, LetterDraft, Session
from store.records import audit, knocks, labs, outbox
from store.records.labs import canonical
from store.states import KnockKind, Proof
from store.tokens import derive_for_page, has_shape, new_id
from viewer.devices import ONCE, admit, let_in, one_tap
from viewer.forms import Form, own_form
from viewer.languages import msgid, say
from viewer.password import judge_password
from viewer.templates import page
from viewer.visit import (
    HOUSE,
    Visit,
    cookie_name,
    form_key,
    is_scripted,
    require_live_link,
    visit_of,
)

_ADDRESS = re.compile(r"[^\s<>@,;]+@[^\s<>@,;]+")
_NO_ADDRESS = msgid("Write the whole address, as in name@clinic.example.")
_TOO_MANY = msgid(
    "Too many codes were asked for with this link: five in an hour, or twenty in a day. Try again in an"
    " hour."
)
_WRONG = msgid(
    "This code does not count. Each counts once, for ten minutes, where it was asked for."
)
_ASK_ANEW = msgid(
    "This code does not count. Each counts once, for ten minutes, where it was asked for. Ask for"
    " another one."
)


async def show_door(request: web.Request) -> web.Response:
    """GET /r/<token>/code: asks for an address, or for the code that was asked for here."""
    visit = await visit_of(request)
    if visit.session:
        return _to(visit, "")
    knock = None if "again" in request.query else await _knock_of(request, visit)
    return _code_page(visit) if knock else _address_page(visit)


async def ask_for_code(request: web.Request) -> web.Response:
    """POST /r/<token>/ask: an address was typed."""
    visit = await visit_of(request)
    form = await own_form(request, visit)
    if is_scripted(request):
        return _address_page(visit)
    address = form.get("address", "")
    if not _ADDRESS.fullmatch(address):
        return _address_page(visit, say(_NO_ADDRESS))
    house, person = request.app[HOUSE], visit.holder.person
    knock_id, now = _knock_id(visit, form, address), house.clock.now()
    async with house.database.write() as connection:
        await require_live_link(connection, visit, now)
        if await knocks.find(connection, knock_id) is None:
            if not await knocks.may_ask(connection, person.id, KnockKind.CODE, now):
                return _address_page(visit, say(_TOO_MANY), 429)
            await _knock(request, connection, visit, knock_id, address)
    house.poke()
    response = _to(visit, "/code")
    response.set_cookie(
        _cookie_name(request, visit),
        knock_id,
        max_age=knocks.LIFETIME // 1000,
        path="/",
        httponly=True,
        secure=house.settings.secure,
        samesite="Lax",
    )
    return response


async def take_code(request: web.Request) -> web.Response:
    """POST /r/<token>/code: a code was typed, and the password where the case has one."""
    visit = await visit_of(request)
    form = await own_form(request, visit)
    digits = re.sub(r"[\s-]", "", form.get("code", ""))
    if is_scripted(request) or not digits:  # a robot that presses buttons must not spend a try
        return _code_page(visit)
    now = request.app[HOUSE].clock.now()
    async with request.app[HOUSE].database.write() as connection:
        await require_live_link(connection, visit, now)
        secret, opened = await one_tap(connection, visit, form, now)
        knock = None if opened else await _judge(request, connection, visit, digits)
    if opened:
        return admit(request, visit, secret, opened.created_at)
    if knock is None:
        again = await _knock_of(request, visit)
        problem = say(_WRONG) if again else say(_ASK_ANEW)
        return _code_page(visit, problem)
    if problem := await judge_password(request, visit, form.get("password", "")):
        return _code_page(visit, problem)
    return await _enter(request, visit, form, knock)


async def _judge(
    request: web.Request, connection: AsyncConnection, visit: Visit, digits: str
) -> Knock | None:
    """The knock of this browser, if these are its digits; a try is spent in any case."""
    now = request.app[HOUSE].clock.now()
    knock_id = request.cookies.get(_cookie_name(request, visit), "")
    knock = await knocks.waiting_code(connection, knock_id, visit.holder.person.id, now)
    if knock is None or not await knocks.take_try(connection, knock.id):
        return None
    return knock if knocks.is_right(visit.case_key, knock, digits) else None


async def _enter(request: web.Request, visit: Visit, form: Form, knock: Knock) -> web.Response:
    house = request.app[HOUSE]
    now = house.clock.now()
    opened: Session | None
    async with house.database.write() as connection:
        secret, opened = await one_tap(connection, visit, form, now)
        used = opened is not None or await knocks.use(connection, knock.id, now)
        if opened is None and used:
            await let_in(connection, visit, secret, Proof.CODE, now)
    if not used:
        return _code_page(visit, say(_WRONG))
    response = admit(request, visit, secret, opened.created_at if opened else now)
    name, secure = _cookie_name(request, visit), house.settings.secure
    response.del_cookie(name, path="/", secure=secure, httponly=True)
    return response


async def _knock(
    request: web.Request, connection: AsyncConnection, visit: Visit, knock_id: str, address: str
) -> None:
    house, person, case = request.app[HOUSE], visit.holder.person, visit.holder.case
    now = house.clock.now()
    right = canonical(address) == canonical(person.address)
    await knocks.ask(connection, knock_id, person.id, right=right, now=now)
    await audit.record(
        connection,
        now,
        person.address,
        "code asked for",
        lab_id=case.lab_id,
        case_id=case.id,
        right=right,
    )
    owner = await labs.member(connection, case.owner_id)
    draft = LetterDraft(
        kind="code",
        recipient=person.address,
        recipient_name=person.name,
        subject=f"A code for {case.short_name}",
        context={
            "knock": knock_id,
            "name": case.short_name,
            "tell": "" if visit.is_owner else owner.name or owner.company,
        },
        case_id=case.id,
        person_id=person.id,
    )
    await outbox.write(connection, draft, house.settings.domain, now)


def _knock_id(visit: Visit, form: Form, address: str) -> str:
    """Two taps on one button are one knock: else the code of the first letter would be wrong."""
    once = form.get(ONCE, "")
    if not has_shape(once):
        return new_id()
    asked = f"{once}|{canonical(address)}"
    return derive_for_page(visit.case_key, "knock", visit.holder.person.id, asked)


async def _knock_of(request: web.Request, visit: Visit) -> Knock | None:
    house = request.app[HOUSE]
    knock_id = request.cookies.get(_cookie_name(request, visit), "")
    async with house.database.read() as connection:
        return await knocks.waiting_code(
            connection, knock_id, visit.holder.person.id, house.clock.now()
        )


def _cookie_name(request: web.Request, visit: Visit) -> str:
    return f"{cookie_name(request.app[HOUSE], visit.holder)}-knock"


def _to(visit: Visit, below: str) -> web.Response:
    return web.Response(status=303, headers={"Location": f"/r/{visit.token}{below}"})


def _address_page(visit: Visit, problem: str = "", status: int = 400) -> web.Response:
    return page(
        "address",
        status if problem else 200,
        base=f"/r/{visit.token}",
        hidden={"key": form_key(visit), "once": new_id()},
        problem=problem,
        is_owner=visit.is_owner,
    )


def _code_page(visit: Visit, problem: str = "") -> web.Response:
    return page(
        "code",
        400 if problem else 200,
        base=f"/r/{visit.token}",
        hidden={"key": form_key(visit), "once": new_id()},
        problem=problem,
        asks_password=bool(visit.holder.case.password),
        is_owner=visit.is_owner,
    )
