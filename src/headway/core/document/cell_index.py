"""Where each cell stands: a mirror of `order`, so that an edit costs the same in any notebook.

Not the document: a cache in front of it, brought up to date from what was touched since it was
last right. `order` holds also the ids of deleted cells, and after merges duplicates and ids
without a cell; `visible` is what a person sees: each existing, undeleted cell once, where its id
comes first.
"""

from __future__ import annotations

from headway.core.document.crdt import Replica
from headway.core.document.schema import CELLS, DELETED, ORDER
from headway.errors import HeadsTooOld, InvalidUpdate
from headway.ids import CellId, Heads

__all__ = ["CellIndex", "IdList"]

_FIRST_WINDOW = 16


class IdList:
    """A list of ids that finds an id fast: it remembers where each was and looks around there."""

    __slots__ = ("_hints", "distinct", "ids")

    def __init__(self, ids: list[CellId]) -> None:
        self.ids = ids
        backwards = zip(reversed(ids), range(len(ids) - 1, -1, -1), strict=True)
        self._hints: dict[CellId, int] = dict(backwards)  # of duplicates, the first
        self.distinct = len(self._hints) == len(ids)

    def __contains__(self, cell_id: CellId) -> bool:
        return cell_id in self._hints

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, cell_id: CellId) -> int:
        """The first position of an id that is in the list."""
        hint = self._hints[cell_id]
        if self.distinct:
            if hint < len(self.ids) and self.ids[hint] == cell_id:
                return hint
            window = _FIRST_WINDOW
            while window < len(self.ids):
                try:
                    found = self.ids.index(cell_id, max(0, hint - window), hint + window)
                except ValueError:
                    window *= 8
                else:
                    self._hints[cell_id] = found
                    return found
        found = self.ids.index(cell_id)
        self._hints[cell_id] = found
        return found

    def insert(self, position: int, cell_id: CellId) -> None:
        """Insert an id that is not in the list."""
        self.ids.insert(position, cell_id)
        self._hints[cell_id] = position

    def move(self, start: int, to: int) -> None:
        """Move an id; it is at `to` afterwards."""
        cell_id = self.ids.pop(start)
        self.ids.insert(to, cell_id)
        self._hints[cell_id] = to

    def remove(self, cell_id: CellId) -> None:
        """Take an id out of a list without duplicates."""
        del self.ids[self.find(cell_id)]
        del self._hints[cell_id]


class CellIndex:
    """The order of one replica's cells. Call `refresh` before anything else, under its lock."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._cells = replica.map(CELLS)
        self._order = replica.order(ORDER)
        self._heads: Heads | None = None
        self._shown: dict[CellId, bool] = {}
        """Of each existing cell in `order`: whether it is not deleted."""
        self._ids = IdList([])
        self._stale = False
        """Whether `order` was written to since it was read: it is read when somebody asks."""
        self._visible: IdList | None = None

    def refresh(self) -> None:
        """Take in whatever happened to the replica since the last call."""
        heads = self._replica.heads()
        if heads == self._heads:
            return
        if self._heads is None or not self._follow(self._heads, heads):
            self._rebuild()
        self._heads = heads

    def follow_own_commit(self) -> None:
        """What was committed just now was told to this index as it was written."""
        self._heads = self._replica.heads()

    # --- asking --------------------------------------------------------------------------------

    def exists(self, cell_id: CellId) -> bool:
        """Whether there is such a cell, deleted or not."""
        return cell_id in self._shown or self._cells.map(cell_id) is not None

    def shows(self, cell_id: CellId) -> bool:
        """Whether there is such a cell and it is not deleted."""
        if self._stale and cell_id not in self._shown:
            self._read_order()
        return self._shown.get(cell_id, False)

    def reserved(self, cell_id: CellId) -> bool:
        """Whether the id is in use in any way, so that no new cell can have it."""
        return cell_id in self._all or cell_id in self._cells

    @property
    def _all(self) -> IdList:
        if self._stale:
            self._read_order()
        return self._ids

    @property
    def visible(self) -> IdList:
        """The cells that a person sees, in order."""
        if self._visible is None:
            shown = self._shown
            ids = self._all.ids if self._all.distinct else dict.fromkeys(self._all.ids)
            self._visible = IdList([each for each in ids if shown.get(each)])
        return self._visible

    @property
    def size(self) -> int:
        """Entries in `order`, hidden ones included."""
        return len(self._all)

    def position(self, cell_id: CellId) -> int:
        """The position in `order` of an id that is there."""
        return self._all.find(cell_id)

    def has_place(self, cell_id: CellId) -> bool:
        """Whether the id is in `order`."""
        return cell_id in self._all

    # --- being told of our own writes ----------------------------------------------------------

    def added(self, cell_id: CellId, position: int) -> None:
        """A cell was written and its id inserted into `order` at `position`."""
        assert not self._stale, "who found a position has read the order"
        if self._visible is not None:
            self._show_at(self._visible, cell_id, position)
        self._all.insert(position, cell_id)
        self._shown[cell_id] = True

    def moved(self, start: int, to: int) -> None:
        """The entry of `order` at `start` is at `to` now."""
        assert not self._stale, "who found a position has read the order"
        cell_id = self._all.ids[start]
        self._all.move(start, to)
        if not self._all.distinct:
            self._visible = None  # another entry of the same id may come first now
        if self._visible is not None:
            self._visible.remove(cell_id)
            self._show_at(self._visible, cell_id, to, skip=1)

    def hidden(self, cell_id: CellId) -> None:
        """A cell was marked as deleted."""
        self._shown[cell_id] = False
        if self._visible is not None:
            self._visible.remove(cell_id)

    def unhidden(self, cell_id: CellId) -> None:
        """A cell's mark was removed."""
        self._shown[cell_id] = True
        self._visible = None

    def _show_at(self, visible: IdList, cell_id: CellId, position: int, skip: int = 0) -> None:
        """Insert into `visible` before the next visible id at or after `position` in `order`."""
        for place in range(position + skip, len(self._all)):
            follower = self._all.ids[place]
            if follower in visible and self._all.find(follower) == place:
                visible.insert(visible.find(follower), cell_id)
                return
        visible.insert(len(visible), cell_id)

    # --- catching up ---------------------------------------------------------------------------

    def _follow(self, before: Heads, after: Heads) -> bool:
        """Take in what was touched between two versions; False if only a rebuild will do."""
        try:
            touched = self._replica.touched(before, after)
            cells: dict[CellId, None] = {}
            if any(place.path == (CELLS,) for place in touched):
                # One may have been removed, come without content, or be no cell any more.
                cells |= dict.fromkeys(sorted(self._replica.keys_written(CELLS, before, after)))
        except (HeadsTooOld, InvalidUpdate):
            return False
        if any(place.path == ("order",) for place in touched):
            self._stale = True
            self._visible = None
        for place in touched:
            match place.path:
                case ("cells", str() as cell_id):
                    cells[cell_id] = None
                case _:
                    pass
        for cell_id in cells:
            self._look_at(cell_id)
        return True

    def _rebuild(self) -> None:
        self._shown.clear()
        self._read_order()

    def _read_order(self) -> None:
        """Read `order` whole: 0.25 us an entry, a fifth of what the engine's diff of it costs."""
        self._ids = IdList(self._order.ids())
        self._stale = False
        self._visible = None
        for cell_id in [each for each in self._shown if each not in self._ids]:
            del self._shown[cell_id]
        for cell_id in [each for each in self._ids.ids if each not in self._shown]:
            self._look_at(cell_id)

    def _look_at(self, cell_id: CellId) -> None:
        cell = self._cells.map(cell_id)
        # A place may be gone: who undoes that a cell was added and put there takes it away.
        if cell is None or not (self._stale or cell_id in self._ids):
            if self._shown.pop(cell_id, None) is not None:
                self._visible = None
            return
        shown = cell.get(DELETED) is not True
        if self._shown.get(cell_id) != shown:
            self._shown[cell_id] = shown
            self._visible = None
