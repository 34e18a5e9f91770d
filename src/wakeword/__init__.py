"""Wake words: train one, know how well it works, and use it.

To use one:

    from wakeword import Detector

    detector = Detector("models/wakeword.onnx")
    for event in detector.process(chunk):
        print(event.phrase, event.time_s, event.score)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakeword.runtime.detector import Detection, Detector

__all__ = ["Detection", "Detector"]


def __getattr__(name: str) -> Any:
    """Import the runtime only for those who ask for it: the training stages do not."""
    if name in __all__:
        from wakeword.runtime import detector

        return getattr(detector, name)
    raise AttributeError(f"module 'wakeword' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
