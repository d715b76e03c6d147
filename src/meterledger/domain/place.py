"""A place: how far a file that grows was taken, and what tells that file from any other."""

from dataclasses import dataclass

FINGERPRINT_BYTES = 4096
"""How much of a file each of its fingerprints covers, once as much was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where reading goes on in one file."""

    device: str
    inode: str
    """Text, as its numbers may have more bits than a database has for an integer."""
    bytes_taken: int = 0
    lines_taken: int = 0
    header: str | None = None
    """The header of CSV and TSV, without its line end; None before it was taken, and for JSONL."""
    fingerprint: str
    """SHA-256 of the first ``fingerprint_bytes`` of the file."""
    tail_fingerprint: str | None = None
    """SHA-256 of the last ``fingerprint_bytes`` before the place; None before a row was taken."""

    @property
    def fingerprint_bytes(self) -> int:
        """How much each fingerprint covers: what was taken, and no more than a little."""
        return min(FINGERPRINT_BYTES, self.bytes_taken)

    def is_in(self, device: str, inode: str) -> bool:
        """Tell whether a file of these numbers may be the one; its fingerprints decide."""
        return (self.device, self.inode) == (device, inode)
