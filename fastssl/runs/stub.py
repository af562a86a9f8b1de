"""What a checkpoint says beside its tensors, read without them and without torch."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from fastssl.errors import InputError


class _Stub:
    """Stands for whatever a checkpoint names: it is made, called and filled without an effect."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass


class _Reader(pickle.Unpickler):
    """Never imports what a pickle asks for, so that it runs no code of it."""

    def find_class(self, module: str, name: str) -> type:
        return _Stub

    def persistent_load(self, pid: Any) -> None:
        return None


def position_of(checkpoint: Path) -> dict[str, Any]:
    """The position of a checkpoint: `step`, `epoch`, `images`, `views` and the rest that is no tensor.

    Errors: `InputError` for a file that is cut off, or no checkpoint.
    """
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
            with archive.open(name) as stream:
                position = _Reader(stream).load()["position"]
        return {key: value for key, value in position.items() if isinstance(value, int)} | {"step": position["step"]}
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, OSError) as error:
        raise InputError(f"{checkpoint.name} is damaged") from error
    except Exception as error:  # a pickle of anything fails with anything
        raise InputError(f"{checkpoint.name} is no checkpoint of fastssl") from error
