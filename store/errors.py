"""Every error that scanpost raises on purpose.

ScanpostError                 a sentence that may be shown to the person concerned
├── SettingsError             a setting is missing or cannot be used
├── Refusal                   what was asked for cannot be done; the asker is told why
│   ├── MailRefused           the mail cannot be taken (SMTP 5xx with an enhanced code)
│   ├── ScanRefused           one file cannot be used as a scan; its neighbours can
│   ├── CommandRefused        a command was understood and may not be carried out
│   └── LetterRefused         the relay will never take this letter (SMTP 5xx)
├── Gone                      it was here once and has ended (HTTP 410)
├── NotFound                  it was never here (HTTP 404)
└── TryAgain                  nothing is wrong with the request; a later attempt may succeed
    ├── ChildLost             a mesh child ended without a result, and not by its own limits
    ├── Unreachable           the object store does not answer; work waits in its row until it does
    ├── RelayBusy             the relay asked for another attempt (SMTP 4xx, no connection)
    └── Stopping              the process is shutting down; the work resumes at the next start

A message says what happened, to what, and what to do now.
"""


class ScanpostError(Exception):
    """The root: `str(error)` is one or more whole sentences for a person.

    Attributes:
        sentence: the same with {named} places, as catalogues of translations know it.
        values: what stands in these places.
    """

    def __init__(self, sentence: str = "", **values: object) -> None:
        super().__init__(sentence.format(**values) if values else sentence)
        self.sentence = sentence
        self.values = values


class SettingsError(ScanpostError):
    pass


class Refusal(ScanpostError):
    pass


class MailRefused(Refusal):
    """A mail that is refused inside the SMTP dialogue.

    Attributes:
        code: the SMTP reply code, e.g. 552.
        enhanced: the enhanced status code of RFC 3463, e.g. "5.3.4".
        answerable: whether the envelope's sender is known to have sent it, so that a mail server in
            front of us, which can only bounce, hits nobody else.
    """

    def __init__(
        self, code: int, enhanced: str, sentence: str, *, answerable: bool = False
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.enhanced = enhanced
        self.answerable = answerable

    @property
    def reply(self) -> str:
        """The whole SMTP reply line, ASCII and without line ends (RFC 5321 4.2)."""
        sentence = str(self).encode("ascii", "replace").decode("ascii")
        return f"{self.code} {self.enhanced} {' '.join(sentence.split())}"[:480]


class ScanRefused(Refusal):
    pass


class CommandRefused(Refusal):
    pass


class LetterRefused(Refusal):
    pass


class Gone(ScanpostError):
    pass


class NotFound(ScanpostError):
    pass


class TryAgain(ScanpostError):
    pass


class ChildLost(TryAgain):
    pass


class Unreachable(TryAgain):
    pass


class RelayBusy(TryAgain):
    pass


class Stopping(TryAgain):
    pass
