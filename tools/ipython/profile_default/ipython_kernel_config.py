"""How notebooks run in `make book` and `make test` (the Makefile points IPYTHONDIR here)."""

import atexit
import gc

c = get_config()  # noqa: F821  (IPython provides it)

# Keep what C++ code writes to file descriptors 1 and 2 out of the notebook: TensorFlow's log lines
# would end up on the book's pages. What Python prints is captured all the same.
c.IPKernelApp.capture_fd_output = False

# No history file: a run leaves nothing behind, and two kernels never wait for one lock.
c.HistoryManager.enabled = False

# Pictures and traces make many objects that stay. Python would look for cycles among them after
# every 700, and at its end in all that TensorFlow leaves: a second and more a notebook.
gc.set_threshold(50_000, 10, 10)
atexit.register(gc.freeze)
