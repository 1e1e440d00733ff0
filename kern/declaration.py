"""What users declare as a pydantic model, where a mistake is told as everywhere else."""

from pydantic import BaseModel, ConfigDict, ValidationError

from kern.description import misfit
from kern.errors import InvalidDefinition


class Declaration(BaseModel):
    """A frozen model that takes no names that it does not know.

    Raises:
        InvalidDefinition: a value makes no sense; the message names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: object) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            message = f"{type(self).__name__}: {misfit(error)}"
            raise InvalidDefinition(message) from None
