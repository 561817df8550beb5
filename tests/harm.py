"""What can happen to a file of a lake without the pipeline: it is lost, cut, zeroed, overwritten or another one's."""

import random
from pathlib import Path

# those that leave the size as it is stand last
WAYS = ("lost", "cut", "other", "zeros", "middle", "bit")


def harmed(content: bytes, how: str, draw: random.Random, other: bytes = b"") -> bytes | None:
    """What is left of a content; `other` is that of another file."""
    third = len(content) // 3
    if how == "lost":
        return None
    if how == "cut":
        return content[:third]
    if how == "other":
        return other
    if how == "zeros":
        return bytes(len(content))
    if how == "middle":
        return content[:third] + draw.randbytes(third) + content[2 * third :]
    changed = bytearray(content or b"\0")
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


class Harm:
    """The harm that was done to the files of a lake and that is still there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left: dict[str, bytes | None] = {}

    def do(self, name: str, how: str, draw: random.Random, other: str = "") -> None:
        path = self.root / name
        content = path.read_bytes()
        changed = harmed(content, how, draw, (self.root / other).read_bytes() if other else b"")
        if changed is None:
            path.unlink()
        elif changed != content:
            path.write_bytes(changed)
        if changed != content:
            self.left[name] = changed

    def still(self) -> dict[str, bytes | None]:
        """The harm that no run has mended, by the name of the file."""
        self.left = {name: content for name, content in self.left.items() if self._content(name) == content}
        return self.left

    def _content(self, name: str) -> bytes | None:
        path = self.root / name
        return path.read_bytes() if path.exists() else None
