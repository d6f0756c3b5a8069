"""Where a pair stands in a list of pairs, and the relative addresses of the pages around its own."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PairPlace:
    """A pair's place in its list.

    Folders are named by number, never by a photo: any file name may be shown, but not every one can be a folder's.

    Attributes:
        number: its place, from 1.
        count: number of pairs.
    """

    number: int
    count: int

    @property
    def folder(self) -> str:
        """Name of the folder of its page, in the list's folder."""
        return self._folder(self.number)

    @property
    def previous(self) -> str | None:
        """Address of the page of the pair before, seen from its own; None for the first."""
        return f"../{self._folder(self.number - 1)}/index.html" if self.number > 1 else None

    @property
    def next(self) -> str | None:
        """Address of the page of the pair after; None for the last."""
        return f"../{self._folder(self.number + 1)}/index.html" if self.number < self.count else None

    def _folder(self, number: int) -> str:
        return f"{number:0{max(3, len(str(self.count)))}d}"
