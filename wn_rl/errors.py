"""The one error that a user is shown without a traceback; imports nothing, so that it is raised at once."""

MAX_LETTERS = 2000


def show_text(text: str) -> str:
    """Text as a terminal may be given it, whoever wrote it: on one line, other signs than letters escaped, and cut."""
    if len(text) > MAX_LETTERS:
        text = f"{text[: MAX_LETTERS // 2]} ... {text[-MAX_LETTERS // 2 :]}"  # what to do stands at the end
    line = " ".join(text.splitlines())
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def show_value(value: object) -> str:
    """What a setting was given, cut; Python itself refuses to write whole numbers of more than 4,300 digits."""
    try:
        text = str(value)
    except ValueError:
        text = "a number of thousands of digits"
    return text if len(text) <= 100 else f"{text[:60]}..."


class ConfigurationError(ValueError):
    """Something that the user asked for cannot be done; the message is one line that says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(show_text(message))
