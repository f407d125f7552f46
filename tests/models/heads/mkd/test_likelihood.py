"""How likely other good parts are: parts of the same kind are likelier than parts that differ, and turned ones."""

from __future__ import annotations

import pytest
import torch

from models.heads.mkd.config import MkdConfig
from models.heads.mkd.likelihood import cost_of_others
from tests.models.heads.conftest import MadeParts

WITHOUT_CLONER = {"cloner": "none", "attribution": "discrepancy"}


def cost(config: MkdConfig, fitted: MadeParts, others: MadeParts) -> float:
    return cost_of_others(config, fitted, others, torch.Generator().manual_seed(0))


def test_parts_of_the_same_kind_cost_less_than_parts_that_are_turned(parts: MadeParts) -> None:
    config = MkdConfig.model_validate(WITHOUT_CLONER)
    fitted, others = parts.subset(range(0, parts.count, 2)), parts.subset(range(1, parts.count, 2))
    turned = MadeParts(others.images.transpose(2, 3).contiguous())
    assert cost(config, fitted, others) == cost(config, fitted, others)
    assert cost(config, fitted, others) < cost(config, fitted, turned)


def test_without_a_view_by_place_there_is_no_likelihood(parts: MadeParts) -> None:
    config = MkdConfig.model_validate({**WITHOUT_CLONER, "score_views": ["pool3:25"], "map_views": ["pool3:25"]})
    with pytest.raises(ValueError, match="needs a view by place among score_views"):
        cost(config, parts, parts)
