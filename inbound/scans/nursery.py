"""Loaded by the forkserver before its first child: what children need, and deafness to SIGTERM.

A SIGTERM to the whole process group is for the parent alone: it decides what becomes of its children.
The forkserver ends by itself when its parent is gone.
"""

import signal

import inbound.scans.child
import inbound.scans.jobs  # noqa: F401

signal.signal(signal.SIGTERM, signal.SIG_IGN)
