"""Write Kokoro's voices as the package carries them, from the archive of the npm package kokoro-js (Apache-2.0):

    mkdir -p .cache
    npm pack kokoro-js@1.2.1 --pack-destination .cache
    PYTHONPATH=src .venv/bin/python -m tools.kokoro_voices .cache/kokoro-js-1.2.1.tgz

A voice there is a style of 256 numbers for each number of letters that a text may have, 510, half a megabyte in all. A
style changes fast among short texts and ever slower among long ones, so that a polynomial in the root of the number of
letters follows it: `wakeword.engines.kokoro.curves`. What that changes, `docs/synthesis.md` says.
"""

import argparse
import sys
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from wakeword.engines.kokoro import STYLE, VOICES, curves, packaged_styles


def styles_in(archive: Path) -> dict[str, np.ndarray]:
    """Return the styles of each voice in an archive, `(510, 256)` float32.

    Raises:
        OSError, tarfile.TarError: it can't be read.
        ValueError: it holds no voices, or one of another size.
    """
    found = {}
    with tarfile.open(archive) as opened:
        for member in opened:
            path = PurePosixPath(member.name)
            if path.parent.name == "voices" and path.suffix == ".bin" and (file := opened.extractfile(member)):
                found[path.stem] = np.frombuffer(file.read(), "<f4").reshape(-1, STYLE)
    if not found:
        raise ValueError(f"{archive} holds no voices")
    return found


def coefficients(styles: np.ndarray) -> np.ndarray:
    """Return what gives a voice's styles back by least squares, `(terms, 256)`, of its styles `(rows, 256)`."""
    basis = curves()
    fitted: np.ndarray = np.linalg.lstsq(basis, styles[: len(basis)].astype(np.float64), rcond=None)[0]
    return fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    archive = parser.parse_args().archive
    try:
        found = styles_in(archive)
    except (OSError, tarfile.TarError, ValueError) as failure:
        sys.exit(f"{archive} can't be read ({failure}); `npm pack kokoro-js@1.2.1` fetches it again")
    names = sorted(set(found) - set(packaged_styles()))
    stored = np.stack([coefficients(found[name]) for name in names]).astype(np.float16)
    with VOICES.open("wb") as file:
        np.savez_compressed(file, names=np.array(names), coefficients=stored)
    print(f"{VOICES}: {len(names)} voices, {VOICES.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
