"""Runs a command's work and turns what goes wrong into a line and an exit code."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from slideloom.cli.exits import Exit, exit_for_error
from slideloom.cli.output import Manner, Output
from slideloom.client import ClientError
from slideloom.errors import SettingsError, StoreError

Work = Callable[[Output], Awaitable[Exit]]


def run_command(manner: Manner, work: Work) -> Exit:
    """Do the work; its exit code, or that of what went wrong."""
    output = Output(manner)
    try:
        return asyncio.run(_run(work, output))
    except ClientError as error:
        output.fail(error)
        return exit_for_error(error)
    except (SettingsError, WrongUsageError) as error:
        output.fail(error)
        return Exit.USAGE
    except BrokenPipeError:
        raise
    except (StoreError, OSError, ValueError) as error:
        output.fail(error)
        return Exit.ERROR
    except (KeyboardInterrupt, asyncio.CancelledError):
        output.put_interrupted()
        return Exit.INTERRUPTED


async def _run(work: Work, output: Output) -> Exit:
    """The work, which SIGTERM ends like Ctrl-C: in order."""
    task = asyncio.current_task()
    if task is not None:
        with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work(output)


class WrongUsageError(Exception):
    """The command cannot be used so; turned into one line where it ends."""

    code = "usage"
