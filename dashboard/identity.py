"""How an environment looks everywhere: a shape, a colour and its name, never a colour alone."""

from typing import Literal

Shape = Literal["circle", "triangle", "square", "diamond"]

_TRIANGLES = ("stag", "test", "qa", "uat", "pre", "canary")
_CIRCLES = ("dev", "local", "sandbox", "play")


def shape_of(slug: str, *, protected: bool) -> Shape:
    """A square wherever publishing asks for the name; the others by what people usually call them."""
    if protected:
        return "square"
    if slug.startswith(_TRIANGLES):
        return "triangle"
    return "circle" if slug.startswith(_CIRCLES) else "diamond"
