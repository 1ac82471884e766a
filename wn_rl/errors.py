"""The one error that a user is shown without a traceback; imports nothing, so that it is raised at once."""


class ConfigurationError(ValueError):
    """Something that the user asked for cannot be done; the message is one line that says what to do."""
