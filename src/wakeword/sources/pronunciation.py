"""The phonemes of texts, as espeak-ng would say them; found in worker processes, for it can crash."""

import itertools
from collections.abc import Iterable

from wakeword.base import log
from wakeword.engines.espeak_library import phonemes, voices_of
from wakeword.workers import Crash, ordered_map

Phonemes = tuple[str, ...]
Request = tuple[str, str]
"""An accent and a text."""

_CHUNK = 2_000


def pronounce(requests: Iterable[Request], workers: int) -> dict[Request, Phonemes]:
    """Return the phonemes of texts, each in an accent; see `wakeword.engines.espeak_library.phonemes`.

    A text on which espeak-ng crashes has none, like one that it can't say.
    """
    wanted = sorted(set(requests))
    jobs = [wanted[at : at + _CHUNK] for at in range(0, len(wanted), _CHUNK)]
    found: dict[Request, Phonemes] = {}
    while jobs:
        crashed = []
        for job, answer in zip(jobs, ordered_map(_pronounced, jobs, min(workers, len(jobs))), strict=True):
            if not isinstance(answer, Crash):
                found.update(zip(job, answer, strict=True))
            elif len(job) > 1:
                crashed += [job[: len(job) // 2], job[len(job) // 2 :]]
            else:
                log.warning("espeak-ng crashed on a text", text=job[0][1], voice=job[0][0], reason=answer.reason)
                found[job[0]] = ()
        jobs = crashed
    return found


def without_marks(said: Phonemes) -> Phonemes:
    """Leave out the marks of changes to another language, such as "(en)"."""
    return tuple(token for token in said if not token.startswith("("))


def transcripts(texts: Iterable[tuple[str, str]], workers: int) -> dict[tuple[str, str], str]:
    """Return the phonemes, apart by spaces, of (language, text) pairs; of those that espeak-ng can say.

    A text is transcribed in the usual accent of its language, whoever says it. A warning names languages that
    espeak-ng does not know.
    """
    wanted = set(texts)
    languages = {language for language, _ in wanted}
    accents = {language: usual[0] for language in languages if (usual := voices_of(language))}
    if unknown := sorted(languages - set(accents)):
        log.warning(
            "espeak-ng does not know these languages, so that the phonemes of their texts are not learned; name them "
            "by the codes of ISO 639-1, such as sv",
            languages=unknown,
        )
    requests = {pair: (accents[pair[0]], pair[1]) for pair in wanted if pair[0] in accents}
    said = pronounce(requests.values(), workers)
    return {pair: " ".join(sounds) for pair, request in requests.items() if (sounds := without_marks(said[request]))}


def _pronounced(requests: list[Request]) -> list[Phonemes]:
    found = []
    for voice, group in itertools.groupby(requests, key=lambda request: request[0]):
        found += phonemes([text for _, text in group], voice)
    return found
