"""Loads TensorFlow without the notes that its C++ parts print before any log level counts."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

from bopkit.errors import SetupError


def load_tensorflow() -> None:
    """Import what trains, quietly: what TensorFlow says is shown only if the import fails.

    Raises:
        SetupError: TensorFlow is missing, or Keras 3 was loaded before bopkit.
    """
    # Later messages: warnings and errors alone.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            importlib.import_module("bopkit.keras2")
            # Listing the devices is what makes TensorFlow look for a GPU, and talk about it.
            importlib.import_module("bopkit.training").list_devices()
        except SetupError:
            raise
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
