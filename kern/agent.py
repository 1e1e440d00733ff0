"""Agents: a model, what it is told, and the tools that it may call."""

from kern.components.agents.model_component import ModelComponent


class Agent(ModelComponent):
    """A model with instructions and tools, whose runs are durable and wait for people.

    An agent holds no conversation: it may be shared by threads, users and processes. Every method
    has an async twin whose name begins with `a`.

    Args:
        id: Under which runs find this agent's code again, in this and in later processes. Default:
            made from `name`, or from the declaration itself if there is no name.
        name: What people call it.
        role: What it is for, in a sentence, as the leader of a team is told that has it as a
            member.
        model: Who answers.
        instructions: What the model is told before the conversation; several become paragraphs.
            A name in braces stands for the value of that key of the session's state, if there is
            one.
        tools: What the model may call: tools, or plain functions, which have no gates.
        output_schema: A pydantic model that the answer must fit; `RunOutput.content` is then an
            instance of it.
        session_state: The state with which a new session begins.
        db: Where runs are kept; default: the runtime's database.
        add_history_to_context: Whether the model sees earlier runs of the session: completed ones,
            and a line for each that is paused.
        num_history_runs: How many completed runs, at most.
        num_history_messages: How many messages of them, at most, instead.
        max_tool_calls_from_history: How many tool calls of earlier runs are shown, the latest ones.
        read_chat_history: Whether the model has a tool that reads the session beyond that.
        search_past_sessions: Whether the model has a tool that searches the user's other sessions
            with this agent; without a `user_id` it searches the session itself.
        add_session_state_to_context: Whether the model sees the session's state, as it stands at
            each turn.
        enable_agentic_state: Whether the model has a tool that changes the session's state.
        enable_session_summaries: Whether the model sums up the session after each run that ended
            with an answer. Nobody waits for it, and a run does not fail with it.
        add_session_summary_to_context: Whether the model sees that summary.
        tool_call_limit: How many tool calls one run may make; further ones are answered with an
            error.

    Raises:
        InvalidDefinition: two tools have one name, or a value makes no sense.
    """
