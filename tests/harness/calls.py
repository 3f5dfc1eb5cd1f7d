# SPDX-License-Identifier: Apache-2.0
"""Calls of a server to the kernel that fail when a test wants it; see tests/fault/fail_calls.c."""
import ctypes
import errno
import mmap

from harness.table import ROOT

LIBRARY = ROOT / "build/tests/fault/libserin-fail-calls.so"
HALF = 0  # of the bytes are written or read

# In the order of tests/fault/fail_calls.c, with the ways in which each may fail.
WAYS = {
    "open": [errno.EMFILE, errno.EIO, errno.ENOMEM],
    "write": [errno.EIO, errno.ENOSPC, errno.EINTR, HALF],
    "pread": [errno.EIO, errno.EINTR, HALF],
    "pwrite": [errno.EIO, errno.ENOSPC, errno.EINTR, HALF],
    "fsync": [errno.EIO, errno.ENOSPC],
    "fdatasync": [errno.EIO, errno.ENOSPC],
    "ftruncate": [errno.EIO, errno.ENOSPC, errno.EINTR],
    "rename": [errno.EIO, errno.ENOSPC],
    "unlink": [errno.EIO],
    "mmap": [errno.ENOMEM],
    "accept4": [errno.EMFILE, errno.ENOMEM, errno.EINTR, errno.ECONNABORTED],
    "epoll_ctl": [errno.ENOMEM, errno.ENOSPC],
    "send": [errno.EINTR, errno.ECONNRESET, errno.ENOMEM],  # the kernel takes half only when its buffer is full, and tells when it is not
    "recv": [errno.EINTR, errno.ECONNRESET, errno.ENOMEM],
    "getrandom": [errno.EINTR, errno.EIO],
    "pthread_create": [errno.EAGAIN],
}


class Call(ctypes.Structure):
    _fields_ = [("calls", ctypes.c_uint64), ("fail_at", ctypes.c_uint64), ("errnum", ctypes.c_int32), ("times", ctypes.c_int32)]


class Trouble:
    """The file that the library in the server has mapped too."""

    def __init__(self, folder):
        self.path = folder / "calls"
        size = ctypes.sizeof(Call) * len(WAYS)
        self.path.write_bytes(bytes(size))
        with open(self.path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), size)
        self.calls = dict(zip(WAYS, (Call * len(WAYS)).from_buffer(self.map)))
        self.env = {"LD_PRELOAD": str(LIBRARY), "SERIN_FAIL_CALLS": str(self.path)}

    def arm(self, name, way, number, times=1):
        """Lets the call of that number fail, and those that follow it up to `times`."""
        call = self.calls[name]
        call.errnum, call.times, call.fail_at = way, times, number

    def begin(self, name, way):
        """Lets every call fail from now on."""
        self.arm(name, way, 1, times=2**31 - 1)

    def end(self):
        for call in self.calls.values():
            call.fail_at = 0

    @property
    def struck(self):
        return any(0 < call.fail_at <= call.calls for call in self.calls.values())

    def counts(self):
        return {name: call.calls for name, call in self.calls.items()}
