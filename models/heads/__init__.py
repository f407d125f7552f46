"""The methods that can finish a batch after the source: the name in the manifest -> its class."""

from collections.abc import Mapping

from models.heads.base import Head
from models.heads.mkd.head import MkdHead

HEADS: Mapping[str, type[Head]] = {MkdHead.method: MkdHead}
