"""A language as a corpus names it ("Spanish", "es-MX") -> Whisper's code for it ("es")."""

from collections.abc import Mapping

# Codes and names as in openai/whisper's tokenizer.py.
_LANGUAGES = """
    en english, zh chinese, de german, es spanish, ru russian, ko korean, fr french, ja japanese, pt portuguese,
    tr turkish, pl polish, ca catalan, nl dutch, ar arabic, sv swedish, it italian, id indonesian, hi hindi,
    fi finnish, vi vietnamese, he hebrew, uk ukrainian, el greek, ms malay, cs czech, ro romanian, da danish,
    hu hungarian, ta tamil, no norwegian, th thai, ur urdu, hr croatian, bg bulgarian, lt lithuanian, la latin,
    mi maori, ml malayalam, cy welsh, sk slovak, te telugu, fa persian, lv latvian, bn bengali, sr serbian,
    az azerbaijani, sl slovenian, kn kannada, et estonian, mk macedonian, br breton, eu basque, is icelandic,
    hy armenian, ne nepali, mn mongolian, bs bosnian, kk kazakh, sq albanian, sw swahili, gl galician, mr marathi,
    pa punjabi, si sinhala, km khmer, sn shona, yo yoruba, so somali, af afrikaans, oc occitan, ka georgian,
    be belarusian, tg tajik, sd sindhi, gu gujarati, am amharic, yi yiddish, lo lao, uz uzbek, fo faroese,
    ht haitian creole, ps pashto, tk turkmen, nn nynorsk, mt maltese, sa sanskrit, lb luxembourgish, my myanmar,
    bo tibetan, tl tagalog, mg malagasy, as assamese, tt tatar, haw hawaiian, ln lingala, ha hausa, ba bashkir,
    jw javanese, su sundanese, yue cantonese"""

# Names that openai/whisper takes besides, and codes that say the same.
_ALIASES = """
    my burmese, ca valencian, nl flemish, ht haitian, lb letzeburgesch, ps pushto, pa panjabi, ro moldavian,
    ro moldovan, si sinhalese, es castilian, zh mandarin, jw jv, no nb, he iw, tl fil, zh cmn"""


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [pair.split(maxsplit=1) for pair in text.split(",")]
    return [(code, name) for code, name in pairs]


NAMES = dict(_pairs(_LANGUAGES))
_CODES = {name: code for code, name in _pairs(_LANGUAGES) + _pairs(_ALIASES)} | {code: code for code in NAMES}


def language_code(name: str, instead: Mapping[str, str] | None = None) -> str | None:
    """Whisper's code for a language's code or English name, whatever its case and region; None if it has none.

    `instead` has what stands for a language: by its name, or by its code, whatever the region.
    """
    instead = instead or {}
    plain = name.strip().casefold()
    short = plain.replace("_", "-").split("-")[0]
    code = _CODES.get(plain) or _CODES.get(short)
    other = instead.get(name) or instead.get(code or short)
    return language_code(other) if other else code
