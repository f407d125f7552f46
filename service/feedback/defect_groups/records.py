"""Regions and groups in the database: what waits, regions put into groups, names, and the groups of a window."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, or_, select, update

from service.errors import DefectGroupNotFound
from service.feedback.defect_groups.grouping import Centre, from_bytes, nearest, to_bytes
from service.feedback.defect_groups.rows import DefectGroup, DefectGroups, Member, Region, Undescribed
from service.feedback.rows import VerdictRow
from service.feedback.tables import DEFECT_GROUPS, DEFECT_REGIONS, REVIEW_CHANGES, VERDICTS
from service.feedback.verdicts import newest_id, with_reviews

MOST = 200  # parts that are looked at, the newest
MOST_GROUPS = 500  # that a region is compared with, the newest
SHOWN = 12  # members of a group
GOOD_PICTURES = 20
COLUMNS, REGIONS, GROUPS = VERDICTS.c, DEFECT_REGIONS.c, DEFECT_GROUPS.c
IS_DEFECTIVE = and_(COLUMNS.judged != "good", or_(COLUMNS.decision == "NG", COLUMNS.judged == "defect"))


def waiting(connection: Connection, product: str) -> list[VerdictRow]:
    """Of the newest MOST defective parts with a picture, those that nobody has looked at yet, oldest first."""
    newest = _newest_defective(product).subquery()
    described = select(REGIONS.verdict_id)
    chosen = select(VERDICTS).where(COLUMNS.id.in_(select(newest.c.id)), COLUMNS.id.not_in(described))
    return with_reviews(connection, chosen.order_by(COLUMNS.id))


def good_pictures(connection: Connection, product: str) -> list[tuple[str, int]]:
    """Name and bytes of the newest kept pictures of parts that are OK or confirmed good, GOOD_PICTURES at most."""
    is_good = or_(COLUMNS.judged == "good", and_(COLUMNS.decision == "OK", COLUMNS.judged == ""))
    chosen = select(COLUMNS.picture_file, COLUMNS.picture_bytes).where(
        COLUMNS.product == product, COLUMNS.picture_file.is_not(None), is_good
    )
    return [(row[0], row[1]) for row in connection.execute(chosen.order_by(COLUMNS.id.desc()).limit(GOOD_PICTURES))]


def put(connection: Connection, region: Region, reach: float, at: float) -> int | None:
    """Put a region into the nearest group of its product, or into a new one of that reach; the group's id.

    None where the region has been put already, or its verdict is gone.
    """
    if not _is_open(connection, region.verdict_id):
        return None
    descriptor = from_bytes(region.descriptor)
    found = nearest(descriptor, _centres(connection, region.product, region.space))
    if found is None:
        values = {"product": region.product, "space": region.space, "made_at": at, "reach": reach}
        made = insert(DEFECT_GROUPS).values(**values, total=region.descriptor, members=1).returning(GROUPS.id)
        group, distance = int(connection.execute(made).scalar_one()), 0.0
    else:
        group, distance = found[0].group, found[1]
        grown = {"total": to_bytes(found[0].total + descriptor), "members": GROUPS.members + 1}
        connection.execute(update(DEFECT_GROUPS).where(GROUPS.id == group).values(grown))
    x, y, width, height = region.box
    values = {"x": x, "y": y, "width": width, "height": height, "space": region.space, "descriptor": region.descriptor}
    row = {"verdict_id": region.verdict_id, "state": "described", "group_id": group, "distance": distance, **values}
    connection.execute(insert(DEFECT_REGIONS).values(**row))
    _tell_pages(connection, [region.verdict_id])
    return group


def give_up(connection: Connection, verdict_id: int, state: Undescribed) -> None:
    """Note why a part has no descriptor, so that it is not tried again."""
    if _is_open(connection, verdict_id):
        connection.execute(insert(DEFECT_REGIONS).values(verdict_id=verdict_id, state=state))


def name(connection: Connection, product: str, group: int, text: str | None, by: str, at: float) -> str | None:
    """Name a group, or take its name away; the name that it had. Raises DefectGroupNotFound."""
    of_it = GROUPS.id == group, GROUPS.product == product
    found = connection.execute(select(GROUPS.name).where(*of_it)).first()
    if found is None:
        raise DefectGroupNotFound(f"there is no group {group} of {product[:64]!r}")
    connection.execute(update(DEFECT_GROUPS).where(*of_it).values(name=text, named_by=by, named_at=at))
    members = select(REGIONS.verdict_id).where(REGIONS.group_id == group).order_by(REGIONS.verdict_id.desc())
    _tell_pages(connection, list(connection.scalars(members.limit(MOST))))
    return str(found.name) if found.name is not None else None


def named_products(connection: Connection) -> list[str]:
    """The products of which a group has a name."""
    return list(connection.scalars(select(GROUPS.product).where(GROUPS.name.is_not(None)).distinct()))


def groups(connection: Connection, product: str, since: float | None) -> DefectGroups:
    """The groups of the defective parts from `since` on, and those that have a name."""
    in_window = [COLUMNS.product == product, *([COLUMNS.at >= since] if since is not None else [])]
    counts = _counts(connection, in_window)
    chosen = select(DEFECT_GROUPS).where(GROUPS.product == product)
    rows = [row for row in connection.execute(chosen).mappings() if row["id"] in counts or row["name"] is not None]
    shown = [row for row in rows if row["members"] > 1 or row["name"] is not None]
    members = _members(connection, [row["id"] for row in shown], in_window)
    found = [
        DefectGroup(
            id=row["id"],
            name=row["name"],
            named_by=row["named_by"],
            named_at=row["named_at"],
            parts=counts.get(row["id"], 0),
            newest=tuple(members.get(row["id"], ())),
        )
        for row in shown
    ]
    inspected = connection.scalar(select(func.count()).select_from(VERDICTS).where(*in_window))
    return DefectGroups(
        groups=tuple(sorted(found, key=lambda group: (-group.parts, group.id))),
        inspected=int(inspected or 0),
        alone=len(rows) - len(shown),
        waiting=len(waiting(connection, product)),
        undescribed=_undescribed(connection, in_window),
    )


def _newest_defective(product: str) -> Select[tuple[int]]:
    has_picture = COLUMNS.picture_file.is_not(None)
    chosen = select(COLUMNS.id).where(COLUMNS.product == product, has_picture, IS_DEFECTIVE)
    return chosen.order_by(COLUMNS.id.desc()).limit(MOST)


def _is_open(connection: Connection, verdict_id: int) -> bool:
    """Whether the verdict is there and has no region yet."""
    taken = connection.scalar(select(REGIONS.verdict_id).where(REGIONS.verdict_id == verdict_id))
    return taken is None and connection.scalar(select(COLUMNS.id).where(COLUMNS.id == verdict_id)) is not None


def _centres(connection: Connection, product: str, space: str) -> list[Centre]:
    """Named groups first, then the newest, MOST_GROUPS at most."""
    chosen = select(GROUPS.id, GROUPS.total, GROUPS.reach).where(GROUPS.product == product, GROUPS.space == space)
    chosen = chosen.order_by(GROUPS.name.is_(None), GROUPS.id.desc()).limit(MOST_GROUPS)
    return [Centre(row.id, from_bytes(row.total), row.reach) for row in connection.execute(chosen)]


def _counts(connection: Connection, conditions: Iterable[ColumnElement[bool]]) -> dict[int, int]:
    chosen = select(GROUPS.id, func.count()).join_from(DEFECT_REGIONS, DEFECT_GROUPS, REGIONS.group_id == GROUPS.id)
    chosen = chosen.join(VERDICTS, COLUMNS.id == REGIONS.verdict_id).where(IS_DEFECTIVE, *conditions)
    return {row[0]: row[1] for row in connection.execute(chosen.group_by(GROUPS.id))}


def _members(
    connection: Connection, ids: Sequence[int], in_window: Iterable[ColumnElement[bool]]
) -> dict[int, list[Member]]:
    """The newest SHOWN members of each group."""
    rank = func.row_number().over(partition_by=REGIONS.group_id, order_by=REGIONS.verdict_id.desc()).label("rank")
    ranked = select(DEFECT_REGIONS, rank).join(VERDICTS, COLUMNS.id == REGIONS.verdict_id)
    ranked_rows = ranked.where(REGIONS.group_id.in_(ids), IS_DEFECTIVE, *in_window).subquery()
    regions = connection.execute(select(ranked_rows).where(ranked_rows.c.rank <= SHOWN)).all()
    chosen = select(VERDICTS).where(COLUMNS.id.in_([region.verdict_id for region in regions]))
    verdicts = {row.id: row for row in with_reviews(connection, chosen)}
    found: dict[int, list[Member]] = {}
    for region in sorted(regions, key=lambda region: -region.verdict_id):
        box = (region.x, region.y, region.width, region.height)
        found.setdefault(region.group_id, []).append(Member(verdicts[region.verdict_id], box, region.distance))
    return found


def _undescribed(connection: Connection, in_window: Iterable[ColumnElement[bool]]) -> dict[str, int]:
    chosen = select(REGIONS.state, func.count()).join_from(DEFECT_REGIONS, VERDICTS, COLUMNS.id == REGIONS.verdict_id)
    chosen = chosen.where(REGIONS.state != "described", IS_DEFECTIVE, *in_window).group_by(REGIONS.state)
    return {row[0]: row[1] for row in connection.execute(chosen)}


def _tell_pages(connection: Connection, ids: Sequence[int]) -> None:
    """Rows of these verdicts have changed, as they do by a review."""
    newest = newest_id(connection)
    if ids:
        changes = [{"verdict_id": verdict_id, "after_verdict": newest} for verdict_id in ids]
        connection.execute(insert(REVIEW_CHANGES), changes)
