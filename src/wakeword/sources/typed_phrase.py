"""From a typed phrase to a list of utterances: what is to be said. Who says it, and how, stands in `casting`.

Positives say the phrase. Negatives are running words, words that sound nearly like the phrase, and parts of the phrase;
none of them holds the phrase, as text or as a sequence of phonemes in any accent used. All speakers say both.

Each utterance depends on the seed, its kind of use and its own number, not on how many there are: more utterances
leave the earlier ones as they were.
"""

import itertools
import math
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import wordfreq

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Label
from wakeword.engines.espeak import accents
from wakeword.engines.espeak_library import phonemes
from wakeword.sources.casting import casting
from wakeword.sources.synthesis import Utterance
from wakeword.sources.synthesis_config import KEY, SynthesisConfig
from wakeword.workers import Crash, count, ordered_map

Kind = Literal["sentence", "similar", "part"]
Phonemes = tuple[str, ...]
Saying = Callable[[str], Phonemes]
"""Gives the phonemes of a text in the main accent."""

_VOCABULARY = 20_000
_SCRIPT_WORDS = 2_000
_WORDS_IN_SENTENCE = (3, 9)
# Plain frequencies would make every other word "the" or "of"; this keeps their order and spreads the sounds.
_FREQUENCY_EXPONENT = 0.75
_SIMILAR = 300
_FARTHEST_SHARE = 0.6
_NEIGHBOURS = 60
_COMBINED = 12
_FRAGMENTS = 60
# Few texts hold the phrase; each that does is drawn again, many times at once because asking espeak-ng takes a second.
_ATTEMPTS = (range(1), range(1, 9), range(9, 40))
_CHUNK = 2_000
# Phonemes a letter: words that espeak-ng reads in another language have about 1, letters that it names over 2.
_SPELLED = 1.6
_GOLDEN_SHARE = (math.sqrt(5) - 1) / 2

# espeak-ng's names of languages that wordfreq calls otherwise.
_OTHER_NAMES = {"bs": "sh", "cmn": "zh", "hr": "sh", "no": "nb", "sr": "sh"}

_POSITIVE, _NEGATIVE, _TEXT = 1, 2, 3


def utterances(
    config: SynthesisConfig,
    phrases: Sequence[str],
    language: str,
    seed: int,
    workers: int | None = None,
    root: Path = Path(),
) -> list[Utterance]:
    """Return everything that is to be said: the positives of each phrase in turn, then the negatives.

    `workers` processes find the phonemes of candidates, one a core by default; the result does not depend on it.
    Voices that are files lie below `root`.

    Raises:
        UserError: an engine or `wordfreq` does not know the language, an engine or a voice is not there, or a phrase
            can't be said or is so short that all speech holds it. The message names the key and the remedy.
    """
    spoken = _Spoken(accents(config.engines.espeak, language), count(workers))
    cast = casting(config, language, seed, root)
    _check_writing(phrases, language)
    words = _usual_words(language) if config.negatives else []
    spoken.learn([*phrases, *(word for phrase in phrases for word in phrase.split())], main_only=words)
    _check_sound(phrases, language, spoken)

    def utterance(stream: Sequence[int], index: int, text: str, phrase: str | None, kind: str) -> Utterance:
        label: Label = "positive" if phrase else "negative" if kind == "sentence" else "hard_negative"
        return Utterance(text, label, phrase, kind, language, *cast(stream, index))

    positives = [
        utterance([_POSITIVE, _number(phrase)], index, phrase, phrase, "phrase")
        for phrase in phrases
        for index in range(config.positives)
    ]
    shares = {"sentence": config.kinds.sentence, "similar": config.kinds.similar, "part": config.kinds.part}
    kinds = [_kind(shares, index) for index in range(config.negatives)]
    texts = _negative_texts(kinds, phrases, _vocabulary(language, words, spoken), spoken, seed) if kinds else []
    negatives = [
        utterance([_NEGATIVE], index, text, None, kind)
        for index, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    ]
    return positives + negatives


def _kind(shares: dict[str, float], index: int) -> Kind:
    """Return the kind of negative `index`; the golden ratio's multiples keep to the shares from the first ones on."""
    point = (0.5 + index * _GOLDEN_SHARE) % 1
    bounds = itertools.accumulate(shares.values())
    reached: list[Kind] = ["sentence", "similar", "part"]
    return next((kind for kind, bound in zip(reached, bounds, strict=True) if point < bound), _last_used(shares))


def _last_used(shares: dict[str, float]) -> Kind:
    used: list[Kind] = ["part", "similar", "sentence"]
    return next(kind for kind in used if shares[kind] > 0)


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


# --- Phonemes ---------------------------------------------------------------------------------------------------------


Request = tuple[str, str]  # accent and text


def _phonemes_of(requests: list[Request]) -> list[Phonemes]:
    found = []
    for voice, group in itertools.groupby(requests, key=lambda request: request[0]):
        found += phonemes([text for _, text in group], voice)
    return found


class _Spoken:
    """The phonemes of texts in some accents, found in worker processes and remembered.

    A text on which espeak-ng crashes has no phonemes, like one that it can't say.
    """

    def __init__(self, accents: list[str], workers: int) -> None:
        self.accents = accents
        self.workers = workers
        self.main = accents[0]
        self._known: dict[Request, Phonemes] = {}
        self._foreign: set[str] = set()

    def learn(self, texts: Iterable[str], main_only: Iterable[str] = ()) -> None:
        """Find the phonemes of texts in every accent, and of others in the main accent; at once, for processes cost."""
        requests = [(self.main, text) for text in main_only] + [
            (voice, text) for voice, text in itertools.product(self.accents, list(texts))
        ]
        unknown = sorted(set(requests) - set(self._known))
        jobs = [unknown[at : at + _CHUNK] for at in range(0, len(unknown), _CHUNK)]
        while jobs:
            crashed = []
            for job, answer in zip(jobs, ordered_map(_phonemes_of, jobs, min(self.workers, len(jobs))), strict=True):
                if not isinstance(answer, Crash):
                    self._remember(job, answer)
                elif len(job) > 1:
                    crashed += [job[: len(job) // 2], job[len(job) // 2 :]]
                else:
                    log.warning("espeak-ng crashed on a text", text=job[0][1], voice=job[0][0], reason=answer.reason)
                    self._remember(job, [()])
            jobs = crashed

    def _remember(self, requests: list[Request], answers: list[Phonemes]) -> None:
        for (voice, text), said in zip(requests, answers, strict=True):
            sounds = tuple(token for token in said if not token.startswith("("))
            self._known[voice, text] = sounds
            if len(sounds) < len(said):
                self._foreign.add(text)

    def say(self, text: str) -> Phonemes:
        """Return the phonemes in the main accent."""
        return self._known[self.main, text]

    def forms(self, text: str) -> set[Phonemes]:
        """Return the phonemes in every accent."""
        return {self._known[voice, text] for voice in self.accents}

    def is_foreign(self, text: str) -> bool:
        """Say whether espeak-ng changes to another language for it, as it does for words and letters it can't read."""
        return text in self._foreign


def _holds(whole: Phonemes, part: Phonemes) -> bool:
    return any(whole[at : at + len(part)] == part for at in range(len(whole) - len(part) + 1))


def _cannot_say(phrase: str, language: str, why: str) -> UserError:
    return UserError(f"params.yaml: 'phrases' holds {phrase!r}, which can't be said in language '{language}': {why}")


def _check_writing(phrases: Sequence[str], language: str) -> None:
    scripts = _scripts(language)
    for phrase in phrases:
        if not phrase.isprintable():
            raise _cannot_say(phrase, language, "it has control characters; type it again")
        if not any(unicodedata.category(letter)[0] in "LN" for letter in phrase):
            raise _cannot_say(phrase, language, "it has no letters; write the words as they are spoken")
        for letter in phrase:
            if scripts and letter.isalpha() and _script(letter) not in {"LATIN", *scripts}:
                script = _script(letter).capitalize()
                why = f"'{letter}' is {script}; set 'language' to the phrase's own, or spell it otherwise"
                raise _cannot_say(phrase, language, why)


def _check_sound(phrases: Sequence[str], language: str, spoken: _Spoken) -> None:
    for phrase in phrases:
        if not all(spoken.forms(phrase)):
            raise _cannot_say(phrase, language, "espeak-ng finds no phonemes for it; spell it otherwise")
        if spoken.is_foreign(phrase) and len(spoken.say(phrase)) > _SPELLED * sum(map(str.isalpha, phrase)):
            why = "espeak-ng would name its characters; write it in letters that stand for sounds"
            raise _cannot_say(phrase, language, why)


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _scripts(language: str) -> set[str]:
    """Return the scripts that make up at least 1 % of the letters of a language's usual words; none if unknown."""
    listed = _listed(language)
    words = wordfreq.top_n_list(listed, _SCRIPT_WORDS) if listed else []
    letters = Counter(_script(letter) for word in words for letter in word if letter.isalpha())
    return {script for script, number in letters.items() if number >= 0.01 * letters.total()}


# --- What the negatives say -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """The usual words of a language.

    Attributes:
        words: most frequent first.
        shares: `(words,)` float64, how often each is drawn; they sum to 1.
        phonemes: of each word, in the main accent.
    """

    words: list[str]
    shares: np.ndarray
    phonemes: list[Phonemes]

    def draw(self, number: int, rng: np.random.Generator) -> list[str]:
        return [self.words[at] for at in rng.choice(len(self.words), size=number, p=self.shares)]


def _usual_words(language: str) -> list[str]:
    """Return the most frequent words of a language, most frequent first."""
    listed = _listed(language)
    if not listed:
        known = ", ".join(sorted(wordfreq.available_languages()))
        raise UserError(
            f"params.yaml: no list of words for 'language: {language}', and negatives need one; there are lists for "
            f"{known}. Use one of these, or set '{KEY}.negatives' to 0 and give recordings as negatives"
        )
    return [word for word in wordfreq.top_n_list(listed, _VOCABULARY) if _is_word(word)]


def _vocabulary(language: str, usual: list[str], spoken: _Spoken) -> Vocabulary:
    words = [word for word in usual if spoken.say(word) and not spoken.is_foreign(word)]
    if not words:
        raise UserError(f"params.yaml: espeak-ng can't read any usual word of 'language: {language}'; use another one")
    frequencies = wordfreq.get_frequency_dict(_listed(language))
    weights = np.array([frequencies[word] for word in words]) ** _FREQUENCY_EXPONENT
    return Vocabulary(words, weights / weights.sum(), [spoken.say(word) for word in words])


def _listed(language: str) -> str | None:
    """Return what `wordfreq` calls a language, if it has it; left alone, it would take English for Swahili."""
    base = language.lower().split("-")[0]
    name = _OTHER_NAMES.get(base, base)
    return name if name in wordfreq.available_languages() else None


def _is_word(text: str) -> bool:
    """Say whether a text is a word, rather than a number, a symbol or a single letter of an alphabet."""
    if not all(unicodedata.category(letter)[0] in "LM" or letter in "'’" for letter in text):
        return False
    return len(text) > 1 or text.lower() == text.upper()


def _negative_texts(
    kinds: list[Kind], phrases: Sequence[str], vocabulary: Vocabulary, spoken: _Spoken, seed: int
) -> list[str]:
    similar = {phrase: similar_texts(phrase, vocabulary, spoken.say) for phrase in phrases}
    parts = {phrase: phrase_parts(phrase, vocabulary, spoken.say) for phrase in phrases}
    for phrase in phrases:
        if "similar" in kinds and not similar[phrase]:
            log.warning("no usual words sound nearly like the phrase; sentences stand in", phrase=phrase)

    def draw(index: int, attempt: int) -> str:
        rng = np.random.default_rng([seed, _TEXT, index, attempt])
        phrase = phrases[int(rng.integers(len(phrases)))]
        if kinds[index] == "similar" and similar[phrase]:
            return similar[phrase][int(rng.integers(len(similar[phrase])))]
        if kinds[index] == "part" and parts[phrase]:
            return _with_parts(parts[phrase], vocabulary, rng)
        low, high = _WORDS_IN_SENTENCE
        return " ".join(vocabulary.draw(int(rng.integers(low, high + 1)), rng))

    banned = _Banned(phrases, spoken)
    texts: dict[int, str] = {}
    waiting = list(range(len(kinds)))
    for attempts in _ATTEMPTS:
        drawn = {index: [draw(index, attempt) for attempt in attempts] for index in waiting}
        allowed = banned.without(text for candidates in drawn.values() for text in candidates)
        for index, candidates in drawn.items():
            texts.update((index, text) for text in candidates[::-1] if text in allowed)
        waiting = [index for index in waiting if index not in texts]
        if not waiting:
            return [texts[index] for index in range(len(kinds))]
    raise UserError(
        f"params.yaml: 'phrases' holds one so short that other speech holds it too, as {draw(waiting[0], 0)!r} does; "
        f"choose a longer phrase than {', '.join(map(repr, phrases))}"
    )


class _Banned:
    """What no negative may hold: the phrases, as words or as phonemes in any accent."""

    def __init__(self, phrases: Sequence[str], spoken: _Spoken) -> None:
        self.spoken = spoken
        self.texts = [_words(phrase) for phrase in phrases]
        self.forms = {form for phrase in phrases for form in spoken.forms(phrase)}

    def without(self, texts: Iterable[str]) -> set[str]:
        """Return the texts that can be said and hold no phrase."""
        texts = set(texts)
        self.spoken.learn(texts)
        return {text for text in texts if all(self.spoken.forms(text)) and not self._in(text)}

    def _in(self, text: str) -> bool:
        words = _words(text)
        if any(_holds(words, phrase) for phrase in self.texts):
            return True
        return any(_holds(said, form) for said in self.spoken.forms(text) for form in self.forms)


def _words(text: str) -> tuple[str, ...]:
    kept = "".join(letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in text.casefold())
    return tuple(kept.split())


def _with_parts(parts: list[str], vocabulary: Vocabulary, rng: np.random.Generator) -> str:
    """Return a part of the phrase alone, two parts in a row, or a part among other words."""
    way = rng.random()
    if way < 0.4:
        return parts[int(rng.integers(len(parts)))]
    if way < 0.6:
        return " ".join(parts[int(at)] for at in rng.integers(len(parts), size=2))
    before, after = rng.integers(0, 3, size=2)
    piece = parts[int(rng.integers(len(parts)))]
    return " ".join([*vocabulary.draw(int(before), rng), piece, *vocabulary.draw(int(max(after, before == 0)), rng)])


def phrase_parts(phrase: str, vocabulary: Vocabulary, say: Saying) -> list[str]:
    """Return what the phrase is made of, never the phrase itself.

    Runs of its words, its words in other orders, the most frequent words of the language whose phonemes (two or more)
    are a run of the phrase's ("snow", "no" and "boy" in "snowboy"), and its beginning and its end by letters.

    Args:
        phrase: a phrase whose phonemes `say` knows.
        vocabulary: where words within the phrase are looked for.
        say: gives the phonemes of a text.
    """
    words = phrase.split()
    runs = [words[start:end] for start in range(len(words)) for end in range(start + 1, len(words) + 1)]
    orders = itertools.islice(itertools.permutations(words), 24) if len(words) > 1 else ()
    sounds = say(phrase)
    inside = [
        word
        for word, said in zip(vocabulary.words, vocabulary.phonemes, strict=True)
        if 2 <= len(said) < len(sounds) and _holds(sounds, said)
    ]
    cut = []
    longest = max(words, key=len)
    if longest.lower() != longest.upper() and len(longest) >= 5:
        kept = math.ceil(0.6 * len(longest))
        cut = [longest[:kept], longest[-kept:]]
    texts = [" ".join(run) for run in [*runs, *orders]] + inside[:_FRAGMENTS] + cut
    return [text for text in dict.fromkeys(texts) if _words(text) != _words(phrase)]


def similar_texts(phrase: str, vocabulary: Vocabulary, say: Saying) -> list[str]:
    """Return words and short runs of words that sound nearly like the phrase, nearest first.

    Near is few phonemes replaced, added or left out (Levenshtein 1966), at most 60 % of the phrase's. A phrase of
    several words has one or two of them replaced; one of a single word is also cut in two and each half replaced.

    Args:
        phrase: a phrase whose phonemes, and those of its words, `say` knows.
        vocabulary: the words to choose from.
        say: gives the phonemes of a text.
    """
    whole, words = say(phrase), phrase.split()
    nearest = _Nearest(vocabulary)
    found: dict[str, int] = {}

    def add(distance: int, *texts: str) -> None:
        text = " ".join(texts)
        found[text] = min(distance, found.get(text, distance))

    for distance, word in nearest(whole, _SIMILAR):
        add(distance, word)
    if len(words) == 1:
        for cut in range(1, len(whole)):
            halves = nearest(whole[:cut], _COMBINED), nearest(whole[cut:], _COMBINED)
            for (first, left), (second, right) in itertools.product(*halves):
                add(first + second, left, right)
    others = [nearest(say(word), _NEIGHBOURS) for word in words] if len(words) > 1 else []
    for place, instead in enumerate(others):
        for distance, other in instead:
            add(distance, *words[:place], other, *words[place + 1 :])
    for first, second in itertools.combinations(range(len(others)), 2):
        for (one, left), (two, right) in itertools.product(others[first][:_COMBINED], others[second][:_COMBINED]):
            add(one + two, *words[:first], left, *words[first + 1 : second], right, *words[second + 1 :])
    near_enough = [text for text in found if 0 < found[text] <= _FARTHEST_SHARE * len(whole)]
    return sorted(near_enough, key=lambda text: (found[text], text))[:_SIMILAR]


class _Nearest:
    """Finds the words of a vocabulary that are nearest to a sequence of phonemes."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.words = vocabulary.words
        self.numbers = {token: at for at, token in enumerate(sorted({t for said in vocabulary.phonemes for t in said}))}
        self.lengths = np.array([len(said) for said in vocabulary.phonemes])
        self.table = np.full((len(self.words), int(self.lengths.max(initial=1))), -1)
        for row, said in zip(self.table, vocabulary.phonemes, strict=True):
            row[: len(said)] = [self.numbers[token] for token in said]

    def __call__(self, target: Phonemes, limit: int) -> list[tuple[int, str]]:
        """Return the `limit` nearest words with their distances, nearest first, frequent words first among equals."""
        distances = edit_distances([self.numbers.get(token, -2) for token in target], self.table, self.lengths)
        return [(int(distances[at]), self.words[at]) for at in np.argsort(distances, kind="stable")[:limit]]


def edit_distances(target: Sequence[int], table: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the Levenshtein distance of one sequence to each of many.

    Args:
        target: a sequence of numbers.
        table: `(sequences, longest)` int, each row a sequence and then anything.
        lengths: `(sequences,)` int, how much of each row counts.

    Returns:
        `(sequences,)` int.
    """
    rows, longest = table.shape
    previous = np.tile(np.arange(longest + 1), (rows, 1))
    for step, token in enumerate(target, start=1):
        current = np.empty_like(previous)
        current[:, 0] = step
        for at in range(longest):
            replaced = previous[:, at] + (table[:, at] != token)
            current[:, at + 1] = np.minimum(replaced, np.minimum(previous[:, at + 1], current[:, at]) + 1)
        previous = current
    return np.asarray(previous[np.arange(rows), lengths])
