"""Speech in other languages than the phrase's, which sets off a detector that never heard any (docs/experiments.md)."""

from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import wordfreq

from wakeword.base import log
from wakeword.engines.espeak_library import voices_of
from wakeword.sources.casting import foreign_casting
from wakeword.sources.pronunciation import Phonemes, Request, pronounce, without_marks
from wakeword.sources.sentences import Vocabulary, is_word, listed_as, sentence, shares_of, words_alone
from wakeword.sources.synthesis import Utterance
from wakeword.sources.synthesis_config import SynthesisConfig

SENTENCE, WORD = "foreign_sentence", "foreign_word"
"""Kinds of such negatives, by which evaluation reports."""

_SENTENCES = 0.6  # the share of them; the rest are words alone
_WORDS = 2_000
_TEXT = 8
_ATTEMPTS = 20

Holds = Callable[[str, Iterable[Phonemes]], bool]
"""Says whether a text that sounds so holds a wake phrase."""


def foreign_utterances(
    config: SynthesisConfig, language: str, seed: int, holds: Holds, workers: int
) -> list[Utterance]:
    """Return what is said in other languages, which take turns; each utterance depends on its own number and `seed`.

    Args:
        config: the section `ingest.synthesis`.
        language: ISO 639 code of the phrases.
        seed: of every choice.
        holds: what it says yes to is drawn again.
        workers: processes that find phonemes; the result does not depend on it.
    """
    if config.engines.espeak is None or not config.foreign:
        return []
    known = other_languages(language)
    cast = foreign_casting(config, config.engines.espeak, seed)

    def draw(index: int, attempt: int) -> Utterance:
        spoken_in = known[index % len(known)]
        rng = np.random.default_rng([seed, _TEXT, index, attempt])
        running = bool(rng.random() < _SENTENCES)
        text = (sentence if running else words_alone)(_vocabulary(spoken_in), rng)
        by = cast(spoken_in, index, running)
        return Utterance(text, "negative", None, SENTENCE if running else WORD, spoken_in, *by)

    said: dict[int, Utterance] = {}
    waiting = list(range(config.foreign))
    for attempt in range(_ATTEMPTS):
        utterances = {index: draw(index, attempt) for index in waiting}
        sounds = pronounce(map(_request, utterances.values()), workers)
        for index, utterance in utterances.items():
            phonemes = without_marks(sounds[_request(utterance)])
            if phonemes and not holds(utterance.text, [phonemes]):
                said[index] = utterance
        waiting = [index for index in waiting if index not in said]
        if not waiting:
            break
    if waiting:
        log.warning("texts of other languages could not be said, or hold the phrase", left_out=len(waiting))
    return [said[index] for index in sorted(said)]


def other_languages(language: str) -> list[str]:
    """Return the languages, as `wordfreq` calls them, that it and espeak-ng know, `language` left out."""
    return [code for code in sorted(wordfreq.available_languages()) if code != listed_as(language) and voices_of(code)]


def _request(utterance: Utterance) -> Request:
    return voices_of(utterance.language)[0], utterance.text


@cache
def _vocabulary(language: str) -> Vocabulary:
    """Return the most usual words of a language; their phonemes are not looked for."""
    # Words of a list are in groups of equal frequency, each a hundredth of a factor of ten rarer than the one before.
    words = [
        (word, 10.0 ** (-group / 100))
        for group, members in enumerate(wordfreq.get_frequency_list(language, "small"))
        for word in members
        if is_word(word)
    ][:_WORDS]
    return Vocabulary([word for word, _ in words], shares_of(np.array([frequency for _, frequency in words])), [])
