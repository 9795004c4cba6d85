"""Language models: the protocol that nodes use, and the base class that adapters extend."""

from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LM, LMRequest, LMResponse, Message

__all__ = ["LM", "BaseLM", "LMRequest", "LMResponse", "Message"]
