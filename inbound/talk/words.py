"""The verbs of the commands, in four languages, and how near a word is to one of them.

A word is a verb only when it is spelled like one; capitals and accents do not matter, and "ä" may be
"ae". What is nearly one (bent, misspelled, corrected by a telephone) is only ever asked back.
"""

import functools
import re
from collections.abc import Collection, Mapping

from inbound.mail.quotes import fold


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VERBS: Mapping[str, tuple[str, ...]] = {
    "STATUS": ("ESTADO", "状态", "狀態"),
    "LIST": ("LISTA", "LISTAR", "LISTE", "列表", "清单", "清單"),
    "EXTEND": ("AMPLIAR", "EXTENDER", "PRORROGAR", "VERLÄNGERN", "延长", "延長"),
    "RESEND": ("REENVIAR", "ERNEUT", "重发", "重發"),
    "REVOKE": ("REVOCAR", "WIDERRUFEN", "撤销", "撤銷"),
    "DELETE": ("BORRAR", "ELIMINAR", "LÖSCHEN", "删除", "刪除"),
    "HELP": ("AYUDA", "HILFE", "帮助", "幫助"),
    "APPROVE": ("APROBAR", "FREIGEBEN", "GENEHMIGEN", "批准", "核准"),
    "CHANGES": ("CAMBIOS", "ÄNDERUNGEN", "修改"),
    "STOP": ("UNSUBSCRIBE", "PARAR", "STOPP", "ABBESTELLEN", "停止", "退订", "退訂"),
    "COMMENT": ("COMENTARIO", "COMENTAR", "KOMMENTAR", "留言", "评论", "評論"),
    "ADD": ("AÑADIR", "AGREGAR", "HINZUFÜGEN", "添加"),
    "EXPORT": ("EXPORTAR", "EXPORTIEREN", "导出", "匯出"),
    "CLOSE": ("CERRAR", "SCHLIESSEN", "ABSCHLIESSEN", "关闭", "關閉"),
    "2FA": ("ZWEIFAKTOR", "两步验证", "兩步驗證"),
    "ADDRESS": ("DIRECCIÓN", "ADRESSE", "地址"),
    "CODE": ("CÓDIGO", "验证码", "驗證碼"),
    "ACCESS": ("ACCESO", "ZUGANG", "访问", "訪問"),
    "PASSWORD": ("CONTRASEÑA", "PASSWORT", "KENNWORT", "密码", "密碼"),
    "NOTIFY": ("NOTIFICAR", "AVISAR", "BENACHRICHTIGEN", "通知"),
    "DOWNLOADS": ("DESCARGAS", "HERUNTERLADEN", "下载", "下載"),
    "UPLOAD": ("SUBIR", "HOCHLADEN", "上传", "上傳"),
}
# Bent words and what telephones make of a verb, where they are too far from it to be misspelled.
_MEANT: Mapping[str, tuple[str, ...]] = {
    "LIST": ("LISTS", "LISTED", "LISTING"),
    "EXTEND": ("EXTENDED", "EXTENDING", "EXTENSION", "VERLÄNGERT", "VERLÄNGERUNG", "AMPLÍA"),
    "RESEND": ("RESENDING", "RESENT", "REENVÍA", "REENVÍE"),
    "REVOKE": ("REVOKING", "REVOLVE", "REVOLVED", "REVOCATION", "WIDERRUF", "REVOCA", "REVOQUE"),
    "DELETE": ("DELETED", "DELETING", "DELETION", "DETELE", "LÖSCHE", "GELÖSCHT", "LÖSCHUNG",
               "BORRA", "BORRE", "BORRADO", "ELIMINE"),
    "HELP": ("HELPED", "HELPS"),
    "APPROVE": ("APPROVED", "APPROVES", "APPROVING", "APPROVAL", "APPROBATE", "FREIGABE",
                "GENEHMIGT", "GENEHMIGUNG", "APRUEBO", "APROBADA", "APROBACIÓN"),
    "CHANGES": ("CHANGE", "CHANGED", "CHANGING", "CAMBIO", "CAMBIAR", "ÄNDERUNG", "ÄNDERN"),
    "STOP": ("STOPPED", "STOPPING", "STOPS", "STOPPEN"),
    "COMMENT": ("COMMENTS", "COMENTARIOS", "KOMMENTARE"),
    "ADD": ("ADDED", "ADDING", "ADDS", "AÑADE", "AGREGA"),
    "EXPORT": ("EXPORTED", "EXPORTING"),
    "CLOSE": ("CLOSED", "CLOSING", "GESCHLOSSEN", "CERRADO"),
    "ADDRESS": ("ADDRESSES",),
    "CODE": ("CODES",),
    "NOTIFY": ("NOTIFIED", "NOTIFYING", "NOTIFICATION", "NOTIFICATIONS"),
    "DOWNLOADS": ("DOWNLOAD",),
    "UPLOAD": ("UPLOADS", "UPLOADING"),
}  # fmt: skip
# A sentence of a letter may hold a verb by chance, the longer the more likely. Up to 60 characters any
# word counts: these are written like commands, and to ask back costs one letter. Up to 200 only the
# first three ("please revoke ..."), beyond that only the first: it is prose.
_SHORT, _LONG, _AMONG = 60, 200, 3
# Everyday words between a lab and a dentist: beyond 60 characters they count only as the first.
_EVERYDAY = frozenset(
    {"LIST", "ADD", "CLOSE", "STOP", "CHANGES", "CODE", "HELP", "COMMENT", "UPLOAD"}
)
# Verbs here and ordinary words of another language ("está lista", "noch mal erneut"): they count only
# as the first, in lines of any length.
_FIRST_ONLY = frozenset(
    {"lista", "liste", "erneut", "parar", "estado"}
    # Of a crown that is screwed on, "access" is a hole; files are downloaded and people told every day.
    | {"access", "acceso", "zugang", "download", "downloads", "descargas", "herunterladen"}
    | {"notify", "notified", "notificar", "avisar", "benachrichtigen"}
)
# Words in their own right that look like a misspelled verb: they count only when they stand alone.
_OTHERS = _words(
    "last lost least step steps shop stops held hell heap helm core mode node cone lose chose clone"
    " expert sports improve improved content commend charge charges chances chance para recent"
    " resin extent intend attend parte pasar report present excess assess process accessed download downloaded"
)
# What makes an approval none ("approve if 14 is fixed"), and how a sentence goes on that begins like a
# wish for changes ("changes look good").
_BUT = _words(
    "if only unless once when after until except but not no dont don't never wait wenn falls sobald aber nur"
    " nicht kein keine keinen erst außer bis si cuando pero salvo excepto hasta todavía nunca solo"
    " sólo"
)
# What somebody wishes who approves: below the line, where signatures stand too.
_WISH = _words(
    "please first before then redo correct fix change changes shorten bitte zuerst vorher danach noch ändern"
    " änderung favor primero antes luego cambiar cambio cambios corregir"
)
_WISH_CHINESE = re.compile("请|再|改|先")
# What may stand behind an approval without a colon: it adds nothing to it.
_PRAISE = _words(
    "thanks thank thx you so very much many nice great good perfect excellent fine ok okay yes well done"
    " work job looks look it this is are all super lovely beautiful love best regards now to me from my"
    " side danke vielen dank"
    " sehr gut prima toll passt alles schön bestens ja perfekt jetzt grüße mfg gracias muchas perfecto"
    " excelente bien muy todo está sí ahora saludos"
)
_THANKS = _words("thanks thank thx danke dank gracias")
_PRAISE_CHINESE = re.compile(
    "谢谢|謝謝|感谢|很好|非常好|非常|可以|好的|好|没问题|完美|了|的|，|。|！"
)
_NAMES = 2  # words behind a thank-you: "thanks Anna"
_LONGEST_GREETING = 60
_GREETING = re.compile(
    r"\s*(?:(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|hallo|liebe[rs]?|moin|servus"
    r"|guten (?:tag|morgen|abend)|sehr geehrte[rs]?|hola|buen[oa]s|estimad[oa]s?|querid[oa]s?)\b"
    r"|您好|你好|尊敬的)",
    re.IGNORECASE,
)
_BUT_CHINESE = re.compile("如果|若|只|除非|但|不|未|没|吗|等")
_SENTENCE = _words(
    "look looks are is was were seem seems have has had will would can could should done made accepted"
    " good fine ok okay perfect not no none sind ist waren sehen haben hat wurden gut keine nicht"
    " son están fueron hechos ninguno ninguna"
)
_ON = {"ON": ("EIN", "AN", "ACTIVAR", "开启", "開啟", "开"),
       "OFF": ("AUS", "DESACTIVAR", "关闭", "關閉", "关")}  # fmt: skip
# What stands behind the verbs that take one of a few words.
_CHOICES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "2FA": _ON,
    "NOTIFY": _ON,
    "DOWNLOADS": _ON,
    "ACCESS": {
        "LINK": ("ENLACE", "链接", "連結"),
        "BOUND": ("VINCULADO", "GEBUNDEN", "绑定", "綁定"),
        "CODE": ("CÓDIGO", "验证码", "驗證碼"),
    },
}
# How a sentence goes on that begins with "password": without a colon these are no password.
_OF_PASSWORD = _words(
    "is was for the this that to of on please and or not no has needs protect protected protection required"
    " would should can could do does will ist für der die das bitte und oder nicht kein soll kann wird"
    " es para la el por favor de y o no se debe"
)


def verb_of(word: str) -> str | None:
    """The verb that a word is, in English capitals."""
    return _VERB_OF.get(fold(word)) if len(word) <= 30 else None


def choice_of(verb: str, word: str) -> str | None:
    """Which of the words that a verb takes this is, in English capitals."""
    return _CHOICE_OF.get((verb, fold(word))) if len(word) <= 30 else None


def is_hedged(verb: str, text: str) -> bool:
    """Whether the text behind a verb may take it back, or makes a sentence of it."""
    words = _words_in(text)
    if verb == "APPROVE":
        return bool(_BUT.intersection(words) or _BUT_CHINESE.search(text))
    if verb == "PASSWORD":
        return bool(_OF_PASSWORD.intersection(words[:1]))
    return verb == "CHANGES" and bool(_SENTENCE.intersection(words[:1]))


def is_greeting(line: str) -> bool:
    return len(line) <= _LONGEST_GREETING and _GREETING.match(line) is not None


def is_mere_praise(text: str) -> bool:
    """Whether words behind APPROVE add nothing to it; anything else may be a condition."""
    words = _words_in(_PRAISE_CHINESE.sub(" ", text))
    other = [word for word in words if word not in _PRAISE]
    return not other or (len(other) <= _NAMES and bool(_THANKS.intersection(words)))


def is_wish(text: str) -> bool:
    """Whether words below an approval ask for something first."""
    return bool(_WISH.intersection(_words_in(text)) or _WISH_CHINESE.search(text))


def _words_in(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def chinese_verb(line: str) -> tuple[str, str] | None:
    """The verb that a line begins with, no blank behind it, and the word as it was written."""
    found = [word for word in _CHINESE if line.startswith(word)]
    word = max(found, key=len, default="")
    return (_VERB_OF[word], word) if word else None


def meant_in(words: list[str], verbs: Collection[str], length: int) -> tuple[str, int] | None:
    """The verb that one of the words may have been meant as, and the place of that word.

    Args:
        words: of a line, without punctuation.
        verbs: which may be meant.
        length: of the line.
    """
    reach = len(words) if length <= _SHORT else _AMONG if length <= _LONG else 1
    for near in (_spelled, _misspelled):
        for place, word in enumerate(words[:reach]):
            verb = near(fold(word), place == 0, len(words) == 1)
            by_chance = place > 0 and length > _SHORT and verb in _EVERYDAY
            if verb in verbs and not by_chance:
                return verb, place
    return None


def chinese_in(line: str, verbs: Collection[str]) -> str | None:
    """The first verb in a line that is written without blanks; in a long one only at its begin."""
    found = [
        (place, verb)
        for word, verb in _CHINESE.items()
        if verb in verbs and (place := line.find(word)) >= 0 and (place == 0 or len(line) <= _SHORT)
    ]
    return min(found)[1] if found else None


def _spelled(word: str, first: bool, _alone: bool) -> str:
    if word in _FIRST_ONLY and not first:
        return ""
    return _VERB_OF.get(word) or _MEANT_AS.get(word, "")


@functools.lru_cache(4096)
def _misspelled(word: str, first: bool, alone: bool) -> str:
    if len(word) > 20 or word in _VERB_OF or (word in _OTHERS and not alone):
        return ""
    letters, found = frozenset(word), []
    for verb, spelled, its_letters in _SPELLINGS:
        shorter = min(len(word), len(spelled))
        # Four letters are one slip away from too many words to be looked for within a sentence.
        if shorter < 4 or (shorter == 4 and not first):
            continue
        slips = 1 if shorter < 7 else 2
        if abs(len(word) - len(spelled)) > slips or len(letters ^ its_letters) > 2 * slips:
            continue
        if (apart := distance(word, spelled)) <= slips:
            found.append((apart, verb))
    return min(found)[1] if found else ""


def distance(one: str, other: str) -> int:
    """Slips between two words (Damerau and Levenshtein): a letter too many, missing, wrong, swapped."""
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, its in enumerate(other, 1):
            cost = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != its))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == its:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        before, above = above, current
    return above[-1]


def _spellings(word: str) -> set[str]:
    """A word as it is written without its accents: "LOESCHEN" and "LOSCHEN" for "LÖSCHEN"."""
    spelled_out = fold(word.lower().translate({0xE4: "ae", 0xF6: "oe", 0xFC: "ue"}))
    return {fold(word), spelled_out}


_VERB_OF = {
    spelling: verb
    for verb, words in VERBS.items()
    for word in (verb, *words)
    for spelling in _spellings(word)
}
_MEANT_AS = {
    spelling: verb
    for verb, words in _MEANT.items()
    for word in words
    for spelling in _spellings(word)
}
_CHOICE_OF = {
    (verb, spelling): meant
    for verb, choices in _CHOICES.items()
    for meant, words in choices.items()
    for word in (meant, *words)
    for spelling in _spellings(word)
}
_CHINESE = {word: verb for word, verb in _VERB_OF.items() if word > "\u3000"}
_SPELLINGS = [
    (verb, word, frozenset(word)) for word, verb in _VERB_OF.items() if word not in _CHINESE
]
