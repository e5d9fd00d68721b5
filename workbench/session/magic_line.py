"""The line of a magic: what is wrong with it is a sentence that ends with how it goes."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from collections.abc import Iterator
from typing import NoReturn

from workbench.errors import InputError, WorkbenchError


class MagicLine(argparse.ArgumentParser):
    """The arguments of one magic, of which `goes` is the usage. It refuses by an InputError
    instead of ending the process."""

    def __init__(self, goes: str) -> None:
        super().__init__(add_help=False, allow_abbrev=False)
        self._goes = goes

    def words(self, line: str) -> list[str]:
        """The words of a line, as a shell would part them."""
        try:
            return shlex.split(line)
        except ValueError as error:
            template = "the line cannot be read: {reason}; it goes {usage}"
            raise InputError(template, reason=str(error).lower(), usage=self._goes) from None

    def variable(self, word: str) -> str:
        """The word, which is to be the name of a variable."""
        if not word.isidentifier():
            template = "{word} is no name of a variable; it goes {usage}"
            raise InputError(template, word=word, usage=self._goes)
        return word

    def error(self, message: str) -> NoReturn:
        raise InputError("{reason}; it goes {usage}", reason=message, usage=self._goes)


@contextlib.contextmanager
def said_in_the_cell() -> Iterator[None]:
    """What is wrong is a sentence below the cell, without a traceback."""
    from IPython.core.error import UsageError

    try:
        yield
    except WorkbenchError as error:
        raise UsageError(str(error)) from None
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise UsageError(f"line {error.lineno}: {error.msg}: {line}") from None
