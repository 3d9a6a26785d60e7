"""What a scan is in its case, told from the name its scanner or its designer gave it.

Names are split at `_ - . ( ) [ ] #`, blanks, digits and camelCase, and compared word by word in English, German,
Spanish and French. Where a name says two things, the more particular wins: `Case-upperjaw-situ` is the situation
before treatment, `crown 30 upper` a design, `prep upper` a preparation; the jaw alone counts last.
A name with both jaws in it tells neither.
An unknown name is no fault: the shape may tell (see `frame`).
"""

import re
import unicodedata
from enum import StrEnum


class Role(StrEnum):
    """What a scan is; the value goes into file names and the database."""

    UPPER = "upper"
    LOWER = "lower"
    BITE = "bite"
    PREP = "prep"
    DESIGN = "design"
    SITU = "situ"
    ANTAGONIST = "antagonist"
    SCANBODY = "scanbody"
    GINGIVA = "gingiva"
    WAXUP = "waxup"
    DIE = "die"
    MODEL = "model"
    SCAN = "scan"  # unknown
    PHOTO = "photo"
    DOCUMENT = "document"
    VOLUME = "volume"

    @property
    def label(self) -> str:
        """The English words for people."""
        return _LABELS[self]


_LABELS = {
    Role.UPPER: "Upper jaw",
    Role.LOWER: "Lower jaw",
    Role.BITE: "Bite",
    Role.PREP: "Preparation",
    Role.DESIGN: "Design",
    Role.SITU: "Before treatment",
    Role.ANTAGONIST: "Antagonist",
    Role.SCANBODY: "Scan body",
    Role.GINGIVA: "Gingiva",
    Role.WAXUP: "Wax-up",
    Role.DIE: "Die",
    Role.MODEL: "Model",
    Role.SCAN: "Scan",
    Role.PHOTO: "Photo",
    Role.DOCUMENT: "Document",
    Role.VOLUME: "X-ray volume",
}

# The more particular first; words joined by a blank stand one after the other in the name.
_WORDS: list[tuple[Role, str]] = [
    (Role.SCANBODY, "scanbody|scanbodies|scan body|scan bodies|scankörper|scankoerper|scan flag"),
    (Role.SCANBODY, "cuerpo escaneo|corps numérisation|scanmarker|scan marker"),
    (Role.WAXUP, "waxup|wax up|wax|mockup|mock up|setup|encerado|cire|aufwachsung"),
    (
        Role.DESIGN,
        "design|cad|crown|crowns|bridge|veneer|veneers|inlay|onlay|abutment|pontic|coping",
    ),
    (Role.DESIGN, "krone|kronen|brücke|bruecke|corona|coronas|puente|carilla|diseño|couronne"),
    (Role.DESIGN, "couronnes|pont|facette|denture|restoration|splint|nightguard|schiene|férula"),
    (Role.DESIGN, "gouttière|konstruktion|conception"),
    (
        Role.SITU,
        "situ|situation|preop|pre op|preprep|pre prep|pretreatment|pre treatment|preparation before",
    ),
    (Role.SITU, "präop|praeop|preoperatorio|préop|initial|avant"),
    (
        Role.GINGIVA,
        "gingiva|gingival|gum|emergence|zahnfleisch|encía|gencive|softtissue|soft tissue",
    ),
    (Role.DIE, "die|dies|stumpf|stümpfe|muñón|muñon|troquel|die model"),
    (Role.PREP, "prep|preps|preparation|prepared|präparation|praeparation|preparación|préparation"),
    (Role.PREP, "tallado"),
    (
        Role.BITE,
        "bite|occlusion bite|buccal|bukkal|vestibular bite|biss|bissnahme|bissregistrat|mordida",
    ),
    (Role.BITE, "mordu|registro|registration|oclusión|buccalbite|bitescan|centric"),
    (
        Role.ANTAGONIST,
        "antagonist|antagonists|antagonista|antagoniste|opposing|opposite|opp|gegenkiefer",
    ),
    (Role.ANTAGONIST, "gegenbezahnung|antag"),
    (
        Role.UPPER,
        "upper|upperjaw|upperjawscan|upperarch|maxilla|maxillary|maxillar|maxilar|maxillaire",
    ),
    (Role.UPPER, "oberkiefer|superior|supérieur|supérieure"),
    (Role.LOWER, "lower|lowerjaw|lowerjawscan|lowerarch|mandible|mandibular|mandíbula|unterkiefer"),
    (Role.LOWER, "inferior|inférieur|inférieure|mandibule|mandibulaire"),
    (Role.MODEL, "model|models|modell|modelo|modèle|cast|base|sockel"),
]
# Short forms count only where no whole word does; "max" is left out, for it is also a first name.
_SHORT = [(Role.UPPER, "ok|sup|oben|ober|mx"), (Role.LOWER, "uk|inf|unten|unter|mand|md")]
_SEPARATORS = re.compile(r"[\s_\-.,()\[\]{}#+&]+")
_CAMEL = re.compile(r"(?<=[a-zà-öø-ÿ])(?=[A-ZÀ-ÖØ-Þ])|(?<=[A-Z])(?=[A-Z][a-z]{2})")
_DIGITS = re.compile(r"(?<=[^\W\d])(?=\d)|(?<=\d)(?=[^\W\d])")
_LONGEST = 255


def role_from_name(name: str) -> Role | None:
    """The role that a file's name (with or without folders and ending) tells, or None.

    The file's own name counts; only when it says nothing does its folder.
    """
    folders = [part for part in re.split(r"[/\\]", name[-4 * _LONGEST :]) if part]
    for part in reversed(folders):
        stem = (
            re.sub(r"\.[A-Za-z0-9]{1,14}$", "", part[-_LONGEST:]) if part is folders[-1] else part
        )
        role = _role_of_words(_words(stem))
        if role:
            return role
    return None


def _words(stem: str) -> list[str]:
    """Lower-case words without accents; `Prep2UpperJaw` has four of them."""
    spaced = _CAMEL.sub(" ", _DIGITS.sub(" ", unicodedata.normalize("NFC", stem)))
    return [_plain(word) for word in _SEPARATORS.split(spaced) if word]


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _role_of_words(words: list[str]) -> Role | None:
    padded = f" {' '.join(words)} "
    for phrases in (_PHRASES, _SHORT_PHRASES):
        said = list(dict.fromkeys(role for phrase, role in phrases if phrase in padded))
        if said[:2] == [Role.UPPER, Role.LOWER]:
            return None
        if said:
            return said[0]
    # iTero ends its names in _u and _l; anywhere else a single letter is an initial.
    return {"u": Role.UPPER, "l": Role.LOWER}.get(words[-1] if len(words) > 1 else "")


def _phrases(rows: list[tuple[Role, str]]) -> list[tuple[str, Role]]:
    return [(f" {_plain(phrase)} ", role) for role, row in rows for phrase in row.split("|")]


_PHRASES, _SHORT_PHRASES = _phrases(_WORDS), _phrases(_SHORT)
