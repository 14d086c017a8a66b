"""What the libraries of the lake raise, as errors of the tree; nowhere else are they translated."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from shared.domain.errors import CommitConflictError, FatalError, UnavailableError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# A checkpoint that storage refuses comes as the same kind of error as a log that cannot be read.
_REQUEST_FAILED = re.compile(r"Error performing [A-Z]+ ")


@contextmanager
def translated(path: str) -> Iterator[None]:
    """Translates the errors of deltalake and obstore about a table or file at `path` of the container `lake`.

    Their own errors are dropped from the chain: the texts carry URLs, and with them signatures.

    Raises:
        CommitConflictError: another writer won the race.
        UnavailableError: the storage account does not answer, or refuses us.
        FatalError: the table or the file is damaged, or not ours.
    """
    from deltalake.exceptions import CommitFailedError, DeltaError
    from obstore.exceptions import BaseError

    try:
        yield
    except CommitFailedError as error:
        message = f"another writer changed {path} meanwhile ({_first_line(error)})"
        raise CommitConflictError("CommitConflict", message, path) from None
    except DeltaError as error:
        if _REQUEST_FAILED.search(str(error)) and " not found: " not in str(error):
            raise _unavailable(path, error) from None
        raise FatalError(
            "TableDamaged",
            f"{path} in the container lake is no Delta table that can be read ({_first_line(error)}); restore its"
            " _delta_log, or delete the entity type and create it anew",
            path,
        ) from None
    except FileNotFoundError:
        raise FatalError(
            "FileMissing", f"{path} in the container lake is gone; restore it from a backup", path
        ) from None
    except (BaseError, OSError) as error:
        raise _unavailable(path, error) from None


def _unavailable(path: str, error: Exception) -> UnavailableError:
    message = f"the container lake does not answer for {path} ({type(error).__name__})"
    return UnavailableError("LakeUnavailable", message, path)


def _first_line(error: Exception) -> str:
    text = _COLOURS.sub("", str(error)).strip().split("\n", maxsplit=1)[0][:200]
    return text.split("?", maxsplit=1)[0]  # what follows may be the query of a URL, with a signature
