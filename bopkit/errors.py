"""What goes wrong through no fault of the code: each message is one sentence for the user."""


class BopkitError(Exception):
    """The root of the errors that the command line shows as a line, not as a traceback."""


class ConfigError(BopkitError, ValueError):
    """A setting that does not exist or is out of range."""


class DataError(BopkitError, ValueError):
    """Data that is missing, damaged, or asked for in a way that it cannot be had."""


class RecordError(BopkitError, ValueError):
    """A record that cannot be read or written."""


class SetupError(BopkitError, ImportError):
    """What training needs is not installed, or was imported in another version."""


class TrainingError(BopkitError, RuntimeError):
    """Training that cannot go on."""
