"""The parser of `mkd-train`, which also knows the settings of the methods."""

from __future__ import annotations

from models.heads.registry import method_names, method_of
from models.one_line_parser import OneLineParser


class TrainerParser(OneLineParser):
    """Subparsers are of this class too."""

    def hint(self, text: str) -> str:
        """As OneLineParser's; a setting of a method that was given as a flag is told how to be given."""
        flag = text.split("=")[0]
        setting = flag.lstrip("-").replace("-", "_")
        owners = [name for name in method_names() if setting in method_of(name).Config.model_fields]
        if flag.startswith("--") and owners:
            return f": it is a setting of the method {owners[0]}, give --set {setting}=VALUE"
        return super().hint(text)
