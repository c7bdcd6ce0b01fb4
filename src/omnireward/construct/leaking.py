"""Does a criterion say which of the two responses it means? Then it is a verdict in disguise.

Patterns are for English, with the commonest ways of saying it in Chinese, Japanese and German. Where words can be meant
either way they refuse, because one criterion that leaks teaches a model to read the answer off the question; but not
where they mostly mean something else: "the right answer" is the correct one, "Claude Monet" painted. Texts are compared
without emphasis, brackets and quotation marks, in Unicode's plain form, so ``"Response-A"``, ``[response] **A**`` and
full-width letters are one spelling.
"""

from __future__ import annotations

import re
import unicodedata

# What can only be a response, and what is one where media are judged. Third persons ("it answers two questions") are
# spelt like plurals, so patterns with a number or a letter want one thing, or "and" behind.
_SAID = r"(?:response|answer|reply|output|completion|candidate|assistant)"
_MADE = (
    r"(?:image|picture|photo|photograph|drawing|video|clip|audio|recording|render|rendering|mesh|generation|translation"
    r"|version|sample)"
)
_SHOWN = rf"(?:{_SAID}|{_MADE})"
_ANY = rf"(?:{_SHOWN}|sound|track|object|model|option|result|edit|choice|antwort|bild)"
_PLACE = r"(?:first|second|1st|2nd|left|leftmost|right-hand|left-hand|rightmost|top|bottom|upper|lower)"
_FATE = r"(?:preferred|rejected|chosen|winning|losing)"
_VERB = r"(?:is|was|has|had|does|did|should|must|would|can(?! of)|wins?|beats?|over|than|or|and|being)"
_ENDS = r"\s*(?:$|[.,;:!?)])"
_NEXT = rf"(?={_ENDS}|\s{_VERB}\b)"
# "Lower image quality", "the left image half": the noun is not what the place is of.
_WHOLE = (
    r"(?!\s(?:quality|resolution|noise|half|halves|edge|side|corner|border|margin|frame|area|part|region|third|size"
    r"|format|style|type|caption|description)s?\b)"
)
_ONE = r"one(?!\s(?:would|could|can|might|may|will|expects?|wants?|needs?|sees?|hears?|gets?|gives?|by|of)\b)"
_GAP = r"[\s_#-]{0,3}"  # no full stop: "It should be a clear image. A child is in it."
# Small letters are read apart from capitals: "image a" can begin "image a child", "Image A" cannot.
_ANY_CASE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_ANY}{_GAP}(?:number|no\.?|nr\.?)?\s?(?:b|[12](?![.,]?\d)|ii|two|alpha|beta|{_ONE})\b",
        rf"\b{_ANY}s{_GAP}(?:a|1|one)\s(?:and|or)\s(?:b|2|two)\b",
        rf"\b{_ANY}{_GAP}[ai]{_NEXT}",
        rf"\b{_PLACE}[\s-](?:{_SHOWN}s?|option)\b{_WHOLE}",
        rf"\bright[\s-]{_MADE}s?\b{_WHOLE}",
        rf"\bthe\sother[\s-]{_SHOWN}\b{_WHOLE}",
        rf"\b{_FATE}[\s-](?:{_SHOWN}s?|one)\b{_WHOLE}",
        r"\bthe\s(?:first|second|left|right|left-hand|right-hand)[\s-]one\b",
        rf"\bthe\s(?:former|latter){_NEXT}",
        rf"\b(?:{_SHOWN}|one)\s(?:shown\s|given\s|placed\s)?(?:on|at|to)\s(?:the|your)\s(?:left|right|top|bottom)"
        rf"(?:\sside)?{_NEXT}",
        rf"\b(?:{_SHOWN}|one)\s(?:that\sis\s|that\swas\s)?(?:shown|given|listed|presented|placed)\s(?:first|second)\b",
        rf"\bof\s(?:the\stwo|both|these\stwo)\s{_SHOWN}s\b",
        rf"\bthe\s(?:better|worse|longer|shorter)\sof\s(?:the\stwo|both){_NEXT}",
        r"\b(?:a|1)[\s-](?:over|beats|versus|vs\.?|rather than|instead of)[\s-](?:b|2)\b",
        r"\b(?:erste|zweite|linke|rechte)[nrs]?\s(?:antwort|bild|video)\b",
        # Makers; names that mean something else as well only with a number or a word that says who is meant.
        r"\b(?:chatgpt|gpt[\s-]?[1-9][\w.]*|qwen[\w.-]*|mixtral|deepseek|minicpm[\w.-]*|dall[\s·-]?e(?:[\s-]?[0-9])?"
        r"|midjourney|stable[\s-]diffusion|sdxl|pixart|cogvideo\w*|audioldm\w*|musicgen|audiogen|openai|anthropic)\b",
        r"\b(?:claude|gemini|gemma|llama|mistral|kandinsky|sora|kling|imagen|vicuna|alpaca)[\s-]?"
        r"(?:v?[0-9]|sonnet|opus|haiku|flash|pro\b|ultra\b|ai\b|chat\b)",
    )
)
_CAPITALS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?i:{_ANY})s?{_GAP}(?i:(?:labell?ed|marked|called|named)\s)?[AB]\b",
        rf"(?:^|[.,;:!?]\s|\b(?:if|because|that|when|since|as|while|than|and|or|but)\s)[AB]\s(?:{_VERB})\b",
        r"\b[AB]\s(?:and|or|over|beats|versus|vs\.?|rather than|instead of)\s[AB]\b",
        r"\b(?:but|than|like|as|closer to|[Ff]avou?rs?|[Pp]refers?|[Cc]hoose|[Pp]ick)\s[AB](?![\w+#-])",
        r"\b(?:like|as|than|beats)\s(?:Claude|Gemini|Llama|LLaMA|Mistral|Sora|Kling)(?=\s*(?:$|[.,;:!?)]|does\b|is\b))",
        rf"\b(?i:{_ANY})(?:[AB12])\b",
    )
)
_EAST_THING = r"(?:回答|回复|答案|响应|图片?|图像|视频|音频|模型|选项|画像|動画|音声|返答)"
_PICTURE = r"图(?![案形标表书])"
_EAST = re.compile(
    rf"{_EAST_THING}\s*(?:[ABab](?![A-Za-z0-9])|[甲乙]|[一二12](?=\s*(?:$|[,.;:，。、；：更比是的应在和与或里较はがの])))"
    rf"|第[一二12][个张段条份](?:回答|回复|答案|响应|{_PICTURE}|视频|音频)"
    rf"|[左右](?:边|侧)?的?(?:{_PICTURE}|视频|回答|答案)|[前后]者"
    r"|(?:最初|[一二]番目|左|右)の(?:回答|画像|動画|音声)"
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
    found = any(pattern.search(bare) for pattern in (*_ANY_CASE, *_CAPITALS)) or bool(_EAST.search(bare))
    small = plain.casefold()
    return found or any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", small) for name in names)
