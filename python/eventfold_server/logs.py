"""How the processes of a server log: one line a record, to standard error, in UTC."""

import logging
import sys
import time


def log_to_stderr(level: int | str, process: str = "") -> None:
    """Sets the log up; `process` stands in each line, to tell workers from each other."""
    name = f"{process} %(name)s" if process else "%(name)s"
    formatter = logging.Formatter(
        f"%(asctime)s.%(msecs)03dZ %(levelname)s {name}: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler])
