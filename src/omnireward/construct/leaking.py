"""Does a criterion say which of the two responses it means? Then it is a verdict in disguise.

Patterns are for English, with the commonest ways of saying it in Chinese. They would rather reject a criterion too
many: another is cheap, and one that leaks teaches a model to read the answer off the question. Texts are compared
without emphasis, brackets and quotation marks, in Unicode's plain form, so ``"Response-A"``, ``[response] **A**`` and
full-width letters are one spelling.
"""

from __future__ import annotations

import re
import unicodedata

_THING = (
    r"(?:responses?|answers?|repl(?:y|ies)|outputs?|completions?|images?|pictures?|photos?|photographs?|drawings?"
    r"|videos?|clips?|audios?|sounds?|recordings?|tracks?|renders?|renderings?|objects?|models?|mesh(?:es)?|options?"
    r"|candidates?|assistants?|results?|edits?|versions?|choices?|samples?|generations?|translations?)"
)
_PLACE = (
    r"(?:first|second|1st|2nd|former|latter|left|right|leftmost|rightmost|left-hand|right-hand|top|bottom|upper|lower"
    r"|other|preferred|rejected|chosen|winning|losing)"
)
_VERB = r"(?:is|was|has|had|does|did|should|must|would|can|wins?|beats?|over|than|or|and|being|to)"
# Small letters are read apart from capitals: "image a" can begin "image a child", "Image A" cannot.
_ANY_CASE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_THING}[\s_#.:-]{{0,3}}(?:number|no\.?|nr\.?)?\s?(?:b|1|2|i|ii|one|two|alpha|beta)\b",
        rf"\b{_THING}[\s_#.:-]{{0,3}}a(?=\s*(?:$|[.,;:!?)]|'s\b|{_VERB}\b))",
        rf"\b{_PLACE}[\s-](?:one|{_THING})\b",
        r"\bthe (?:former|latter)\b",
        rf"\b{_THING} (?:on|at|to) (?:the|your) (?:left|right|top|bottom)\b",
        r"\b(?:a|1)[\s-](?:over|beats|versus|vs\.?|rather than|instead of)[\s-](?:b|2)\b",
        r"\b(?:chatgpt|gpt[\s-]?[1-9][\w.]*|claude|gemini|gemma[\s-]?[0-9]*|llama[\s-]?[0-9.]*|qwen[\w.-]*|mistral|mixtral"
        r"|deepseek|minicpm[\w.-]*|vicuna|alpaca[\s-]?[0-9]+b|dall[\s·-]?e(?:[\s-]?[0-9])?|midjourney|stable[\s-]diffusion"
        r"|sdxl|imagen|pixart|kandinsky|sora|kling|cogvideo\w*|audioldm\w*|musicgen|audiogen|openai|anthropic)\b",
    )
)
_CAPITALS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?i:{_THING})[\s_#.:-]{{0,3}}[AB]\b",
        rf"(?<![\w.-])[AB](?='s\b|\s(?i:{_VERB})\b)",
        rf"\b(?i:{_THING})(?:[AB12])\b",
    )
)
_CHINESE = re.compile(
    r"(?:回答|回复|答案|响应|图片?|图像|视频|音频|模型|选项)\s*[ABab一二12甲乙]"
    r"|第[一二12][个张段条份](?:回答|回复|答案|响应|图|视频|音频)"
    r"|[左右](?:边|侧)?的?(?:图|视频|回答|答案)|[前后]者"
)
_DRESS = re.compile(r"[*_`\"'()\[\]{}<>«»„“”‘’]+")
_OWN = re.compile(r"'s\b")


def leaks(criterion: str, names: frozenset[str] = frozenset()) -> bool:
    """Whether a criterion mentions a response by letter, number, place or maker.

    Args:
        criterion: as written.
        names: who made the responses, where that is known; in small letters.

    >>> leaks("The second answer is warmer."), leaks("It should be warm from the first sentence on.")
    (True, False)
    """
    plain = unicodedata.normalize("NFKC", criterion).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    owned = " ".join(_OWN.sub(" has", plain).split())  # "A's tone": the apostrophe would go with the dress
    bare = " ".join(_DRESS.sub(" ", owned).replace("\u2010", "-").split())
    found = any(pattern.search(bare) for pattern in (*_ANY_CASE, *_CAPITALS)) or bool(_CHINESE.search(bare))
    small = plain.casefold()
    return found or any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", small) for name in names)
