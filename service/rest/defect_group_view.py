"""How REST shows recurring defects."""

from __future__ import annotations

from service.feedback.defect_groups.rows import DefectGroup, DefectGroups, Member
from service.rest.defect_group_schemas import DefectGroupList, DefectGroupReply, DefectGroupWork, GroupMember
from service.rest.feedback_view import row_members, time_of


def groups_of(found: DefectGroups, trouble: str | None) -> DefectGroupList:
    """All groups of a product; `trouble` is why the work stands still."""
    return DefectGroupList.model_construct(
        groups=[_group_of(group, found.inspected) for group in found.groups],
        inspected=found.inspected,
        alone=found.alone,
        undescribed=found.undescribed,
        work=DefectGroupWork(waiting=found.waiting, trouble=trouble),
    )


def _group_of(group: DefectGroup, inspected: int) -> DefectGroupReply:
    return DefectGroupReply.model_construct(
        id=group.id,
        name=group.name,
        named_by=group.named_by,
        named_at=None if group.named_at is None else time_of(group.named_at),
        parts=group.parts,
        share=group.parts / max(1, inspected),
        members=[_member_of(member) for member in group.newest],
    )


def _member_of(member: Member) -> GroupMember:
    return GroupMember.model_construct(**row_members(member.verdict), box=member.box)
