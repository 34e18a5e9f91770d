"""`best_model.pt`: everything that is needed to score audio again, and where it came from."""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from wakeword.base.errors import UserError
from wakeword.base.files import write_bytes
from wakeword.features.cmvn import Cmvn
from wakeword.features.frontend import FrontendConfig
from wakeword.models.config import ModelConfig
from wakeword.models.network import Network

_FORMAT = 1
_CONFIG: TypeAdapter[ModelConfig] = TypeAdapter(ModelConfig)


@dataclass(frozen=True)
class TrainedModel:
    """A trained network with what belongs to it.

    Attributes:
        network: in evaluation mode, on the CPU; its weights and buffers are the averaged ones that were validated.
        frontend: the features that it was trained on.
        phrases: the wake phrase of each output column.
        language: ISO 639 code of the phrases.
        fingerprints: of the data and the parameters that it was trained with, and of its teachers if it had any.
    """

    network: Network
    frontend: FrontendConfig
    phrases: list[str]
    language: str
    fingerprints: dict[str, str]


def save(path: Path, model: TrainedModel, config: ModelConfig) -> None:
    """Write a model whole or not at all; the bytes depend on the model alone, not on the file's name."""
    content: dict[str, Any] = {
        "format": _FORMAT,
        "model": config.model_dump(),
        "frontend": model.frontend.model_dump(),
        "phrases": model.phrases,
        "language": model.language,
        "fingerprints": model.fingerprints,
        "weights": {name: tensor.cpu().contiguous() for name, tensor in model.network.state_dict().items()},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> TrainedModel:
    """Read a model.

    Raises:
        UserError: the file is missing, is no model of ours, or is of another version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; train first (`dvc repro train`)") from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as failure:
        raise UserError(f"cannot read {path}: {failure}; train again (`dvc repro train`)") from failure
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise UserError(f"{path} is no model of this version; train again (`dvc repro train`)")
    try:
        frontend = FrontendConfig(**content["frontend"])
        weights = content["weights"]
        cmvn = Cmvn(weights["mean"].numpy(), weights["std"].numpy(), 0, frontend.fingerprint)
        network = Network(_CONFIG.validate_python(content["model"]), cmvn, frontend.floor, len(content["phrases"]))
        network.load_state_dict(weights)
        return TrainedModel(network.eval(), frontend, content["phrases"], content["language"], content["fingerprints"])
    except (KeyError, TypeError, ValueError, RuntimeError) as failure:
        raise UserError(f"{path} does not hold what a model needs ({failure}); train again") from failure
