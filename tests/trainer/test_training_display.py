"""What a run tells: plain lines in a log, nothing read as markup."""

from __future__ import annotations

import io

from rich.console import Console

from trainer.display import RichDisplay


def display(*, terminal: bool = False) -> tuple[RichDisplay, io.StringIO]:
    stream = io.StringIO()
    return RichDisplay(Console(file=stream, force_terminal=terminal, width=100, soft_wrap=True)), stream


def test_a_line_is_shown_as_it_is() -> None:
    subject, stream = display()
    subject.say("left out: [red]part[/red].png: /a/long/" + "x" * 200)
    assert stream.getvalue() == "left out: [red]part[/red].png: /a/long/" + "x" * 200 + "\n"


def test_a_log_gets_a_line_at_every_tenth() -> None:
    subject, stream = display()
    with subject.bar("training", 250) as bar:
        for step in range(1, 251):
            bar.update(step, f"loss {step}")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "training: 25 of 250 loss 25"
    assert lines[-1] == "training: 250 of 250 loss 250"


def test_a_terminal_gets_a_moving_bar_with_the_loss() -> None:
    subject, stream = display(terminal=True)
    with subject.bar("training", 3) as bar:
        bar.update(3, "loss 0.5")
    assert "training" in stream.getvalue()
    assert "3/3" in stream.getvalue()
    assert "loss 0.5" in stream.getvalue()
