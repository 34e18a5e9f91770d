"""Downloads from a server on this machine that behaves well, or badly in a way that servers do."""

import errno
import hashlib
import io
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wakeword.base.errors import UserError
from wakeword.sources import download
from wakeword.sources.download import fetch, unpack

CONTENT = bytes(range(256)) * 4096  # a file that does not compress to nothing in the middle


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0))


def tar_of(members: dict[str, bytes | str], mode: str = "w:gz") -> bytes:
    """Return a tar archive; a text is the target of a symbolic link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(members: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if isinstance(content, str):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            pack.writestr(info, content)
    return buffer.getvalue()


@dataclass
class Site:
    """A web server with one file, and what it was asked for.

    Attributes:
        content: of the file.
        breaks: after how many bytes each answer in turn breaks off; answers beyond the list are whole.
        ranges: whether parts can be asked for.
        status: answered instead of the file, where it is not 200.
        asked: the Range header of each request.
    """

    content: bytes
    breaks: list[int] = field(default_factory=list)
    ranges: bool = True
    status: int = 200
    asked: list[str | None] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if self.status != 200 or (start and start >= len(self.content)):
            request.send_error(self.status if self.status != 200 else 416)
            return
        body = self.content[start:]
        request.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.breaks.pop(0)] if self.breaks else body)


@contextmanager
def serving(site: Site) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/corpora/small.tar.gz?download=1"
        finally:
            server.shutdown()
            thread.join()


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refusal(url: str, sha256: str, downloads: Path) -> str:
    with pytest.raises(UserError) as caught:
        fetch(url, sha256, downloads)
    assert not [path for path in downloads.iterdir() if path.is_dir()]
    return str(caught.value)


def part(downloads: Path) -> Path:
    [found] = downloads.glob("*.part")
    return found


def test_an_archive_is_downloaded_and_unpacked_once(tmp_path: Path) -> None:
    archive = tar_of({"small/a.wav": CONTENT, "small/text/b.txt": b"b"})
    with serving(site := Site(archive)) as url:
        place = fetch(url, digest(archive), tmp_path / "new" / "downloads")
        assert (place / "small" / "a.wav").read_bytes() == CONTENT
        assert (place / "small" / "text" / "b.txt").read_bytes() == b"b"
        assert fetch(url, digest(archive), tmp_path / "new" / "downloads") == place
    assert site.asked == [None]
    assert place.name == f"small.tar.gz-{digest(archive)[:16]}"
    assert not list(place.parent.glob("*.part"))


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    archive = tar_of({"a": CONTENT}, mode="w")
    with serving(site := Site(archive, breaks=[300_000, 200_000])) as url:
        place = fetch(url, digest(archive), tmp_path)
    assert (place / "a").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_goes_on_from_what_was_kept(tmp_path: Path) -> None:
    archive = tar_of({"a": CONTENT}, mode="w")
    with serving(site := Site(archive, breaks=[300_000, 0, 0])) as url:
        message = refusal(url, digest(archive), tmp_path)
        assert "broke after 0 of" in message and "0.3 MB are kept" in message and "set `path`" in message
        assert part(tmp_path).stat().st_size == 300_000
        assert (fetch(url, digest(archive), tmp_path) / "a").read_bytes() == CONTENT
    assert site.asked == [None, *["bytes=300000-"] * 3]


def test_a_server_that_sends_no_parts_sends_the_whole_again(tmp_path: Path) -> None:
    archive = tar_of({"a": CONTENT}, mode="w")
    with serving(site := Site(archive, breaks=[300_000], ranges=False)) as url:
        assert (fetch(url, digest(archive), tmp_path) / "a").read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-"]


def test_what_was_whole_but_not_yet_verified_is_not_downloaded_again(tmp_path: Path) -> None:
    archive = tar_of({"a": CONTENT}, mode="w")
    (tmp_path / f"small.tar.gz-{digest(archive)[:16]}.part").write_bytes(archive)
    with serving(site := Site(archive)) as url:
        assert (fetch(url, digest(archive), tmp_path) / "a").read_bytes() == CONTENT
    assert site.asked == [f"bytes={len(archive)}-"]


def test_another_checksum_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    archive = tar_of({"a": CONTENT})
    with serving(Site(archive)) as url:
        message = refusal(url, "0" * 64, tmp_path)
    assert url in message and digest(archive) in message and "0" * 64 in message
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_is_not_there_is_not_tried_again(tmp_path: Path) -> None:
    with serving(site := Site(b"", status=404)) as url:
        message = refusal(url, "0" * 64, tmp_path)
    assert "the server answers 404" in message and url in message and "by hand" in message
    assert len(site.asked) == 1


def test_a_server_in_trouble_is_tried_again(tmp_path: Path) -> None:
    with serving(site := Site(b"", status=503)) as url:
        assert "503" in refusal(url, "0" * 64, tmp_path)
    assert len(site.asked) == 3


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path) -> None:
    with serving(Site(b"")) as url:
        pass  # nobody listens at its port any more
    message = refusal(url, "0" * 64, tmp_path)
    assert f"cannot download {url} to {tmp_path}/small.tar.gz-" in message
    assert "Connection refused" in message and "small.tar.gz by hand" in message and "`path`" in message


def test_a_full_disk_is_not_taken_for_a_broken_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(site := Site(CONTENT)) as url:
        monkeypatch.setattr(download, "_shown", full)
        assert "free some space" in refusal(url, "0" * 64, tmp_path)
    assert len(site.asked) == 1


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize(
    "members",
    [
        {"a": b"1", "../outside": b"2"},
        {"a": b"1", "b/../../outside": b"2"},
        {"a": b"1", "/tmp/outside": b"2"},
        {"a": b"1", "link": "../../outside"},
        {"a": b"1", "link": "/etc/passwd"},
        {"link": "..", "link/outside": b"2"},
    ],
)
def test_nothing_is_written_outside_the_folder(tmp_path: Path, pack: object, members: dict[str, bytes | str]) -> None:
    assert callable(pack)
    archive = pack(members)
    with serving(Site(archive)) as url:
        message = refusal(url, digest(archive), tmp_path / "downloads")
    assert "nothing of it was kept" in message and url in message
    assert {path.name for path in tmp_path.iterdir()} == {"downloads"}
    assert not [path for path in (tmp_path / "downloads").iterdir() if path.suffix not in (".part", ".lock")]


def test_a_zip_is_unpacked_too(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of({"x/a.wav": CONTENT, "x/b.wav": b""}))
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "a.zip", tmp_path / "out", "a.zip")
    assert (tmp_path / "out/x/a.wav").read_bytes() == CONTENT and (tmp_path / "out/x/b.wav").exists()


def locked(content: bytes) -> bytes:
    """Return a zip archive whose flags say that it is encrypted."""
    changed = bytearray(content)
    changed[6] |= 1
    changed[content.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


def spoilt(content: bytes) -> bytes:
    """Return a compressed archive with bytes overwritten near its end."""
    return content[:-40] + bytes(30) + content[-10:]


def test_what_is_no_archive_or_a_damaged_one_is_told(tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    for content, told in (
        (b"<html>sign in first</html>", "neither a tar nor a zip"),
        (tar_of({"a": CONTENT})[:2000], "cannot be unpacked"),
        (zip_of({"a": CONTENT}).replace(CONTENT[:64], bytes(64), 1), "cannot be unpacked"),
        (locked(zip_of({"a": CONTENT})), "cannot be unpacked.*password"),
        (spoilt(tar_of({"a": CONTENT}, "w:bz2")), "cannot be unpacked"),
    ):
        archive.write_bytes(content)
        with pytest.raises(UserError, match=f"small: .*{told}|small.* {told}"):
            unpack(archive, tmp_path, "small")
