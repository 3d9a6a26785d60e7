"""Envelope keys: each case and each spooled mail has its own key, wrapped by the master key.

Deleting the wrapped key shreds everything that was sealed with it, copies in backups included.
AES key wrap: RFC 3394.
"""

import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from store.blobs.folder import sync_folder
from store.errors import ScanpostError, SettingsError
from store.tokens import MasterPurpose, derive_from_master

KEY = 32
WRAPPED = 40
_NONCE = 12


class Keys:
    def __init__(self, master: bytes) -> None:
        self.master = master

    @classmethod
    def load(cls, path: Path) -> "Keys":
        """Reads the master key; makes it if the file does not exist.

        Raises:
            SettingsError: the file does not hold 32 bytes in hexadecimal.
        """
        if not path.exists():
            _make(path)
        try:
            master = bytes.fromhex(path.read_text().strip())
        except ValueError:
            master = b""
        if len(master) != KEY:
            raise SettingsError(f"{path} does not hold a master key: 64 hexadecimal digits.")
        return cls(master)

    def new(self) -> tuple[bytes, bytes]:
        """A fresh key, and the same key wrapped."""
        key = os.urandom(KEY)
        return key, aes_key_wrap(self.master, key)

    def token(self, purpose: MasterPurpose, row_id: str) -> str:
        """The token of a row that belongs to no case; the database holds only its hash."""
        return derive_from_master(self.master, purpose, row_id)

    def seal(self, secret: bytes, whose: str) -> bytes:
        """Seals a few bytes so that only their owner's row opens them again (AES-GCM)."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._sealing_key()).encrypt(nonce, secret, whose.encode())

    def unseal(self, sealed: bytes, whose: str) -> bytes:
        try:
            return AESGCM(self._sealing_key()).decrypt(
                sealed[:_NONCE], sealed[_NONCE:], whose.encode()
            )
        except InvalidTag:
            raise ScanpostError("A stored secret belongs to another master key.") from None

    def fingerprint(self, purpose: str, secret: str) -> str:
        """A keyed hash: whoever has only the database cannot try out short secrets."""
        return hmac.digest(self.master, f"hash|{purpose}|{secret}".encode(), "sha256").hex()

    def _sealing_key(self) -> bytes:
        return hmac.digest(self.master, b"sealing key for secrets in rows", "sha256")

    def unwrap(self, wrapped: bytes) -> bytes:
        try:
            return aes_key_unwrap(self.master, wrapped)
        except InvalidUnwrap:
            raise ScanpostError("A stored key belongs to another master key.") from None


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fd = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o400)
    try:
        os.write(fd, os.urandom(KEY).hex().encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    try:
        os.link(unfinished, path)  # never in the place of a key that another process made just now
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
    sync_folder(path.parent)
