"""The pages of the documentation, and what a test reads out of them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_MARKED_BLOCK = re.compile(
    r"^<!-- (run|run: exit \d+|append: \S+|simulator) -->\n```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block with the comment before it, such as ``run`` or ``append: FILE``."""

    marker: str
    text: str

    @property
    def exit_code(self) -> int:
        """With which code the last command ends."""
        return int(self.marker.removeprefix("run: exit ")) if self.marker.startswith("run: exit") else 0

    def commands(self) -> list[tuple[str, list[str]]]:
        """Return each command with the lines of output that are shown below it."""
        found: list[tuple[str, list[str]]] = []
        continues = False
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif continues:
                found[-1] = (f"{found[-1][0]}\n{line}", [])
            else:
                found[-1][1].append(line)
            continues = (continues or line.startswith("$ ")) and line.endswith("\\")
        return found


def all_pages() -> list[Path]:
    """Return every page, the ones of the root folder included."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "sample_data" / "README.md"])


def marked_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page that a comment marks, in order."""
    return [Block(marker=marker, text=text) for marker, text in _MARKED_BLOCK.findall(page.read_text())]


def links(page: Path) -> Iterator[str]:
    """Yield the targets of a page's links to other pages, not those to other hosts."""
    for target in _LINK.findall(_FENCE.sub("", page.read_text())):
        if "://" not in target:
            yield target


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as code hosts make them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """Return the text below a second-level heading, up to the next."""
    _, _, below = page.read_text().partition(f"\n## {heading}\n")
    return below.partition("\n## ")[0]
