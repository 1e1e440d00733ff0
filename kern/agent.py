"""Agents: a model with instructions and tools."""

from kern.components.agents.model_component import ModelComponent


class Agent(ModelComponent):
    """A model with instructions and tools, whose runs are durable and wait for people.

    An agent holds no conversation, so threads, users and processes may share it. Every method has
    an async twin whose name begins with `a`.

    Args:
        id: The id by which runs find this agent's code again, in this and in later processes.
            Default: made from `name`, or from the declaration itself if there is no name.
        name: The name that people see.
        role: What it is for, in a sentence: the leader of a team reads it, if the agent is a
            member.
        model: The model that answers.
        instructions: The instructions for the model; the items of a list become paragraphs. A name
            in braces stands for the value of that key of the session's state, if there is one.
        tools: What the model may call: tools, or plain functions, which have no gates.
        output_schema: A pydantic model that the answer must fit; `RunOutput.content` is then an
            instance of it.
        session_state: The state with which a new session begins.
        db: The database that keeps the runs; default: the runtime's.
        add_history_to_context: Whether the model sees earlier runs of the session: completed ones,
            and a line for each that is paused.
        num_history_runs: The number of completed runs that it sees, at most.
        num_history_messages: The number of their messages that it sees, at most, instead.
        max_tool_calls_from_history: The number of tool calls of earlier runs that it sees, at most;
            the latest ones.
        read_chat_history: Whether the model has a tool that reads the session beyond that.
        search_past_sessions: Whether the model has a tool that searches the user's other sessions
            with this agent; without a `user_id` it searches the session itself.
        add_session_state_to_context: Whether the model sees the session's state, as it is at each
            turn.
        enable_agentic_state: Whether the model has a tool that changes the session's state.
        enable_session_summaries: Whether the model summarizes the session after each run that has
            an answer. Nobody waits for it, and no run fails because of it.
        add_session_summary_to_context: Whether the model sees that summary.
        tool_call_limit: The number of tool calls that one run may make; the model gets an error for
            further ones.
        model_call_limit: How often one run may ask its model, corrections of its answers included;
            None for no limit. The run pauses there with an `error` requirement, and nothing is
            lost: `run_again()` lets it go on for as many calls, `fail()` ends it. Each run counts
            by itself, so do those of a team's members and of a workflow's steps.

    Raises:
        InvalidDefinition: two tools have the same name, or a value makes no sense.
    """
