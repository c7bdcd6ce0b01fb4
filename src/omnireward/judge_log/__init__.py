"""What people look at while a judge is trained by GRPO: its rollouts, a page of curves and critiques, and collapse."""

from omnireward.judge_log.collapse import Collapse, Limits
from omnireward.judge_log.page import write_page
from omnireward.judge_log.rollouts import RolloutAnswer, RolloutGroup, RolloutLog, recognises

__all__ = ["Collapse", "Limits", "RolloutAnswer", "RolloutGroup", "RolloutLog", "recognises", "write_page"]
