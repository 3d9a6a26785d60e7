"""What APPROVE and CHANGES share: a verdict binds the files of one version."""

from inbound.cases.letters import verdict_letter
from inbound.commands.shape import Desk, Order, Transcript
from store.clock import in_words
from store.errors import CommandRefused
from store.model import Version
from store.records import cases, outbox, remarks, verdicts
from store.records.verdicts import Verdict
from store.states import RemarkKind
from store.tokens import derived_id

_LONGEST = 4_000  # characters of words that are said back
_EXAMPLE = {"APPROVE": "", "CHANGES": ": and what shall be changed"}


async def give(desk: Desk, kind: RemarkKind, order: Order) -> Transcript:
    """Writes the verdict, once, and the letter to the owner. Raises CommandRefused where there is
    nothing to judge, or another version than the newest was judged.
    """
    case, person, note = desk.open_case(), desk.reviewer, order.text
    version = await version_judged(desk, order)
    verdict = Verdict(kind, note)
    what = verdict.in_words(case, version)
    if await verdicts.was_said(desk.connection, person, version, verdict):
        return Transcript([f"You {what} already; nothing was sent twice."])
    files = await verdicts.files_of(desk.connection, version)
    remark_id = derived_id("remark", desk.occasion)
    await remarks.add(
        desk.connection,
        remark_id,
        case.id,
        kind,
        person.called,
        note,
        desk.now,
        person_id=person.id,
        version_id=version.id,
        files=files,
    )
    remark = f"{person.called} {what}."
    draft = await verdict_letter(desk.connection, case, remark, note, desk.now)
    domain = desk.house.settings.domain
    await outbox.write(desk.connection, draft, domain, desk.now, once=f"remark|{remark_id}")
    await verdicts.write_trail(desk.connection, case, person, version, kind, files, desk.now)
    return Transcript([f"You {what}. {desk.lab.name} has been told."])


async def describe(desk: Desk, order: Order) -> list[str]:
    """Nothing more than of any other command; but what cannot count is refused before the click."""
    desk.open_case()
    await version_judged(desk, order)
    return []


async def version_judged(desk: Desk, order: Order) -> Version:
    """The newest version, if it is the one that is meant. Raises CommandRefused: ask, never guess, for
    somebody mills a crown because of it.
    """
    case = desk.open_case()
    newest = await cases.newest_shared(desk.connection, case.id)
    if newest is None:
        raise CommandRefused(f"{case.short_name} has no version to judge yet.")
    assert newest.shared_at is not None
    meant = order.version if order.version is not None or newest.number > 1 else newest.number
    if meant == newest.number:
        return newest
    say = (
        f"Your link shows it. Look at it and reply {order.verb} to its letter; or write"
        f" “{order.verb} v{newest.number}{_EXAMPLE[order.verb]}”."
    )
    if meant is None:
        why = f"{case.short_name} has {newest.number} versions, and your mail does not say which it is about"
    elif meant > newest.number:
        why = f"{case.short_name} has no version {meant} yet"
    else:
        why = f"What you wrote is about version {meant} of {case.short_name}"
    kept = (
        f" Your words, which were passed on to nobody: “{order.text[:_LONGEST]}”"
        if order.text
        else ""
    )
    raise CommandRefused(
        f"{why}, so nothing was done and nobody was told. Version {newest.number} is here since"
        f" {in_words(newest.shared_at)}. {say}{kept}"
    )
