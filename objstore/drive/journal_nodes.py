"""Answers about the journal's tree, and its repair. docs/format/journal.md, "The tree"."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from objstore.drive.job_states import TreeCheck, TreePage
from objstore.drive.journal_changes import Changes
from objstore.drive.journal_scan import Group, add_up, holds, scan
from objstore.drive.journal_tree import begins_leaf, leaves_in, mend, stored_leaves
from objstore.drive.ops import CheckTree, ReadTree
from objstore.errors import DriveRefusal
from objstore.limits import TREE_CHECK_ENTRIES, TREE_NODES_MAX
from objstore.ondisk.tree import LEVEL_MAX, TOTAL_MASK, TreeHash, TreeNode, split_place

_FIRST: Final = b""


def read_tree(
    connection: sqlite3.Connection,
    tree: TreeHash,
    op: ReadTree,
    *,
    trusted: bool,
    examined_max: int,
) -> TreePage:
    """Answer ReadTree.

    Raises:
        DriveRefusal: it asks for what no tree has.
    """
    for place in (op.begin, op.end):
        _check_place(place)
    if not 0 <= op.level <= LEVEL_MAX:
        raise DriveRefusal(f"a tree has no level {op.level}")
    if op.end and op.end <= op.begin:
        return TreePage((), None, trusted)
    if op.level < max(1, tree.leaf_level):
        groups = scan(connection, tree, op.begin, op.end, verify=True)
        examined_max = min(examined_max, TREE_CHECK_ENTRIES)  # rows take longer than leaves
    else:
        groups = _leaves(connection, tree, op.begin, op.end)
    nodes, next_place = _nodes(tree, op, groups, examined_max)
    sealed = tuple(TreeNode(place, entries, total & TOTAL_MASK) for place, entries, total in nodes)
    return TreePage(sealed, next_place, trusted)


def _nodes(
    tree: TreeHash, op: ReadTree, groups: Iterator[Group], examined_max: int
) -> tuple[list[Group], bytes | None]:
    """Gather groups into nodes; return them, and where to go on when there are too many."""
    limit = max(1, min(op.limit, TREE_NODES_MAX))
    keys = op.level == 0
    done: list[Group] = []
    node: Group | None = None if keys else (op.begin, 0, 0)
    for examined, (place, entries, total) in enumerate(groups):
        if examined >= examined_max:
            return _with(done, node), place
        if node is not None and (place == op.begin or not (keys or tree.begins(place, op.level))):
            node = (node[0], node[1] + entries, node[2] + total)
            continue
        if node is not None:
            done.append(node)
            if len(done) == limit:
                return done, place
        node = (place, entries, total)
    return _with(done, node), None


def _with(nodes: list[Group], last: Group | None) -> list[Group]:
    return nodes if last is None else [*nodes, last]


def _leaves(
    connection: sqlite3.Connection, tree: TreeHash, begin: bytes, end: bytes
) -> Iterator[Group]:
    """Yield leaves from `begin` to `end`, cut where those are within one."""
    last: Group | None = None
    for place, entries, total in stored_leaves(connection, begin, end):
        if last is not None:
            yield last
        elif place != begin:
            yield begin, *add_up(connection, tree, begin, place)
        last = (place, max(0, entries), total)
    if last is None:
        yield begin, *add_up(connection, tree, begin, end)
    elif end and not begins_leaf(connection, end):
        yield last[0], *add_up(connection, tree, last[0], end)
    else:
        yield last


def _check_place(place: bytes) -> None:
    """Refuse what is no place."""
    if place == _FIRST or split_place(place) is not None:
        return
    raise DriveRefusal(f"{place[:80]!r} is no place of a tree")


# --- repair --------------------------------------------------------------------------------


def check_tree(changes: Changes, op: CheckTree) -> TreeCheck:
    """Answer CheckTree: add up some leaves anew, and store those that are others."""
    _check_place(op.begin)
    changes.tree.write()
    tree, connection = changes.tree.hash, changes.connection
    begin = _leaf_of(connection, tree, op.begin)
    limit = max(1, min(op.limit, TREE_CHECK_ENTRIES))
    groups: list[Group] = []
    examined = 0
    end = _FIRST
    for group in scan(connection, tree, begin, _FIRST, verify=True):
        if examined >= limit and tree.begins(group[0], tree.leaf_level):
            end = group[0]
            break
        groups.append(group)
        examined += group[1]
    mended = mend(connection, begin, end, leaves_in(tree, begin, groups))
    return TreeCheck(end or None, examined, mended)


def _leaf_of(connection: sqlite3.Connection, tree: TreeHash, place: bytes) -> bytes:
    """Return where the leaf of a place really begins: at something that is there."""
    while place:
        (place,) = connection.execute(
            "SELECT ifnull(max(place), x'') FROM tree WHERE place <= ?", (place,)
        ).fetchone()
        if tree.begins(place, tree.leaf_level) and holds(connection, place):
            return place
        (place,) = connection.execute(
            "SELECT ifnull(max(place), x'') FROM tree WHERE place < ?", (place,)
        ).fetchone()
        place = place or _FIRST
    return _FIRST
