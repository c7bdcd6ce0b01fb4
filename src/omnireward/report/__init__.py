"""From the folder of a run to tables, plots and one self-contained page. Pure: the same folder gives the same bytes.

found = report.read(folder)
report.write(report.build(found.run, found.records), found.shown, folder)
"""

from omnireward.report.build import build
from omnireward.report.folder import RunFolder, read
from omnireward.report.records import BadRow, Record, Run, Shown, ShownPart, ShownTurn
from omnireward.report.results import Block, Macro, MacroScore, Outcome, Report, Score
from omnireward.report.terminal import render_terminal
from omnireward.report.write import write

__all__ = [
    "BadRow",
    "Block",
    "Macro",
    "MacroScore",
    "Outcome",
    "Record",
    "Report",
    "Run",
    "RunFolder",
    "Score",
    "Shown",
    "ShownPart",
    "ShownTurn",
    "build",
    "read",
    "render_terminal",
    "write",
]
