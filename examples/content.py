"""A content pipeline: a writer drafts, a person reviews, an editor cuts, and it goes out once.

    python examples/content.py

It needs no account: its models are scripted. Replace them by `OpenAIResponses(id="…")`.
"""

from kern.agent import Agent
from kern.models.base import ModelRequest
from kern.models.scripted import ScriptedModel
from kern.workflow import Condition, HumanReview, Loop, Step, StepInput, Workflow

LONGEST = 60


def draft(request: ModelRequest) -> str:
    """Play the writer, who gets a rejected draft back with the reviewer's note."""
    request_text = request.messages[-1].content
    begin = "Dear friends, tea" if "friendlier" in request_text else "Tea"
    return f"{begin} is older than coffee. It is older by far. Think of China. Think of Ethiopia."


def cut(request: ModelRequest) -> str:
    """Play the editor: leave out the last sentence."""
    return request.messages[-1].content.removesuffix(".").rpartition(".")[0] + "."


def is_long(step_input: StepInput) -> bool:
    return len(str(step_input.previous_content)) > LONGEST


def is_short(step_input: StepInput) -> bool:
    return not is_long(step_input)


def publish(step_input: StepInput) -> str:
    """Put a text on the front page; this happens once."""
    return f"On the front page: {step_input.previous_content}"


writer = Agent(name="writer", model=ScriptedModel(draft), instructions="You write for a tea shop.")
editor = Agent(name="editor", model=ScriptedModel(cut), instructions="Leave out a sentence.")

content = Workflow(
    name="content",
    steps=[
        Step(
            "draft",
            writer,
            human_review=HumanReview(
                requires_output_review=True, output_review_message="Is this how we speak?"
            ),
        ),
        Condition(is_long, [Loop([editor], end_condition=is_short, max_iterations=5)]),
        publish,
    ],
)

if __name__ == "__main__":
    run = content.run("Is tea or coffee older?", user_id="mara")
    while run.is_paused:
        (review,) = run.active_requirements
        print(review.question, review.arguments["output"])
        if "friends" in str(review.arguments["output"]):
            review.confirm(by="dana")
        else:
            review.reject("Make it friendlier.", by="dana")
        run = content.continue_run(run.run_id, run.requirements)
    print(run.content)
