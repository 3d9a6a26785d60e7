"""What whoever shares scans agrees to, with a version that is stored beside their answer.

A change of the text is a change of the version.
"""

VERSION = "2026-11"
TEXT = (
    "This service is for de-identified cases: no patient's name, number or date of birth may stand in"
    " a subject, a note, a file name or a file.",
    "Scans of teeth and jaws can identify a person all the same; share only what you may share.",
    "Scans are kept sealed, shown to the people you name, and destroyed after 7 days, later if you say"
    " EXTEND, at once if you say DELETE. A picture that was mailed stays in the mailboxes that got it.",
)
