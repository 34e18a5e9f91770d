"""espeak-ng's C library, which the `espeakng_loader` wheel carries: text in, samples or phonemes out.

The C library keeps state from one utterance to the next that no call resets (pitch flutter, gain control, the noise of
breath), so every utterance gets a freshly loaded library and is the same bytes whatever was said before it. Loading
costs about 4 ms. The library can crash: call `synthesize` and `phonemes` through `wakeword.workers.ordered_map`.
"""

import _ctypes
import ctypes
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np

# Low enough that the loudest human variant at the highest pitch stays clear of the library's gain control: it distorts.
VOLUME = 40

_SYNCHRONOUS, _DO_NOT_EXIT, _UTF8, _IPA = 2, 0x8000, 1, 2
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7
_STRESS_AND_LENGTH = str.maketrans("", "", "ˈˌːˑ̩̯͡‿'ʔ")


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def synthesize(
    text: str, voice: str, variant: str, rate_wpm: int, pitch: int, pitch_range: int, seed: int
) -> tuple[np.ndarray, int, int, str]:
    """Say a text.

    Args:
        text: what to say.
        voice: the accent, a key of `voices()` such as "en-us".
        variant: the speaker, one of `variants()` such as "f3"; "" is the voice as it comes.
        rate_wpm: nominal words a minute, 80 to 450.
        pitch: 0 to 99, 50 being the speaker's own.
        pitch_range: 0 (monotone) to 99, 50 being the speaker's own.
        seed: 0 to 2**31 - 1, of the noise in the voice.

    Returns:
        Samples, `(samples,)` int16, their rate, the number of phonemes and the library's version.

    Raises:
        ValueError: the wheel has no such voice or variant, or espeak-ng silently took another one.
    """
    chunks: list[bytes] = []

    def keep(samples: int | None, count: int, _events: int | None) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    callback = _Callback(keep)  # must outlive the synthesis
    with _library(voice, variant) as library:
        phoneme_count = len(_phonemes(library, text))
        library.espeak_SetSynthCallback(callback)
        parameters = {_RATE: rate_wpm, _VOLUME: VOLUME, _PITCH: pitch, _RANGE: pitch_range, _WORD_GAP: 0}
        for name, value in parameters.items():
            _check(library.espeak_SetParameter(name, value, 0), f"parameter {name} = {value}")
        library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        ctypes.CDLL(None).srand(ctypes.c_uint(seed))
        encoded = text.encode() + b"\0"
        status = library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, _UTF8, None, None)
        _check(status, repr(text))
        _check(library.espeak_Synchronize(), repr(text))
        rate = int(library.espeak_ng_GetSampleRate())
        version = library.espeak_Info(None).decode().split()[0]
    return np.frombuffer(b"".join(chunks), dtype=np.int16), rate, phoneme_count, version


def phonemes(texts: Sequence[str], voice: str) -> list[tuple[str, ...]]:
    """Return the phonemes (IPA, without stress, length and word limits) with which `voice` says each text.

    A text with nothing to say gives an empty tuple. Where espeak-ng changes to another language within a text, a mark
    such as "(en)" stands among the phonemes.

    Raises:
        ValueError: the wheel has no such voice.
    """
    with _library(voice, "") as library:
        return [_phonemes(library, text) for text in texts]


def transcribed(text: str, voice: str) -> str:
    """Return a text as `voice` says it: IPA with stress and length, words and clauses apart.

    Raises:
        ValueError: the wheel has no such voice.
    """
    with _library(voice, "") as library:
        return ", ".join(clause for clause in _clauses(library, text, _IPA) if clause)


@cache
def voices() -> dict[str, str]:
    """Return the accents that the wheel carries: language code, such as "en-us", to voice file, such as "gmw/en-US"."""
    found = {}
    for path in sorted(_language_folder().rglob("*")):
        if path.is_file() and (codes := _language_codes(path)):
            found[codes[0][0]] = path.relative_to(_language_folder()).as_posix()
    return found


def voices_of(language: str) -> list[str]:
    """Return the accents of a language, the usual one first; none if espeak-ng does not know it.

    Of a country's kind of it that espeak-ng has not, they are those of the language: of "sv" for "sv-SE".
    Accents that differ only in the script they read ("cmn-latn-pinyin", "en-shaw") are left out.
    """
    wanted = language.lower()
    ranked = []
    for code, file in voices().items():
        ranks = dict(_language_codes(_language_folder() / file))
        related = code == wanted or code.startswith(f"{wanted}-")
        if (related or wanted in ranks) and not any(len(part) == 4 for part in code.split("-")[1:]):
            ranked.append((not related, ranks.get(wanted, 99), code))
    ranked.sort()
    # "zh" names Mandarin and, further down, Cantonese: other languages, not accents.
    found = [code for other, _, code in ranked if not other] or [code for _, _, code in ranked[:1]]
    return found if found or "-" not in wanted else voices_of(wanted.split("-")[0])


@cache
def variants() -> tuple[str, ...]:
    """Return the speakers that the wheel carries, sorted, "" (each voice as it comes) first."""
    return ("", *sorted(path.name for path in (_data_folder() / "voices" / "!v").iterdir()))


@contextmanager
def _library(voice: str, variant: str) -> Iterator[ctypes.CDLL]:
    """Load the library afresh with a voice set, and unload it at the end."""
    if voice not in voices() or variant not in variants():
        raise ValueError(f"the espeak-ng wheel has no voice '{voice}+{variant}'")
    identifier = voices()[voice] + (f"+{variant}" if variant else "")
    path = espeakng_loader.get_library_path()
    if _is_loaded(path):
        raise RuntimeError(f"{path} is in use elsewhere in this process, so its state can't be reset")
    library = ctypes.CDLL(path)
    try:
        library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_Info.restype = ctypes.c_char_p
        data = str(_data_folder()).encode()
        if library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DO_NOT_EXIT) <= 0:
            raise RuntimeError(f"espeak-ng can't read its data in {_data_folder()}; install espeakng-loader again")
        _check(library.espeak_SetVoiceByName(identifier.encode()), f"voice {identifier}")
        # An unknown variant is no error to espeak-ng: it takes the plain voice.
        loaded = library.espeak_GetCurrentVoice().contents.identifier.decode()
        if loaded != identifier:
            raise ValueError(f"espeak-ng took voice '{loaded}' instead of '{identifier}'")
        yield library
    finally:
        library.espeak_Terminate()
        _ctypes.dlclose(library._handle)


def _is_loaded(path: str) -> bool:
    try:
        handle = _ctypes.dlopen(path, os.RTLD_NOLOAD | os.RTLD_LAZY)
    except OSError:
        return False
    _ctypes.dlclose(handle)
    return True


def _check(status: int, what: str) -> None:
    if status != 0:
        raise ValueError(f"espeak-ng refuses {what} (status {status})")


def _phonemes(library: ctypes.CDLL, text: str) -> tuple[str, ...]:
    separator = ord("_") << 8
    clauses = " ".join(_clauses(library, text, _IPA | separator))
    tokens = re.split(r"[\s_]+|(?<=\))|(?=\()", clauses.translate(_STRESS_AND_LENGTH))
    return tuple(token for token in tokens if token.strip("-"))


def _clauses(library: ctypes.CDLL, text: str, mode: int) -> Iterator[str]:
    rest = ctypes.c_char_p(text.encode())
    while rest.value:
        yield library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, mode).decode()


@cache
def _data_folder() -> Path:
    return Path(espeakng_loader.get_data_path())


def _language_folder() -> Path:
    return _data_folder() / "lang"


@cache
def _language_codes(voice_file: Path) -> list[tuple[str, int]]:
    """Return the codes that a voice file answers to, its own first, with espeak-ng's rank (lower is preferred)."""
    lines = re.findall(r"^\s*language\s+(\S+)[ \t]*(\d*)", voice_file.read_text(errors="replace"), re.MULTILINE)
    return [(code.lower(), int(rank or 5)) for code, rank in lines]
