"""What users declare as a pydantic model, where a mistake is told as everywhere else."""

from typing import Self

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from kern.description import misfit
from kern.errors import InvalidDefinition


class Declaration(BaseModel):
    """A frozen model that takes no names that it does not know.

    Checks of several values together raise `InvalidDefinition` themselves.

    Raises:
        InvalidDefinition: a value makes no sense; the message names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="wrap")
    @classmethod
    def _told(cls, given: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            if not isinstance(given, dict):
                raise
            raise InvalidDefinition(f"{cls.__name__}: {misfit(error)}") from None
