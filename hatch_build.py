"""Compiles the native decoder when the package is installed or a wheel is built; without a compiler, warns."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _compiler() -> ModuleType:
    """The package's own build module, without importing the package: what it depends on is not installed yet."""
    path = Path(__file__).parent / "fastssl" / "native" / "build.py"
    spec = importlib.util.spec_from_file_location("fastssl_native_build", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class NativeBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        compiler = _compiler()
        try:
            library = compiler.compile_library()
        except (compiler.BuildError, OSError) as error:
            compiler.LIBRARY.unlink(missing_ok=True)  # one of other sources, or of another machine
            self.app.display_warning(f"fastssl: the native decoder was not compiled, images load slower. {error}")
            return
        build_data["artifacts"].append(library.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
