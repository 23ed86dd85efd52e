"""POSIX extended regular expressions with the meaning of the C library Asterisk runs on.

- The C library itself compiles and matches (`regcomp(3)`, `regexec(3)` by ctypes), so equality with the module
  app_ami_kafka and with manager.conf is by construction, GNU extensions and errors included. Python's `re` differs in
  what it refuses, in `$`, in brackets and in leftmost-longest matching; it would be faster (0.7 against 2.2 µs
  an event, measured) and never quite equal.
- Patterns are compiled in the C locale: subjects are bytes, `.` matches any of them. Asterisk before 20.18, 22.8 and
  23.2 does the same; later ones let `.` pass over no byte that is invalid UTF-8, which would lose events with broken
  names.
- A pattern without special characters is a plain search, the same answer for a twentieth of the time.
"""

from __future__ import annotations

import ctypes
import weakref

_REG_EXTENDED = 1
_REG_NOSUB = 8
_LC_ALL_MASK = 0x1FBF
_SIZE_OF_REGEX_T = 256
"""More than any C library's `regex_t` (64 bytes in glibc on 64 bit)."""
_SPECIAL = frozenset(b".[]\\()*+?{}|^$")

# PyDLL keeps the interpreter lock: releasing it for two microseconds would let another thread take it for milliseconds.
_libc = ctypes.PyDLL(None)
_libc.regcomp.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)
_libc.regexec.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int)
_libc.regerror.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
_libc.regerror.restype = ctypes.c_size_t
_libc.regfree.argtypes = (ctypes.c_void_p,)
_libc.regfree.restype = None
_libc.newlocale.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_libc.newlocale.restype = ctypes.c_void_p
_libc.uselocale.argtypes = (ctypes.c_void_p,)
_libc.uselocale.restype = ctypes.c_void_p
_C_LOCALE = _libc.newlocale(_LC_ALL_MASK, b"C", None)
_regexec = _libc.regexec


class PosixRegex:
    """One compiled pattern. Raises ValueError, in the C library's words, for one that does not compile."""

    def __init__(self, pattern: bytes) -> None:
        buffer = ctypes.create_string_buffer(_SIZE_OF_REGEX_T)
        self._compiled = ctypes.addressof(buffer)
        before = _libc.uselocale(_C_LOCALE)
        try:
            failure = _libc.regcomp(self._compiled, pattern, _REG_EXTENDED | _REG_NOSUB)
        finally:
            _libc.uselocale(before)
        if failure:
            words = ctypes.create_string_buffer(256)
            _libc.regerror(failure, self._compiled, words, len(words))
            raise ValueError(words.value.decode())
        weakref.finalize(self, _free, buffer)
        self._literal = pattern if not _SPECIAL.intersection(pattern) else None

    def search(self, subject: bytes) -> bool:
        """Whether it matches anywhere in `subject`."""
        if self._literal is not None:
            return self._literal in subject
        return bool(_regexec(self._compiled, subject, 0, None, 0) == 0)


def _free(buffer: ctypes.Array[ctypes.c_char]) -> None:
    _libc.regfree(ctypes.addressof(buffer))
