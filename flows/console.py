"""What a flow tells: each line goes to the run's log, and to the terminal when a person started it there."""

from contextvars import ContextVar

from prefect import get_run_logger
from rich.console import Console

from tasks.printable import printable

at_terminal: ContextVar[bool] = ContextVar("at_terminal", default=False)
console = Console(highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """Tell one line, plain text; call it from within a flow run."""
    get_run_logger().info(line)
    if at_terminal.get():
        show(line)


def show(line: str) -> None:
    """Write a line to the terminal; names in it come from data, and may not command it."""
    console.print("\n".join(map(printable, line.split("\n"))), markup=False)
