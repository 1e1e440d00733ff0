"""Models served by OpenAI, or by any server that speaks one of its two protocols."""

from kern.models.openai.chat import OpenAIChat
from kern.models.openai.responses import OpenAIResponses

__all__ = ["OpenAIChat", "OpenAIResponses"]
