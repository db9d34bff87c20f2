"""Answer Ctrl-C, a scheduler and a closing terminal."""

from __future__ import annotations

import contextlib
import signal

from bopkit._support.text import complain

# What a scheduler or a closing terminal sends. A command that it stops exits with 128 + its number.
STOPS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextlib.contextmanager
def stoppable(advice):
    """Say what to do next, if Ctrl-C, a scheduler or a closing terminal stops the command."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        code = getattr(stop, "code", 130)
        if code == 130 or code in [128 + number for number in STOPS]:
            word = "interrupted" if code == 130 else "stopped by the system"
            complain(f"{word}; to {advice}, repeat the command.")
        raise SystemExit(code) from None


@contextlib.contextmanager
def asked_to_stop(handle):
    """Call a function when a scheduler or a closing terminal stops the command."""
    # What is ignored already stays so, as under nohup.
    heard = [number for number in STOPS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
