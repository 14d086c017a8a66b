"""What a measurement says: a figure, the bar it is held to, and whether it is met."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure and its bar.

    Attributes:
        name: what is measured, and against which peer.
        figure: as measured; `unit` follows it in print.
        bound: the figure that is promised.
        at_most: whether the figure may not be above the bound; else it may not be below it.
        measured: the measurements behind the figure, in words.
    """

    name: str
    figure: float
    bound: float
    unit: str = ""
    at_most: bool = False
    measured: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the promise is kept."""
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound

    def __str__(self) -> str:
        side = "<=" if self.at_most else ">="
        figure = f"{self.figure:.3g}" if self.figure < 100 else f"{self.figure:,.0f}"
        line = f"{self.name}: {figure}{self.unit} (bar {side} {self.bound:g}{self.unit})"
        line += f"; {self.measured}" if self.measured else ""
        return f"{line}: {'met' if self.is_met else 'MISSED'}"
