"""Downloading an archive: resumed where it broke off, verified by checksum, unpacked so that nothing leaves its folder.

An archive is downloaded and unpacked once; its folder is called after its checksum and is there as a whole or not at
all. Until it is verified, what has come lies beside it as `NAME.part`, from where a later run goes on.
"""

import fcntl
import hashlib
import re
import stat
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from wakeword.base import files, log
from wakeword.base.errors import UserError

PAUSES_S = (1.0, 5.0, 20.0)
"""How long to wait before each new try after a broken connection."""

_TIMEOUT_S = 30.0
_BLOCK = 2**20
_MAY_PASS = {408, 425, 429}  # statuses of a client's error that another try may cure
_OUT_OF_RANGE = 416
_PARTIAL = 206


def fetch(url: str, sha256: str, downloads: Path) -> Path:
    """Return the folder that holds what an archive unpacks to; it is downloaded where that has not been done.

    Args:
        url: http or https, of a tar archive (plain, gz, bz2, xz) or a zip archive.
        sha256: what it must hash to, 64 hex digits.
        downloads: a folder that keeps downloads; may be shared by projects.

    Raises:
        UserError: there is no network, no such file, another checksum, or an archive that is damaged or would write
            outside its folder. The message says what to do.
    """
    place = downloads / f"{_name(url)}-{sha256[:16]}"
    if place.is_dir():
        return place
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as failure:
        raise UserError(files.write_failure(failure, downloads) or f"cannot write {downloads}: {failure}") from failure
    with _alone(place.with_name(f"{place.name}.lock")):
        if not place.is_dir():  # another process may have made it while this one waited
            partial = place.with_name(f"{place.name}.part")
            _download(url, partial)
            _verify(url, partial, sha256)
            log.info(f"unpacking {_name(url)}", to=place)
            with files.replacing_folder(place) as temporary:
                unpack(partial, temporary, url)
            partial.unlink()
    return place


def _name(url: str) -> str:
    return re.sub(r"[^\w.-]", "_", unquote(PurePosixPath(urlsplit(url).path).name)).lstrip(".") or "archive"


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep two experiments from downloading into one file."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(url: str, partial: Path) -> None:
    for pause in (*PAUSES_S, None):
        try:
            _receive(url, partial)
            return
        except (OSError, HTTPException) as failure:
            if told := _failure_of_disk(failure, partial):
                raise UserError(told) from failure
            final = isinstance(failure, HTTPError) and 400 <= failure.code < 500 and failure.code not in _MAY_PASS
            if final or pause is None:
                raise UserError(_not_downloaded(url, partial, failure)) from failure
            log.warning(f"{url}: {_reason(failure)}; trying again in {pause:g} s")
            time.sleep(pause)


def _failure_of_disk(failure: Exception, partial: Path) -> str | None:
    if isinstance(failure, OSError) and not isinstance(failure, URLError):
        return files.write_failure(failure, partial)
    return None


def _not_downloaded(url: str, partial: Path, failure: Exception) -> str:
    kept = f" ({partial.stat().st_size / 1e6:.1f} MB are kept in {partial})" if partial.exists() else ""
    return (
        f"cannot download {url} to {partial.with_suffix('')}: {_reason(failure)}; check the address and the network "
        f"and run again, which goes on where it broke off{kept}, or download {_name(url)} by hand, unpack it, and set "
        "`path` to the folder instead of `url` and `sha256` in ingest.corpora"
    )


def _reason(failure: Exception) -> str:
    if isinstance(failure, HTTPError):
        return f"the server answers {failure.code} {failure.reason}"
    return str(failure.reason if isinstance(failure, URLError) else failure) or type(failure).__name__


def _receive(url: str, partial: Path) -> None:
    """Append to `partial` what it lacks; from the start where the server can't send a part.

    Raises:
        OSError, HTTPException: the connection failed or broke, or the server answered with an error.
    """
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"User-Agent": "wakeword", "Accept-Encoding": "identity"}
    try:
        response = urlopen(
            Request(url, headers=headers | ({"Range": f"bytes={have}-"} if have else {})), timeout=_TIMEOUT_S
        )
    except HTTPError as failure:
        failure.close()
        if failure.code == _OUT_OF_RANGE and have:
            return  # nothing lies beyond what is here; the checksum tells whether it is whole
        raise
    with response:
        resumed = response.status == _PARTIAL
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            partial.unlink(missing_ok=True)
            raise ConnectionError("the server sent another part than was asked for")
        expected = response.length
        with partial.open("ab" if resumed else "wb") as file:
            got = 0
            for block in _shown(_blocks(response), expected, _name(url)):
                file.write(block)
                got += len(block)
        if expected is not None and got < expected:
            raise ConnectionError(f"the connection broke after {got} of {expected} bytes")


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    while block := response.read(_BLOCK):
        yield block


def _shown(blocks: Iterable[bytes], expected: int | None, name: str) -> Iterable[bytes]:
    log.info(f"downloading {name}", **({"MB": round(expected / 1e6, 1)} if expected is not None else {}))
    return log.progress(blocks, -(-expected // _BLOCK), f"MiB of {name}") if expected else blocks


def _verify(url: str, partial: Path, sha256: str) -> None:
    with partial.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        partial.unlink()
        raise UserError(
            f"{url}: the SHA-256 of what was downloaded is {found}, ingest.corpora says {sha256}; it was removed. Run "
            "again in case it was damaged on the way; if it comes out the same, the file is another one than you meant"
        )


# RuntimeError is zipfile's for a password, and for a method that it does not know.
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, LZMAError, EOFError, RuntimeError)


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpack a tar or zip archive into an existing folder, plain files and folders only.

    Args:
        archive: the file.
        folder: gets its content.
        name: what to call the archive in messages.

    Raises:
        UserError: it is no such archive, is damaged, or holds a link, a device, or a path that leads outside.
    """
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                for member in tar:
                    _refuse_unsafe(name, member.name, plain=member.isfile() or member.isdir())
                    tar.extract(member, folder, filter="data")
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack:
                for info in pack.infolist():
                    kind = stat.S_IFMT(info.external_attr >> 16)
                    _refuse_unsafe(name, info.filename, plain=kind in (0, stat.S_IFREG, stat.S_IFDIR))
                    pack.extract(info, folder)
        else:
            raise UserError(f"{name} is neither a tar nor a zip archive; correct url in ingest.corpora")
    except (*_BROKEN, OSError) as failure:
        if isinstance(failure, OSError) and failure.errno is not None:  # the disk's failure, not the archive's
            raise
        raise UserError(
            f"{name} cannot be unpacked: {failure}; unpack it by hand and set `path` to the folder"
        ) from failure


def _refuse_unsafe(archive: str, member: str, plain: bool) -> None:
    path = PurePosixPath(member.replace("\\", "/"))
    outside = path.is_absolute() or ".." in path.parts
    if outside or not plain:
        what = "leads outside its folder" if outside else "is a link or a device"
        raise UserError(
            f"{archive} holds '{member}', which {what}: nothing of it was kept. Use another copy, or unpack it by "
            "hand and set `path` to the folder"
        )
