"""An environment with a CUDA build of PyTorch but without CUDA's libraries in, placeholders for those libraries out.

    python placeholders.py /opt/mkdserve/lib/python3.11/site-packages

PyTorch's libraries name CUDA's as needed, so the loader wants to see them even where no GPU will ever be asked. For
each one that is not there this writes, with the C compiler, a library of the same name that defines what is asked of
it; every function in it says that the image has no CUDA and ends the process. On a CPU none of them is ever called:
PyTorch asks CUDA's runtime first, which is the real one, and hears that there is no device.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection, GNUVerSymSection
from elftools.elf.sections import SymbolTableSection

# What the loader looks for at the start: PyTorch's own libraries and its companion's. Others are opened when asked for.
LOADED = ("torch/lib/lib*.so", "torch/_C*.so", "torchvision/*.so", "nvidia/**/*.so*")
# Opened by PyTorch only once a GPU is in use, so it may be absent; what it needs is of no interest.
OPENED_LATE = {"libcaffe2_nvrtc.so", "libtorch_cuda_linalg.so"}
BODY = """
#include <stdio.h>
#include <stdlib.h>
static void absent(void) {{ fputs("{soname}: this image is for CPUs and has no CUDA in it\\n", stderr); abort(); }}
"""


@dataclass
class Library:
    """What one shared library asks of others and offers to them."""

    needed: list[str] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)
    # name -> (file that it is expected in, version), both empty for a symbol without a version
    asked: dict[str, tuple[str, str]] = field(default_factory=dict)


def read(path: Path) -> Library:
    """The library at `path`; raises elftools' ELFError for a file that is none."""
    library = Library()
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        versions: dict[int, tuple[str, str]] = {}
        symbols, indices = None, None
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                library.needed = [str(tag.needed) for tag in section.iter_tags("DT_NEEDED")]  # type: ignore[attr-defined]
            elif isinstance(section, GNUVerNeedSection):
                for need, parts in section.iter_versions():
                    versions |= {part["vna_other"]: (need.name, part.name) for part in parts}
            elif isinstance(section, GNUVerSymSection):
                indices = section
            elif isinstance(section, SymbolTableSection) and section.name == ".dynsym":
                symbols = section
        for number, symbol in enumerate(symbols.iter_symbols() if symbols else ()):
            if not symbol.name:
                continue
            if symbol["st_shndx"] != "SHN_UNDEF":
                library.defined.add(symbol.name)
            elif symbol["st_info"]["bind"] != "STB_WEAK":  # a weak one may stay undefined
                index = indices.get_symbol(number)["ndx"] if indices else 0
                library.asked[symbol.name] = versions.get(index, ("", ""))
    return library


def absent(libraries: dict[str, Library]) -> dict[str, dict[str, str]]:
    """Name of each library that is needed and not there -> the symbols {name: version} that it has to define.

    A symbol without a version may come from any library, so those that nobody defines go to the first placeholder.
    """
    needed = {name for library in libraries.values() for name in library.needed} - set(libraries)
    system = {name: handle for name in needed if (handle := opened(name)) is not None}
    wanted: dict[str, dict[str, str]] = {name: {} for name in sorted(needed - set(system))}
    if not wanted:
        return {}
    defined = {name for library in libraries.values() for name in library.defined}
    # The last handle is the interpreter's own, which defines Python's interface.
    handles = [*system.values(), ctypes.PyDLL(None)]
    first = next(iter(wanted))
    for library in libraries.values():
        for name, (file, version) in library.asked.items():
            if file in wanted:
                wanted[file][name] = version
            elif not file and name not in defined and not any(hasattr(handle, name) for handle in handles):
                wanted[first][name] = ""
    return wanted


def opened(name: str) -> ctypes.CDLL | None:
    """The library that the loader finds under this name without our help (the C library and the like), or None."""
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def write(soname: str, symbols: dict[str, str], folder: Path) -> None:
    """Compile the placeholder `soname` that defines `symbols` into `folder`.

    Raises subprocess.CalledProcessError when the compiler fails, FileNotFoundError when there is none.
    """
    versions: dict[str, list[str]] = defaultdict(list)
    for name, version in sorted(symbols.items()):
        versions[version].append(name)
    with tempfile.TemporaryDirectory() as name:
        source, script = Path(name) / "placeholder.c", Path(name) / "versions.map"
        body = BODY.format(soname=soname) + "".join(
            f"void {symbol}(void) {{ absent(); }}\n" for symbol in sorted(symbols)
        )
        source.write_text(body, encoding="ascii")
        nodes = (f"{version} {{ {'; '.join(names)}; }};\n" for version, names in versions.items() if version)
        script.write_text("".join(nodes), encoding="ascii")
        command = [
            "cc",
            "-shared",
            "-fPIC",
            "-fno-builtin",
            "-O1",
            "-s",
            f"-Wl,-soname,{soname}",
            "-o",
            str(folder / soname),
        ]
        if script.stat().st_size:
            command.append(f"-Wl,--version-script={script}")
        subprocess.run([*command, str(source)], check=True)


def main(site_packages: Path) -> None:
    """Write every placeholder that the environment needs beside PyTorch's libraries and say which."""
    files = {path.resolve() for pattern in LOADED for path in site_packages.glob(pattern)}
    libraries = {path.name: read(path) for path in sorted(files) if path.name not in OPENED_LATE}
    folder = site_packages / "torch" / "lib"
    libraries |= {path.name: read(path) for path in site_packages.glob("torchvision.libs/*.so*")}
    for soname, symbols in absent(libraries).items():
        write(soname, symbols, folder)
        sys.stdout.write(f"placeholder for {soname}: {len(symbols)} symbols\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
