"""Out of office: what responders write above and into their mails, and until when somebody is away.

The subjects are those that Exchange, Gmail, Zimbra, Lotus and Sieve (RFC 5230) put there by
themselves, and those that people choose. They stand at the subject's begin: "Re: Automatic reply" is
a person's, and so is "Out of office next week?".
"""

import re

from inbound.mail.skeleton import Contents
from inbound.mail.text import note_of

LONGEST = 200  # characters of what the owner is told
_SHORT_LINE = 40  # a line that ends before this was meant to end
_BEGIN = 2_000  # characters of a text in which somebody says that they are away
# A responder's own words; they do not say that somebody is away.
_ANSWERS = (
    r"auto(?:matic|mated)?[- ]?(?:repl(?:y|ies)|response|answer)",
    r"automatische (?:antwort|e?-?mail-?antwort|rückmeldung)|autoantwort",
    r"respuesta autom[aá]tica|contestaci[oó]n autom[aá]tica",
    r"r[ée]ponse automatique|message automatique",
    r"自动(?:回复|答复)|自動(?:回覆|回復|答覆|応答|返信)",
    r"risposta automatica|resposta autom[aá]tica|automatisch antwoord|autosvar|automatiskt svar",
    r"automaattinen vastaus|automatyczna odpowiedź|odpowiedź automatyczna|automatická odpověď",
    r"автоответ|автоматический ответ|otomatik yanıt|자동 회신",
)
_AWAY_SUBJECTS = (
    r"out[- ]of[- ](?:the[- ])?office(?: (?:reply|auto-?reply|response|notice|message))?|ooo",
    r"away from (?:the |my )?(?:office|mail|e-?mail|desk)|on (?:vacation|holidays?|leave)",
    r"(?:vacation|holiday|absence) (?:reply|response|message|notice|notification)",
    r"abwesenheit(?:s-?(?:notiz|nachricht|meldung|mitteilung|info|benachrichtigung|assistent))?",
    r"(?:bin )?(?:abwesend|nicht im (?:büro|haus)|außer haus|im urlaub)|urlaub(?:smeldung)?",
    r"fuera de (?:la )?oficina|ausen(?:te|cia)(?: de la oficina)?|de vacaciones",
    r"absent(?:e)?(?: du bureau)?|absence(?: du bureau)?|en cong[ée]s?|(?:hors|absent) du bureau",
    r"不在办公室|外出(?:通知|自动回复)?|休假(?:通知|自动回复|中)?|度假(?:自动回复|中)?",
    r"fuori (?:ufficio|sede)|assenza dall'ufficio|fora do escrit[oó]rio|ausência|afwezig(?:heid)?",
    r"niet aanwezig|frånvaro|fraværende|poissa|вне офиса|вне работы|ofis dışında|nieobecność",
)
_RESPONDERS = re.compile(
    rf"\s*\[?(?:{'|'.join(_ANSWERS + _AWAY_SUBJECTS)})\s*(?:[\]:：;!.(\[<–—-]|\Z)", re.IGNORECASE
)
_AWAY = re.compile(
    r"\b(?:(?:out|away) (?:of|from) (?:the |my |our )?(?:office|practice|clinic|desk)|i(?:'m| am) away"
    r"|on (?:annual |parental |maternity |sick )?(?:leave|vacation|holidays?)|will be away"
    r"|limited access to (?:my )?e?-?mail|(?:be|am|i'm) back (?:on|in|at)|return(?:ing)? (?:on|to the))"
    r"|\b(?:nicht im (?:büro|haus)|im urlaub|abwesend|außer haus|nicht erreichbar|wieder (?:da|im|für)"
    r"|in (?:mutterschutz|elternzeit)|kehre am)"
    r"|\b(?:fuera de (?:la |mi )?(?:oficina|consulta)|de vacaciones|estar[eé] ausente|estoy ausente"
    r"|vuelvo el|regres(?:o|ar[eé]) el|de baja)"
    r"|\b(?:absente?s?\b|en (?:congés?|vacances)|hors du bureau|de retour le)"
    r"|不在办公室|外出|休假|度假|出差|无法及时(?:回复|处理)"
    r"|\b(?:fuori (?:ufficio|sede)|in ferie|fora do escrit[oó]rio|de férias|afwezig|op vakantie)",
    re.IGNORECASE,
)
_UNTIL = re.compile(
    r"\b(?:until|till|til|through|back|return(?:ing)?|again (?:on|from)|from .{0,40} to"
    r"|bis|zurück|wieder|ab dem|kehre"
    r"|hasta|vuelvo|volver[eé]|regres\w+|de vuelta|reincorpor\w+"
    r"|jusqu\w*|retour|au \d{1,2}|reviens|reviendrai"
    r"|fino al|rientr\w+|até|regress\w+|tot|terug)\b|至|直到|返回|回来|回到|恢复|到\s?\d",
    re.IGNORECASE,
)
_WHEN = re.compile(
    r"\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|\b(?:montag|dienstag|mittwoch|donnerstag"
    r"|freitag|samstag|sonntag|lunes|martes|miércoles|jueves|viernes|sábado|domingo|lundi|mardi"
    r"|mercredi|jeudi|vendredi|samedi|dimanche|tomorrow|morgen|mañana|demain|next week"
    r"|nächste woche)|周|星期|月|明天",
    re.IGNORECASE,
)
# No end of a sentence: "30. November", "Nov. 30", "Dr. Kim".
_SENTENCE = re.compile(r"(?<=[\w)]{3}[.!?])\s+(?=\D)|(?<=[。！？])\s*")


def names_responder(subject: str) -> bool:
    """Whether a subject begins as those of responders do."""
    return _RESPONDERS.match(subject) is not None


def says_away(text: str) -> bool:
    """Whether a text, without what it quotes, says of its writer that they are away."""
    own = (line for line in text[:_BEGIN].splitlines() if not line.lstrip().startswith(">"))
    return _AWAY.search(" ".join(own)) is not None


def away_until(mail: Contents) -> str:
    """What an automatic reply says of its writer's absence, as one line for people; "" if nothing.

    The sentence that says until when, or else the begin of what is said.
    """
    text = note_of(mail.body)
    for sentence in _sentences(text):
        if _UNTIL.search(sentence) and _WHEN.search(sentence):
            return one_line(sentence, LONGEST)
    if says_away(text):
        return one_line(text, LONGEST)
    if _AWAY.search(mail.subject) or _AWAY_SUBJECT.match(mail.subject):
        return one_line(text, LONGEST) or one_line(mail.subject, LONGEST)
    return ""


def one_line(text: str, longest: int) -> str:
    """What a robot wrote, fit to stand in a letter to a person."""
    begin = " ".join(text[: 8 * longest].split())
    # What is not printable includes marks that turn the direction of writing.
    line = " ".join("".join(filter(str.isprintable, begin)).split())
    return line if len(line) <= longest else f"{line[: longest - 1].rstrip()}…"


def _sentences(text: str) -> list[str]:
    found: list[str] = []
    for paragraph in _paragraphs(text):
        found += (part for part in _SENTENCE.split(paragraph) if part.strip())
    return found


def _paragraphs(text: str) -> list[str]:
    """Lines that a program has wrapped are put together again; "Hello," stands by itself."""
    found, going_on = [""], False
    for line in text.splitlines():
        plain = " ".join(line.split())
        if going_on and plain:
            found[-1] += f" {plain}"
        else:
            found.append(plain)
        going_on = len(plain) >= _SHORT_LINE
    return [paragraph for paragraph in found if paragraph]


_AWAY_SUBJECT = re.compile(rf"\s*\[?(?:{'|'.join(_AWAY_SUBJECTS)})\b", re.IGNORECASE)
