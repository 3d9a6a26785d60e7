"""The kinds of files: which are scans, which go with them, and which make a mail a share."""

from inbound.scans.read import READABLE
from inbound.scans.sniff import Format

SCANS = READABLE  # surfaces
PHOTOS = frozenset({Format.JPEG, Format.PNG, Format.WEBP})
BESIDE = frozenset({Format.MTL}) | PHOTOS  # what a surface may be made of, too
PACKED = frozenset({Format.ZIP, Format.TNEF})  # what holds other files
KEPT = SCANS | BESIDE | {Format.PDF, Format.DICOM}
SHAREABLE = SCANS | PACKED | {Format.DICOM}  # what makes a mail a share
SHAREABLE_IF_ADDRESSED = PHOTOS | {Format.PDF}  # only where its subject says to whom
