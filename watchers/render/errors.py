"""Why a release cannot become files."""


class BadSpec(ValueError):
    """A `confhub.files` that cannot be followed; the text says which part and what can be written."""


class CannotRender(Exception):
    """This release cannot become the files that were asked for; the text names the entry.

    `passing`: this machine is in the way (a key, a template that cannot be read), so that it is
    worth another try.
    """

    def __init__(self, text: str, *, passing: bool = False) -> None:
        super().__init__(text)
        self.passing = passing
