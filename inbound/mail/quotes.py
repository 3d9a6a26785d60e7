"""What a person typed in a reply, told from what programs put around it (RFC 3676 4.3 and 4.5).

One set of rules for commands (inbound/talk/grammar.py) and for notes (inbound/mail/text.py), so that
both see the same text: banners of a mail gateway at the top are skipped, and whatever stands below a
mark is not the person's. A rule looks at a line or at a few lines below it, never further: the time
it takes grows with the text and no faster.
"""

import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum

LONGEST_TEXT = 64 * 1024  # characters of a body that are looked at
MOST_LINES = 400  # of a body, for a command
DECORATION = "*_`~\"'“”„‘’«»‹›·•–—-.,;:!?()[]。、，：；！？．（）「」『』《》【】"
_MOST_BANNERS = 3
_LONGEST_BANNER = 6  # lines of one
_LONGEST_MARK = 400  # characters of a line that may be one
# Soft hyphen, zero width, bidi marks, byte order mark, and what iOS writes where a picture stands.
_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufffc]")
# Outlook's plain text of a linked address: kim@clinic.example<mailto:kim@clinic.example>
_MAILTO = re.compile(r"<mailto:[^<>]*>", re.IGNORECASE)
_PICTURE = re.compile(r"\[(?:cid:|image:)[^\[\]]*\]", re.IGNORECASE)
# The accents of our languages, and no others: a line through each letter (U+0336) crosses a word out.
_ACCENTS = re.compile("[\u0300-\u0304\u0308\u030a\u0327]")


class Mark(StrEnum):
    QUOTED = "quoted"  # A line of a quotation (RFC 3676 4.5).
    ATTRIBUTION = "attribution"  # "On Sunday Anna wrote:", over one to three lines.
    ORIGINAL = "original"  # The head of somebody's mail: nothing below is the person's.
    SIGNATURE = "signature"  # RFC 3676 4.3, and what phones and law offices write in its place.


def visible(line: str) -> str:
    """A line without the characters that nobody sees; single blanks between its words."""
    return " ".join(_MAILTO.sub("", _UNSEEN.sub("", line)).split())


def plain(line: str) -> str:
    """A line in plain letters: full-width ones are made narrow (Unicode's NFKC)."""
    line = visible(line)
    return line if line.isascii() else visible(unicodedata.normalize("NFKC", line))


def fold(text: str) -> str:
    """For comparing: small letters without accents; "ß" is "ss"."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _ACCENTS.sub("", parts))


def is_blank(line: str) -> bool:
    """Whether nothing is said in a line: blanks, a row of stars, a picture."""
    return not _PICTURE.sub("", _begin(line)).strip(DECORATION + " ")


def typed_lines(text: str, is_command: Callable[[str], bool]) -> list[str]:
    """The lines above the first mark, as they came; banners and blank lines at the top are skipped.

    Args:
        text: a body.
        is_command: whether a line is a command, and so never a part of a banner.
    """
    lines = text[:LONGEST_TEXT].splitlines()[:MOST_LINES]
    start = _behind_blanks(lines, behind_banners(lines, is_command))
    for index in range(start, len(lines)):
        if mark_at(lines, index):
            return lines[start:index]
    return lines[start:]


def own_lines(text: str) -> list[str]:
    """The lines that may be the person's, also those between quoted ones, which are left empty."""
    lines = text[:LONGEST_TEXT].splitlines()[:MOST_LINES]
    own = []
    for index, line in enumerate(lines):
        mark = mark_at(lines, index)
        if mark and mark[0] in (Mark.ORIGINAL, Mark.SIGNATURE):
            break
        own.append("" if mark else line)
    return own


def behind_banners(lines: list[str], is_command: Callable[[str], bool]) -> int:
    """Where the text begins: behind at most three banners."""
    begin = 0
    for _ in range(_MOST_BANNERS):
        index = _behind_blanks(lines, begin)
        if index == len(lines) or is_command(lines[index]) or not _is_banner(lines[index]):
            break
        begin = _behind_banner(lines, index, is_command)
    return begin


def mark_at(lines: list[str], index: int) -> tuple[Mark, int] | None:
    """The mark that begins in a line, and how many lines it takes."""
    line = _begin(lines[index])
    if not line:
        return None
    if line.startswith(">"):
        return Mark.QUOTED, 1
    folded = fold(line)
    if _is_signature(line, folded):
        return Mark.SIGNATURE, 1
    if _is_original(folded) or _is_header(lines, index):
        return Mark.ORIGINAL, 1
    count = _attribution(lines, index, folded)
    return (Mark.ATTRIBUTION, count) if count else None


def is_quoted_at(lines: list[str], index: int) -> bool:
    """Whether the next line that is not blank begins with ">"."""
    index = _behind_blanks(lines, index)
    return index < len(lines) and plain(lines[index][:8]).startswith(">")


def _begin(line: str) -> str:
    # Cut twice: one character may be eighteen in plain letters (U+FDFA).
    return plain(line[:_LONGEST_MARK])[:_LONGEST_MARK]


# ---------------------------------------------------------------- signatures

_APPS = (
    "mail|outlook|yahoo|proton|aol|gmail|gmx|web\\.de|samsung|bluemail|spark|superhuman|android|iphone"
    "|ipad|blackberry|huawei|xiaomi|thunderbird|nine|fairemail|k-9|tuta|zoho|t-online|qq"
)
_PHONE = re.compile(
    rf"sent (?:from|with|via|using) (?:my [^.,:;!?]{{1,40}}|(?:the )?(?:{_APPS})\b.{{0,50}})"
    r"|get (?:outlook|bluemail) for .{1,20}"
    r"|von meine[mr] .{1,40} gesendet"
    rf"|gesendet (?:von|mit|uber) (?:meine[mr] .{{1,40}}|(?:der )?(?:{_APPS})\b.{{0,50}})"
    r"|outlook fur .{1,20}|holen sie sich outlook.{0,20}"
    rf"|enviado (?:desde|con) (?:mi .{{1,40}}|(?:el )?(?:{_APPS})\b.{{0,50}})"
    r"|(?:obtener|obtenga|descargar) outlook.{0,20}"
    rf"|envoye (?:de|depuis|avec|a partir de) (?:mon .{{1,40}}|(?:{_APPS})\b.{{0,50}})"
    r"|telechargez? outlook.{0,20}"
    rf"|(?:发自|发送自|来自|來自).{{0,10}}(?:我的|手机|手機|邮箱|{_APPS}).{{0,20}}"
    r"|[从從].{1,20}(?:发送|發送|傳送|发出)"
    r"|(?:获取|下载|取得) ?outlook.{0,20}"
)
_LINK = re.compile(r"<https?:[^<>\s]*>|\(https?:[^()\s]*\)|[\[\]]")  # behind a program's name
_OUR_FOOT = re.compile(r"sent by .{1,40}, the mail service of this lab\b")
_LEGAL_BEGIN = (
    "this e-mail", "this email", "this mail", "this message", "this communication",
    "the information contained in this", "the information in this", "the contents of this",
    "confidentiality", "confidential", "disclaimer", "diese e-mail", "diese mail",
    "diese nachricht", "der inhalt dieser", "vertraulich", "este correo", "este mensaje",
    "este e-mail", "la informacion contenida", "aviso legal", "aviso de confidencialidad",
    "ce message", "ce courriel", "cet e-mail", "本邮件", "此邮件", "本电子邮件", "本郵件",
)  # fmt: skip
_LEGAL = ("confiden", "vertraulich", "privileg", "intended", "destinatari", "机密", "保密", "機密")


def _is_signature(line: str, folded: str) -> bool:
    if line in ("--", "—"):  # iOS makes one long dash of two
        return True
    if folded.startswith(_LEGAL_BEGIN) and any(word in folded for word in _LEGAL):
        return True
    folded = _LINK.sub("", folded).rstrip(".!。 ")
    return len(folded) <= 100 and bool(_PHONE.fullmatch(folded) or _OUR_FOOT.match(folded))


# ---------------------------------------------------------------- heads of other mails

_ORIGINALS = (
    "original message", "original appointment", "forwarded message", "begin forwarded message",
    "replied message", "ursprungliche nachricht", "urspruengliche nachricht", "originalnachricht",
    "original-nachricht", "weitergeleitete nachricht", "anfang der weitergeleiteten nachricht",
    "anfang der weitergeleiteten e-mail", "mensaje original", "mensaje reenviado",
    "inicio del mensaje reenviado", "message d'origine", "message d’origine", "message transfere",
    "message original", "debut du message reexpedie", "debut du message transfere",
    "原始邮件", "原始郵件", "原邮件", "回复的原邮件", "转发", "转发邮件", "转发的邮件", "转发邮件信息",
    "开始转发的邮件", "轉寄的郵件", "轉寄郵件",
)  # fmt: skip
_FROM = {"from", "von", "de", "发件人", "寄件者", "寄件人", "發件人", "da", "van"}
_SENT = {
    "sent", "date", "gesendet", "datum", "enviado", "enviado el", "fecha", "envoye", "发送时间",
    "发送日期", "日期", "时间", "寄件日期", "傳送時間",
}  # fmt: skip
_LABELS = {
    *_FROM, *_SENT, "to", "cc", "subject", "reply-to", "an", "kopie", "betreff", "para", "asunto",
    "a", "objet", "收件人", "抄送", "主题", "收件者", "主旨", "主題",
}  # fmt: skip
_MORE_LABELS = tuple(f" {label}:" for label in (*_SENT, "to", "an", "para", "收件人"))


def _is_original(folded: str) -> bool:
    # Outlook's line above the head of a mail that is answered.
    if len(folded) >= 5 and not folded.strip("_"):
        return True
    core = folded.strip(" -–—_*=:~<>")
    if core in _ORIGINALS:
        return True
    return folded.startswith("--") and core.startswith(_ORIGINALS)


def _is_header(lines: list[str], index: int) -> bool:
    """The first line of "From: ..., Sent: ..., To: ...", with another such line close below."""
    label = _label(lines[index])
    if label not in _FROM and label not in _SENT:
        return False
    if label in _FROM:
        rest = fold(_begin(lines[index]))
        if sum(other in rest for other in _MORE_LABELS) > 1:  # all of it on one line
            return True
    near = {_label(line) for line in lines[index + 1 : index + 5]} - {label, ""}
    return bool(near & _LABELS if label in _FROM else near & _FROM)


def _label(line: str) -> str:
    line = line[:40]
    if ":" not in line and "：" not in line:
        return ""
    label, _, _ = plain(line).partition(":")
    return fold(label.strip("*_ "))


# ---------------------------------------------------------------- who wrote what follows

_BEGINS = (
    "on ", "at ", "am ", "vom ", "el ", "le ", "il ", "em ", "op ", "den ", "在", "于", "於",
)  # fmt: skip
_WROTE = (
    "wrote", "schrieb", "escribio", "ecrit", "写道", "寫道", "ha scritto", "escreveu", "schreef",
    "skrev",
)  # fmt: skip
_DATE_AND_ADDRESS = re.compile(r"\d{4}[-/.年].{1,60}<[^<>]+@[^<>]+>:?")


def _attribution(lines: list[str], index: int, folded: str) -> int:
    """How many lines, up to three, say who wrote what follows; 0 for none."""
    begins = folded.startswith(_BEGINS)
    if _DATE_AND_ADDRESS.fullmatch(folded):
        return 1
    if not begins and "@" not in folded and sum(letter.isdigit() for letter in folded) < 6:
        return 0
    said = folded
    for count in range(1, 4):
        if said.endswith(":") and any(word in said[-200:] for word in _WROTE):
            dated = "@" in said or any(letter.isdigit() for letter in said)
            return count if dated or is_quoted_at(lines, index + count) else 0
        following = index + count
        if following == len(lines) or len(said) > _LONGEST_MARK:
            return 0
        more = fold(_begin(lines[following]))
        if not more or more.startswith(">"):
            return 0
        said = f"{said} {more}"
    return 0


# ---------------------------------------------------------------- banners

_TAG = re.compile(
    r"(?:this is an )?(?:external|extern|externe|externo|externa|ext)"
    r"(?: (?:e-?mail|mail|message|sender|nachricht))?|externer absender|外部邮件|外部郵件|外部发件人"
)
_WARNINGS = re.compile(
    r"(?:originated?|sent|came|comes|received|is) (?:from )?(?:\w+ )?outside (?:of )?"
    r"(?:the|your|our|this) (?:\w+ )?(?:organi[sz]ation|company|network|practice)"
    r"|from an external (?:sender|source|address)|external (?:e-?mail|sender)[:.!]"
    r"|(?:caution|warning|attention|achtung|vorsicht|hinweis|warnung|precaucion|atencion|aviso)"
    r"[:! -]+ ?(?:\w+ ){0,3}(?:external|externe[rsn]?) "
    r"(?:e-?mail|mail|message|sender|nachricht|absender)"
    r"|correo (?:electronico )?externo|remitente externo"
    r"|(?:au(?:ss|ß)erhalb) (?:der|ihrer|unserer) (?:organisation|firma)"
    r"|fuera de (?:la|su|nuestra) (?:organizacion|empresa)"
    r"|don['’]t often get e-?mail from|learn why this is important"
    r"|nicht (?:oft|haufig) e-?mails? von|no suele recibir correo|外部邮件|来自外部|组织外部|不经常收到"
)


def _is_banner(line: str) -> bool:
    folded = fold(_begin(line))
    return bool(_TAG.fullmatch(folded.strip(DECORATION + " #=<>|⚠️")) or _WARNINGS.search(folded))


def _behind_banner(lines: list[str], index: int, is_command: Callable[[str], bool]) -> int:
    folded = fold(_begin(lines[index]))
    alone = _TAG.fullmatch(folded.strip(DECORATION + " #=<>|⚠️"))  # says nothing about the next line
    for following in range(index + 1, min(len(lines), index + _LONGEST_BANNER)):
        line = lines[following]
        if alone or not line.strip() or is_command(line) or mark_at(lines, following):
            return following
    return min(len(lines), index + _LONGEST_BANNER)


def _behind_blanks(lines: list[str], index: int) -> int:
    # "--" is no decoration but the line above a signature.
    while index < len(lines) and is_blank(lines[index]) and not mark_at(lines, index):
        index += 1
    return index
