"""From a typed phrase to a list of utterances: what is to be said. Who says it, and how, stands in `casting`.

Positives say the phrase. Negatives are running sentences, usual words by themselves, words that sound nearly like the
phrase, parts of the phrase, the same in another order, and the phrase's own and nearly the same words within running
sentences; none of them holds the phrase, as text or as a sequence of phonemes in any accent used. All speakers say
both. What is said in other languages stands in `foreign`.

Each utterance depends on the seed, its kind of use and its own number, not on how many there are: more utterances
leave the earlier ones as they were.
"""

import itertools
import math
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import wordfreq

from wakeword.base import log
from wakeword.base.errors import UserError
from wakeword.corpus.manifest import Label
from wakeword.engines.espeak import accents
from wakeword.sources.casting import casting
from wakeword.sources.foreign import foreign_utterances
from wakeword.sources.phoneme_distance import difference
from wakeword.sources.pronunciation import Phonemes, Request, pronounce, without_marks
from wakeword.sources.sentences import Vocabulary, is_word, listed_as, sentence, shares_of, words_alone
from wakeword.sources.synthesis import Utterance
from wakeword.sources.synthesis_config import KEY, Kind, SynthesisConfig
from wakeword.sources.texts import words_of
from wakeword.workers import count

Saying = Callable[[str], Phonemes]
"""Gives the phonemes of a text in the main accent."""

_VOCABULARY = 20_000
_SCRIPT_WORDS = 2_000
_SIMILAR = 300
# In differences of one phoneme. What is nearer is what another accent makes of the phrase: in those of espeak-ng "hey
# computer" is 0.2 to 0.7 from itself, and "hi computer" 0.2 from it.
_NEAREST = 0.35
_FARTHEST_SHARE = 0.6
_NEIGHBOURS = 60
_COMBINED = 12
_FRAGMENTS = 60
_ORDERS = 24
_REORDERED_PARTS = 8
_NEAR = 60
# Few texts hold the phrase; each that does is drawn again, many times at once because asking espeak-ng takes a second.
_ATTEMPTS = (range(1), range(1, 9), range(9, 40))
# Phonemes a letter: words that espeak-ng reads in another language have about 1, letters that it names over 2.
_SPELLED = 1.6
# Phonemes that no letter stands for; "letter 1EC5" has some 13, and "Chinese letter" 9.
_NAMED = 6
_GOLDEN_SHARE = (math.sqrt(5) - 1) / 2

# Written in these, too, though the words that wordfreq lists are not.
_MORE_SCRIPTS = {"bs": {"CYRILLIC"}, "sr": {"CYRILLIC"}}

# Kinds of negatives that are the same whatever the phrase is.
_GENERAL: frozenset[Kind] = frozenset({"sentence", "word"})
RUNNING: frozenset[Kind] = frozenset({"sentence", "in_sentence"})
"""Kinds of negatives that are running speech, which people say faster than a wake phrase."""

_POSITIVE, _NEGATIVE, _TEXT = 1, 2, 3
_JOINERS = "\u200c\u200d"  # with which Persian and scripts of India are spelled


def utterances(
    config: SynthesisConfig,
    phrases: Sequence[str],
    language: str,
    seed: int,
    workers: int | None = None,
    root: Path = Path(),
) -> list[Utterance]:
    """Return everything that is to be said: the positives of each phrase in turn, the negatives, other languages.

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
    split = [word for phrase in phrases for word in phrase.split()]
    spoken.learn([*phrases, *split], main_only=[*words, *(rest for phrase in phrases for _, rest in _without(phrase))])
    _check_sound(phrases, language, spoken)
    _check_apart(phrases, spoken)

    def utterance(stream: Sequence[int], index: int, text: str, phrase: str | None, kind: str) -> Utterance:
        label: Label = "positive" if phrase else "negative" if kind in _GENERAL else "hard_negative"
        return Utterance(text, label, phrase, kind, language, *cast(stream, index, kind in RUNNING))

    positives = [
        utterance([_POSITIVE, _number(phrase)], index, phrase, phrase, "phrase")
        for phrase in phrases
        for index in range(config.positives)
    ]
    shares = config.kinds.shares()
    kinds = [_kind(shares, index) for index in range(config.negatives)]
    banned = _Banned(phrases, spoken)
    texts = _negative_texts(kinds, phrases, _vocabulary(language, words, spoken), spoken, banned, seed) if kinds else []
    negatives = [
        utterance([_NEGATIVE], index, text, None, kind)
        for index, (kind, text) in enumerate(zip(kinds, texts, strict=True))
    ]
    return positives + negatives + foreign_utterances(config, language, seed, banned.hold, spoken.workers)


def _kind(shares: dict[Kind, float], index: int) -> Kind:
    """Return the kind of negative `index`; the golden ratio's multiples keep to the shares from the first ones on."""
    point = (0.5 + index * _GOLDEN_SHARE) % 1
    used = [kind for kind, share in shares.items() if share > 0]
    bounds = itertools.accumulate(shares[kind] for kind in used)
    return next((kind for kind, bound in zip(used, bounds, strict=True) if point < bound), used[-1])


def _number(text: str) -> int:
    return zlib.crc32(text.encode())


# --- Phonemes ---------------------------------------------------------------------------------------------------------


class _Spoken:
    """The phonemes of texts in some accents, remembered."""

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
        for (voice, text), said in pronounce(set(requests) - set(self._known), self.workers).items():
            sounds = without_marks(said)
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


def _sounds(whole: Phonemes, part: Phonemes) -> bool:
    """Say whether a run of phonemes is written as `part`, however either is cut: "white shoes" sounds "why choose"."""
    edges = list(itertools.accumulate(map(len, whole), initial=0))
    line, run = "".join(whole), "".join(part)
    return any(line.startswith(run, start) and start + len(run) in edges for start in edges)


def _single(said: Phonemes) -> Phonemes:
    """Leave out repetitions, which nobody hears: "snowb boy" sounds "snowboy", and Japanese "ää" "ä"."""
    once = ("".join(letter for letter, _ in itertools.groupby(token)) for token in said)
    return tuple(token for token, _ in itertools.groupby(once))


def _cannot_say(phrase: str, language: str, why: str) -> UserError:
    return UserError(f"params.yaml: 'phrases' holds {phrase!r}, which can't be said in language '{language}': {why}")


def _check_writing(phrases: Sequence[str], language: str) -> None:
    scripts = _scripts(language)
    for phrase in phrases:
        if not all(letter.isprintable() or letter in _JOINERS for letter in phrase):
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
        for letter, rest in _without(phrase):
            said, silent = len(spoken.say(phrase)), len(spoken.say(rest))
            if said > silent + _NAMED:
                why = f"espeak-ng would name letters, probably '{letter}'; write the word in letters that it reads"
                raise _cannot_say(phrase, language, why)
            if _script(letter) == "CJK" and said == silent:
                why = f"espeak-ng leaves out '{letter}'; write it as it sounds"
                raise _cannot_say(phrase, language, why)


def _check_apart(phrases: Sequence[str], spoken: _Spoken) -> None:
    for phrase, other in itertools.permutations(phrases, 2):
        if any(_sounds(said, part) for said in spoken.forms(phrase) for part in spoken.forms(other)):
            raise UserError(
                f"params.yaml: 'phrases' holds {phrase!r} and {other!r}, but who says the first says the second, so "
                "that each would be taught as a mistake of the other; keep one, or train a model for each"
            )


def _without(phrase: str) -> list[tuple[str, str]]:
    """Return each letter beyond ASCII that a phrase has, and the phrase without one of it."""
    letters = dict.fromkeys(letter for letter in phrase if letter.isalpha() and not letter.isascii())
    return [(letter, phrase.replace(letter, "", 1)) for letter in letters]


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").split()[0]


def _scripts(language: str) -> set[str]:
    """Return the scripts that make up at least 1 % of the letters of a language's usual words; none if unknown."""
    listed = listed_as(language)
    words = wordfreq.top_n_list(listed, _SCRIPT_WORDS) if listed else []
    letters = Counter(_script(letter) for word in words for letter in word if letter.isalpha())
    usual = {script for script, number in letters.items() if number >= 0.01 * letters.total()}
    return usual | _MORE_SCRIPTS.get(language.lower().split("-")[0], set()) if usual else usual


# --- What the negatives say -------------------------------------------------------------------------------------------


def _usual_words(language: str) -> list[str]:
    """Return the most frequent words of a language, most frequent first."""
    listed = listed_as(language)
    if not listed:
        known = ", ".join(sorted(wordfreq.available_languages()))
        raise UserError(
            f"params.yaml: no list of words for 'language: {language}', and negatives need one; there are lists for "
            f"{known}. Use one of these, or set '{KEY}.negatives' to 0 and give recordings as negatives"
        )
    return [word for word in wordfreq.top_n_list(listed, _VOCABULARY) if is_word(word)]


def _vocabulary(language: str, usual: list[str], spoken: _Spoken) -> Vocabulary:
    words = [word for word in usual if spoken.say(word) and not spoken.is_foreign(word)]
    if not words:
        raise UserError(f"params.yaml: espeak-ng can't read any usual word of 'language: {language}'; use another one")
    frequencies = wordfreq.get_frequency_dict(listed_as(language))
    shares = shares_of(np.array([frequencies[word] for word in words]))
    return Vocabulary(words, shares, [spoken.say(word) for word in words])


def _negative_texts(
    kinds: list[Kind],
    phrases: Sequence[str],
    vocabulary: Vocabulary,
    spoken: _Spoken,
    banned: "_Banned",
    seed: int,
) -> list[str]:
    choices = {phrase: _choices(phrase, vocabulary, spoken.say) for phrase in phrases}
    for phrase, kind in itertools.product(phrases, sorted(set(kinds) - _GENERAL)):
        if not choices[phrase][kind]:
            log.warning(f"there is nothing of the kind '{kind}' for the phrase; sentences stand in", phrase=phrase)

    def draw(index: int, attempt: int) -> str:
        rng = np.random.default_rng([seed, _TEXT, index, attempt])
        if kinds[index] == "word":
            return words_alone(vocabulary, rng)
        choice = choices[phrases[int(rng.integers(len(phrases)))]][kinds[index]]
        if kinds[index] in RUNNING or not choice:
            return sentence(vocabulary, rng, choice)
        return choice[int(rng.integers(len(choice)))]

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


def _choices(phrase: str, vocabulary: Vocabulary, say: Saying) -> dict[Kind, list[str]]:
    """Return what each kind of negative may say of a phrase; `in_sentence` amid other words."""
    similar, parts = similar_texts(phrase, vocabulary, say), phrase_parts(phrase, vocabulary, say)
    # A phrase of one word has no known words but those that it is made of.
    known = [" ".join(run) for run in _runs(phrase.split())] or parts
    near = similar[:_NEAR]
    within = [*itertools.islice(itertools.cycle(known), max(len(known), len(near))), *near]  # about as many of each
    return {
        "sentence": [],
        "similar": similar,
        "part": parts,
        "reordered": reordered(phrase, parts),
        "in_sentence": within,
    }


class _Banned:
    """What no negative may hold: the phrases, as words or as phonemes in any accent."""

    def __init__(self, phrases: Sequence[str], spoken: _Spoken) -> None:
        self.spoken = spoken
        self.texts = [words_of(phrase) for phrase in phrases]
        self.forms = {_single(form) for phrase in phrases for form in spoken.forms(phrase)}

    def without(self, texts: Iterable[str]) -> set[str]:
        """Return the texts that can be said and hold no phrase."""
        texts = set(texts)
        self.spoken.learn(texts)
        return {text for text in texts if all(forms := self.spoken.forms(text)) and not self.hold(text, forms)}

    def hold(self, text: str, forms: Iterable[Phonemes]) -> bool:
        """Say whether a text of these phonemes, in one accent or several, holds a phrase."""
        words = words_of(text)
        if any(_holds(words, phrase) for phrase in self.texts):
            return True
        return any(_sounds(_single(said), form) for said in forms for form in self.forms)


def phrase_parts(phrase: str, vocabulary: Vocabulary, say: Saying) -> list[str]:
    """Return what the phrase is made of, never the phrase itself.

    Runs of its words, the most frequent words of the language whose phonemes (two or more) are a run of the phrase's
    ("snow", "no" and "boy" in "snowboy"), and its beginning and its end by letters.

    Args:
        phrase: a phrase whose phonemes `say` knows.
        vocabulary: where words within the phrase are looked for.
        say: gives the phonemes of a text.
    """
    words = phrase.split()
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
    texts = [" ".join(run) for run in _runs(words)] + inside[:_FRAGMENTS] + cut
    return [text for text in dict.fromkeys(texts) if words_of(text) != words_of(phrase)]


def _runs(words: list[str]) -> list[list[str]]:
    """Return the runs of words, all of them together left out."""
    bounds = itertools.combinations(range(len(words) + 1), 2)
    return [words[start:end] for start, end in bounds if end - start < len(words)]


def reordered(phrase: str, parts: Sequence[str]) -> list[str]:
    """Return the words of a phrase in other orders, or, for a phrase of one word, two of its parts in any order.

    Args:
        phrase: a phrase.
        parts: what it is made of.
    """
    words = phrase.split()
    if len(words) > 1:
        orders = itertools.islice(itertools.permutations(words), _ORDERS)
        texts = [" ".join(order) for order in orders]
    else:
        texts = [" ".join(pair) for pair in itertools.permutations(parts[:_REORDERED_PARTS], 2)]
    return [text for text in dict.fromkeys(texts) if words_of(text) != words_of(phrase)]


def similar_texts(phrase: str, vocabulary: Vocabulary, say: Saying) -> list[str]:
    """Return words and short runs of words that sound nearly like the phrase, nearest first, none like another.

    Near is few phonemes replaced, added or left out (Levenshtein 1966), a replaced one weighted by how different it
    sounds (`phoneme_distance`), in all at most 60 % of the phrase's. A phrase of several words has one or two of them
    replaced; one of a single word is also cut in two and each half replaced. Half are the nearest, the others are
    spread over what is farther: the nearest 300 of "snowboy" all differ by less than two phonemes of five.

    Args:
        phrase: a phrase whose phonemes, and those of its words, `say` knows.
        vocabulary: the words to choose from.
        say: gives the phonemes of a text.
    """
    whole, words = say(phrase), phrase.split()
    nearest = _Nearest(vocabulary)
    sounds = {**nearest.phonemes, **{word: say(word) for word in words}}
    found: dict[Phonemes, tuple[float, str]] = {}

    def add(distance: float, *texts: str) -> None:
        said = tuple(itertools.chain.from_iterable(sounds[text] for text in texts))
        if said not in found or distance < found[said][0]:
            found[said] = distance, " ".join(texts)

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
    farthest = _FARTHEST_SHARE * len(whole)
    near = [text for distance, text in sorted(found.values()) if _NEAREST <= distance <= farthest]
    half = _SIMILAR // 2
    return near[:half] + near[half :: max(1, math.ceil((len(near) - half) / half))]


class _Nearest:
    """Finds the words of a vocabulary that are nearest to a sequence of phonemes, of those that sound alike one."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        alike: dict[Phonemes, str] = {}
        for word, said in zip(vocabulary.words, vocabulary.phonemes, strict=True):
            alike.setdefault(said, word)  # the more frequent: "by", "buy" and "bye" would be three of so many
        self.phonemes = {word: said for said, word in alike.items()}
        self.words = list(self.phonemes)
        self.numbers = {token: at for at, token in enumerate(sorted({t for said in vocabulary.phonemes for t in said}))}
        self.lengths = np.array([len(said) for said in self.phonemes.values()])
        self.tokens = sorted(self.numbers, key=self.numbers.__getitem__)
        self.table = np.full((len(self.words), int(self.lengths.max(initial=1))), -1)
        for row, said in zip(self.table, self.phonemes.values(), strict=True):
            row[: len(said)] = [self.numbers[token] for token in said]

    def __call__(self, target: Phonemes, limit: int) -> list[tuple[float, str]]:
        """Return the `limit` nearest words with their distances, nearest first, frequent words first among equals."""
        costs = np.array([[difference(sound, token) for token in self.tokens] for sound in target])
        distances = edit_distances(costs, self.table, self.lengths).round(6)  # so that equals are equal
        return [(float(distances[at]), self.words[at]) for at in np.argsort(distances, kind="stable")[:limit]]


def edit_distances(costs: np.ndarray, table: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the Levenshtein distance of one sequence to each of many, with a cost for each replacement.

    Args:
        costs: `(steps, numbers)`, what it costs to replace each member of the one sequence by each number.
        table: `(sequences, longest)` int, each row a sequence of numbers and then anything below `numbers`.
        lengths: `(sequences,)` int, how much of each row counts.

    Returns:
        `(sequences,)` float.
    """
    rows, longest = table.shape
    previous = np.tile(np.arange(longest + 1.0), (rows, 1))
    for step, row in enumerate(costs, start=1):
        current = np.empty_like(previous)
        current[:, 0] = step
        for at in range(longest):
            replaced = previous[:, at] + row[table[:, at]]
            current[:, at + 1] = np.minimum(replaced, np.minimum(previous[:, at + 1], current[:, at]) + 1)
        previous = current
    return np.asarray(previous[np.arange(rows), lengths])
