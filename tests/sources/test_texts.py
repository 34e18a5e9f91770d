import pytest

from wakeword.sources.texts import relate


@pytest.mark.parametrize(
    ("text", "phrase", "relation"),
    [
        ("Hey, Marvin!", "hey marvin", "is"),
        ("oh hey marvin", "hey marvin", "holds"),
        ("hey", "hey marvin", "part"),
        ("marvin hey", "hey marvin", "other"),
        ("they marvin", "hey marvin", "other"),
        ("", "hey marvin", "other"),
        ("Café", "CAFE\u0301", "is"),
        ("请打开电脑好吗", "打开电脑", "holds"),
        ("你好，电脑", "你好电脑", "is"),
        ("सुनो", "सुनो", "is"),
        ("सेना", "सुनो", "other"),  # alike but for their vowel signs
        ("hey, what’s up man", "what's up", "holds"),
        ("éteins l'ordinateur", "ordinateur", "holds"),
        ("hey computer's on", "hey computer", "holds"),
    ],
)
def test_texts_are_compared_word_by_word(text: str, phrase: str, relation: str) -> None:
    assert relate(text, ["something else", phrase])[0] == relation
