"""asr/relatives.py: a hint for languages that Whisper does not know."""

import pytest

from asr.languages import NAMES, language_code
from asr.relatives import RELATIVES, hint, relative

# The configurations of google/fleurs, 102 languages.
FLEURS = """af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz cy_gb
    da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in hr_hr hu_hu
    hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg lb_lu lg_ug ln_cd lo_la
    lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl nso_za ny_mw oc_fr om_et or_in
    pa_in pl_pl ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se sw_ke ta_in te_in tg_tj th_th tr_tr
    uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za"""


def test_every_relative_is_known_to_whisper_and_no_language_needs_one_that_is() -> None:
    assert {code for code, _ in RELATIVES.values()} <= NAMES.keys()
    # Cantonese is known to large-v3 alone.
    assert {code for code in RELATIVES if language_code(code)} == {"yue"}


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("ga-IE", "{ga-IE: cy} (Welsh: Celtic)"),
        ("ky", "{ky: kk} (Kazakh: Kipchak Turkic)"),
        ("yue", "{yue: zh} (Chinese: Sinitic)"),
        ("Klingon", "{Klingon: the nearest of those}"),
    ],
)
def test_the_hint_can_be_pasted_into_the_params(language: str, said: str) -> None:
    assert hint(language) == said


def test_a_region_or_a_case_makes_no_other_language() -> None:
    assert relative("RM_sursilv") == relative("rm") == ("it", "Romance")
    assert relative("") is None


def test_fleurs_has_three_languages_without_a_relative() -> None:
    unknown = [name for name in FLEURS.split() if language_code(name) is None]
    assert [name for name in unknown if relative(name) is None] == ["ff_sn", "luo_ke", "wo_sn"]
    assert len(unknown) == 19
