"""A language that Whisper does not know -> its nearest relative that Whisper does know, whose token may stand for it.

Kinship is that of Glottolog's classification (https://glottolog.org); constructed languages have what they were made
from. Where no relative is known to Whisper (Guarani, Quechua, Mayan, Wolof, Abkhaz) there is no hint.
"""

from asr.languages import NAMES

# Codes as Common Voice, FLEURS and ISO 639 have them: Whisper's code, and what the two have in common.
_RELATIVES = """
    ga cy Celtic, gd cy Celtic, gv cy Celtic, kw br Celtic (Brythonic), ast es Ibero-Romance, an es Ibero-Romance,
    ext es Ibero-Romance, lad es Ibero-Romance, mwl pt Ibero-Romance, fur it Romance, lld it Romance,
    rm it Romance, sc it Romance, scn it Italo-Romance, nap it Italo-Romance, vec it Romance, lij it Romance,
    co it Italo-Romance, rup ro Eastern Romance, wa fr Oïl, fy nl Frisian and Franconian, li nl Franconian,
    nds de West Germanic, gsw de Alemannic, bar de Bavarian, sco en Anglic, hsb pl West Slavic, dsb pl West Slavic,
    csb pl Lechitic, szl pl Lechitic, rue uk East Slavic, cnr sr South Slavic, ltg lv Latvian, sgs lt Lithuanian,
    vro et Finnic, krl fi Finnic, olo fi Finnic, vep fi Finnic, myv fi Uralic, mdf fi Uralic, mhr fi Uralic,
    mrj fi Uralic, kpv fi Uralic, udm fi Uralic, sme fi Uralic, ky kk Kipchak Turkic, kaa kk Kipchak Turkic,
    nog kk Kipchak Turkic, kum kk Kipchak Turkic, crh tt Kipchak Turkic, ug uz Karluk Turkic, gag tr Oghuz Turkic,
    cv tt Turkic, sah kk Turkic, tyv kk Turkic, alt kk Turkic, ckb fa Iranian, kmr fa Iranian, ku fa Iranian,
    zza fa Iranian, os fa Iranian, bho hi Indo-Aryan, mai hi Indo-Aryan, awa hi Indo-Aryan, hne hi Indo-Aryan,
    mag hi Indo-Aryan, doi pa Indo-Aryan, ks ur Indo-Aryan, kok mr Indo-Aryan, or bn Indo-Aryan, bpy as Indo-Aryan,
    dv si Indo-Aryan, skr pa Indo-Aryan, tcy kn Dravidian, gom mr Indo-Aryan, zu sn Bantu, xh sn Bantu,
    nr sn Bantu, ss sn Bantu, st sn Bantu, nso sn Bantu, tn sn Bantu, ts sn Bantu, ve sn Bantu, ny sn Bantu,
    rw sw Bantu, rn sw Bantu, lg sw Bantu, ki sw Bantu, kam sw Bantu, luy sw Bantu, bem sw Bantu, kg ln Bantu,
    umb ln Bantu, om so Cushitic, ti am Ethiopic Semitic, arz ar Arabic, ary ar Arabic, apc ar Arabic,
    kab ar Afroasiatic, zgh ar Afroasiatic, ig yo Volta-Niger, gaa yo Kwa and Volta-Niger, ceb tl Philippine,
    ilo tl Philippine, war tl Philippine, pag tl Philippine, hil tl Philippine, bik tl Philippine,
    ban id Malayo-Polynesian, min ms Malayic, ace id Malayo-Polynesian, bjn ms Malayic, mad jw Malayo-Polynesian,
    sm mi Polynesian, to mi Polynesian, ty mi Polynesian, rar mi Polynesian, fj mi Oceanic, wuu zh Sinitic,
    nan zh Sinitic, hak zh Sinitic, gan zh Sinitic, hsn zh Sinitic, yue zh Sinitic, dz bo Tibetic, shn th Tai,
    pap es Iberian-based, cbk es Spanish-based, tpi en English-based, bi en English-based, pcm en English-based,
    gcf ht French-based, mfe ht French-based, rcf ht French-based, eo es its Romance words,
    ia it its Romance words, vot fi Finnic, isv ru Slavic, liv et Finnic, koi fi Uralic, kea pt Portuguese-based,
    pcd fr Oïl, frp fr Gallo-Romance, lmo it Gallo-Italic, pms it Gallo-Italic, aeb ar Arabic, acm ar Arabic,
    bas ln Bantu, ewo ln Bantu, dua ln Bantu, tw yo Kwa and Volta-Niger, ee yo Kwa and Volta-Niger,
    nia id Malayo-Polynesian, cnh my Tibeto-Burman"""


def _parsed() -> dict[str, tuple[str, str]]:
    rows = (entry.split(maxsplit=2) for entry in " ".join(_RELATIVES.split()).split(", "))
    return {code: (relative, what) for code, relative, what in rows}


RELATIVES = _parsed()


def hint(language: str) -> str:
    """What `data.languages` could say of a language that Whisper does not know."""
    found = relative(language)
    if found is None:
        return f"{{{language}: the nearest of those}}"
    return f"{{{language}: {found[0]}}} ({NAMES[found[0]].title()}: {found[1]})"


def relative(language: str) -> tuple[str, str] | None:
    """Whisper's code of the nearest language and what they have in common, for a code with a region or without."""
    plain = language.strip().casefold().replace("_", "-")
    return RELATIVES.get(plain) or RELATIVES.get(plain.split("-")[0])
