"""A script whose first use of Kern is several async runs at once."""

import asyncio

from kern.agent import Agent
from kern.models.scripted import ScriptedModel

agent = Agent(id="gathering", model=ScriptedModel(["Hello."]))


async def main() -> None:
    done = await asyncio.gather(*(agent.arun(str(number)) for number in range(5)))
    print([one.content for one in done])  # noqa: T201  what the test reads


if __name__ == "__main__":
    asyncio.run(main())
