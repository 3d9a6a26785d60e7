"""Links that wait for a click: GET shows what will be done, POST by a person permits it.

Mail scanners open links and some press buttons. So looking changes nothing, and what cannot be undone
also asks for a box to be ticked, or for a code. The page only takes the click; the confirmation's flow
does what was permitted, and a letter says so.
"""

from typing import Any

import pyotp
import segno
from aiohttp import web
from markupsafe import Markup
from sqlalchemy.ext.asyncio import AsyncConnection

from store import consent
from store.errors import Gone, NotFound
from store.house import House
from store.model import Confirmation, Member
from store.records import codes, confirmations, labs
from store.states import ConfirmationKind
from store.tokens import MasterPurpose
from viewer.forms import Form, on_one_line, refuse_other_sites, require_own_form, typed
from viewer.languages import msgid, say
from viewer.templates import page
from viewer.visit import HOUSE, is_scripted

LONGEST_NAME = 80
_NAMES = ("name", "company")  # fields of the sign-up form
_SAYS = {
    ConfirmationKind.COMMAND: msgid(
        "It is being done now. A letter with what was done is on its way."
    ),
    ConfirmationKind.SIGNUP: msgid(
        "Your mail is being read now. A letter with what was done is on its way."
    ),
    ConfirmationKind.UNLOCK: msgid("Codes count again."),
    ConfirmationKind.ALIAS: msgid("Mail from this address counts from now on."),
    ConfirmationKind.VERSION: msgid(
        "The scans are being prepared now. A letter tells you when they are shared."
    ),
}
_HARMFUL = frozenset({ConfirmationKind.COMMAND, ConfirmationKind.ALIAS})


async def show_confirmation(request: web.Request) -> web.Response:
    """GET /c/<token>."""
    found, member = await _waiting(request)
    return _page(request, found, member)


async def take_click(request: web.Request) -> web.Response:
    """POST /c/<token>: a person pressed the button."""
    found, member = await _waiting(request)
    refuse_other_sites(request)
    form = {name: on_one_line(said, LONGEST_NAME) for name, said in (await typed(request)).items()}
    require_own_form(request, form, _key(request, found))
    if is_scripted(request):
        return _page(request, found, member)
    if found.kind is ConfirmationKind.ENROL:
        return await _enrol(request, found, member, form)
    problem, context = _answers(found, form)
    if problem:
        return _page(request, found, member, problem, form)
    house = request.app[HOUSE]
    async with house.database.write() as connection:
        # Asked again: the second of two clicks must not spend a code, or count as a wrong one.
        again = await confirmations.find(connection, found.id)
        waits = again is not None and again.is_waiting(house.clock.now())
        problem = await _check_code(request, connection, found, member, form) if waits else ""
        taken = (
            waits
            and not problem
            and await confirmations.confirm(connection, found.id, context, house.clock.now())
        )
    if problem:
        return _page(request, found, member, problem)
    if not taken:
        raise _used(found)
    house.poke()
    return page("ended", heading=say("Confirmed"), sentence=say(_SAYS[found.kind]))


def _key(request: web.Request, found: Confirmation) -> str:
    return request.app[HOUSE].keys.token(MasterPurpose.FORM, found.id)


async def _waiting(request: web.Request) -> tuple[Confirmation, Member | None]:
    """What a link is about, and of whom.

    Raises:
        NotFound: it was never issued.
        Gone: it was used, or its time is over.
    """
    house = request.app[HOUSE]
    async with house.database.read() as connection:
        found = await confirmations.by_token(connection, request.match_info["token"])
        if found is None:
            raise NotFound("There is nothing at this address. Look whether the link is complete.")
        if not found.is_waiting(house.clock.now()):
            raise _used(found)
        member = await labs.member(connection, found.member_id) if found.member_id else None
        await _require_possible(house, connection, found, member)
    return found, member


async def _require_possible(
    house: House, connection: AsyncConnection, found: Confirmation, member: Member | None
) -> None:
    """Raises Gone when what the link is for cannot happen any more."""
    # Whoever has the mailbox alone must not put an app of their own in the place of the member's.
    if found.kind is ConfirmationKind.ENROL and member and member.has_codes:
        raise Gone("Codes are on already. Reply 2FA OFF with a code first, to set them up anew.")
    if found.kind is ConfirmationKind.SIGNUP:
        known = await labs.member_by_address(connection, found.address)
        disabled = known is not None and known.disabled_at is not None
        if disabled or not house.settings.may_sign_up(found.address):
            raise Gone(
                "{address} may not share here. Ask {operator}.",
                address=found.address,
                operator=house.settings.operator,
            )


def _used(found: Confirmation) -> Gone:
    if found.kind is ConfirmationKind.SIGNUP:
        return Gone(
            "It was used before, or its time is over. If nothing was shared, send the scans once more."
        )
    if found.kind is ConfirmationKind.VERSION:
        return Gone(
            "It was used before, or its time is over. If the scans were not shared, send them once more."
        )
    if found.kind is ConfirmationKind.UNLOCK:
        return Gone(
            "It was used before, or its time is over. If codes are locked still, write the command once"
            " more."
        )
    return Gone(
        "It was used before, or its time is over. Write the command once more for a new one."
    )


def _page(
    request: web.Request,
    found: Confirmation,
    member: Member | None,
    problem: str = "",
    filled: Form | None = None,
) -> web.Response:
    shown = {
        "action": request.path,
        "hidden": {"key": _key(request, found)},
        "problem": problem,
        "address": found.context.get("shown") or found.address,
        "needs_code": _needs_code(found, member),
        "harm": found.kind in _HARMFUL and bool(found.context.get("harm")),
        "heading": found.context.get("heading", ""),
        "from_mail": True,
        "sentences": found.context.get("sentences", []),
    }
    status = 400 if problem else 200
    if found.kind is ConfirmationKind.SIGNUP:
        shown["typed"] = {name: (filled or {}).get(name, "") for name in _NAMES}
        return page(
            "signup",
            status,
            terms=[say(one) for one in consent.TEXT],
            version=consent.VERSION,
            **shown,
        )
    if found.kind is ConfirmationKind.UNLOCK:
        shown["heading"], shown["from_mail"] = say("Unlock codes"), False
        counts = say("Codes of {address} count again, with a fresh count.", address=found.address)
        shown["sentences"] = [counts]
    return page("confirm", status, **shown)


def _answers(found: Confirmation, form: Form) -> tuple[str, dict[str, Any]]:
    """What is missing, and what the row is to remember."""
    if found.kind is ConfirmationKind.SIGNUP:
        if form.get("agree") != consent.VERSION:
            return say("Tick the box to go on: without it nothing is shared."), {}
        if not form.get("company"):
            return say("Write the name of your lab: the people you share with see it."), {}
        names = {name: form.get(name, "") for name in _NAMES}
        return "", {**found.context, **names, "consent": consent.VERSION}
    if found.context.get("harm") and form.get("sure") != "yes":
        return say("Tick the box to go on."), {}
    return "", found.context


def _needs_code(found: Confirmation, member: Member | None) -> bool:
    """Whether the mailbox alone is not enough."""
    harm = found.kind is ConfirmationKind.COMMAND and found.context.get("harm")
    return bool(member and member.has_codes and harm)


async def _check_code(
    request: web.Request,
    connection: AsyncConnection,
    found: Confirmation,
    member: Member | None,
    form: Form,
) -> str:
    """What is wrong with the code that was typed; empty if it counts, or none is needed."""
    if member is None or not _needs_code(found, member):
        return ""
    house = request.app[HOUSE]
    code = form.get("code", "").replace(" ", "")
    if not code:  # a robot that presses buttons must not lock anybody out
        return say("Type the code that your authenticator app shows now.")
    spent = await codes.spend(connection, house.keys, member.id, code, house.clock.now())
    if spent is codes.Spent.RIGHT:
        return ""
    if spent is codes.Spent.LOCKED:
        return say(
            "Codes are locked after too many wrong ones. Write the command once more: a letter with a"
            " link that unlocks them comes to you."
        )
    return say("This code does not count. Each counts once, for five minutes: type a new one.")


async def _enrol(
    request: web.Request, found: Confirmation, member: Member | None, form: Form
) -> web.Response:
    """First click: the picture for the app. Second, with its code: codes are on."""
    assert member is not None
    house = request.app[HOUSE]
    sealed = bytes.fromhex(found.context["secret"])
    secret = house.keys.unseal(sealed, member.id).decode()
    code = form.get("code", "").replace(" ", "")
    if not code:
        return _enrol_page(request, found, member, secret)
    backup = codes.new_backup_codes()
    now = house.clock.now()
    async with house.database.write() as connection:
        # Once more, where nobody can come between: of two clicks at once, one shows ten codes.
        fresh = await confirmations.find(connection, found.id)
        if fresh is None or not fresh.is_waiting(now):
            raise _used(found)
        whose = await labs.member(connection, member.id)
        await _require_possible(house, connection, found, whose)
        right = await codes.enrol(connection, house.keys, member.id, secret, code, backup, now)
        if right:
            await confirmations.confirm(
                connection, found.id, {"subject": found.context.get("subject", "")}, now
            )
    if not right:
        problem = say(
            "This code is not right. Look whether the phone's clock is, and type a new one."
        )
        return _enrol_page(request, found, member, secret, problem)
    house.poke()
    return page("backup_codes", codes=backup)


def _enrol_page(
    request: web.Request, found: Confirmation, member: Member, secret: str, problem: str = ""
) -> web.Response:
    issuer = f"scanpost {request.app[HOUSE].settings.domain}"
    uri = pyotp.TOTP(secret).provisioning_uri(name=member.address, issuer_name=issuer)
    picture = segno.make(uri, error="m").svg_inline(scale=5, border=3, light="#fff", omitsize=True)
    return page(
        "enrol",
        400 if problem else 200,
        action=request.path,
        hidden={"key": _key(request, found)},
        picture=Markup(picture),  # noqa: S704 -- drawn from our own words
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        problem=problem,
    )
