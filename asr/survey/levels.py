"""How loud clips are, and how fast they are spoken -> findings."""

from collections.abc import Iterator

import numpy as np

from asr.survey.finding import Finding, quoted, share_of
from asr.survey.rows import Flags, Rows

CLIPPED_SHARE = 0.01  # of the samples at full scale, which can be heard
QUIET_DB = -50.0  # of full scale, RMS
# The louder end to the whole clip. Of 493 clips of Tux Paint 4 % are over it, of the same with their last third cut off
# 43 %, of those cut at both ends 72 %.
EDGE_DB = 0.0
RATE_FACTOR = 3.0  # times a language's own median of characters a second, or less by as much
SLOWEST, FASTEST = 1.0, 40.0  # characters a second, in any language
MIN_ROWS = 20  # of a language, to speak of its median


def unlikely_levels(rows: Rows) -> Iterator[Finding]:
    looks: list[tuple[str, Flags, str, str, float]] = [
        (
            "Clipped recordings",
            rows.levels["clipped_share"] >= CLIPPED_SHARE,
            "A hundredth of the samples or more is at full scale: the microphone was too loud.",
            f"data.clean.max_clipped_share: {CLIPPED_SHARE:g}",
            1.0,
        ),
        (
            "Hardly audible recordings",
            rows.rms_db < QUIET_DB,
            f"Under {QUIET_DB:g} dB of full scale: noise, or a word far away.",
            f"data.clean.min_rms_dbfs: {QUIET_DB:g}",
            1.2,
        ),
        (
            "Probably cut within a word",
            (rows.edge_db > EDGE_DB) & (rows.rms_db >= QUIET_DB),
            "The first or last 0.05 s are as loud as the rest, where speech would begin or end.",
            f"data.clean.max_edge_db: {EDGE_DB:g}",
            1.1,
        ),
    ]
    for title, flags, detail, param, weight in looks:
        if places := np.flatnonzero(flags).tolist():
            yield Finding(
                title, len(places), detail + share_of(len(places), rows), param, weight, quoted(rows, places), places
            )


def unlikely_rates(rows: Rows) -> Iterator[Finding]:
    """Texts that do not fit the length of their recordings: another text's, or too much or little of it."""
    rates, usual = rows.characters_a_second, bounds_of(rows)
    low = np.array([usual[code][0] for code in rows.of("language")])
    high = np.array([usual[code][1] for code in rows.of("language")])
    least, most = (
        min((low for low, _ in usual.values()), default=0),
        max((high for _, high in usual.values()), default=0),
    )
    param = f"data.clean.characters_a_second: [{least:.2g}, {most:.2g}]"
    for title, flags, detail in (
        ("More text than the recording can hold", rates > high, "Probably another text, or the recording is cut."),
        ("Less text than the recording lasts", rates < low, "Probably another text, long silence, or words left out."),
    ):
        if places := np.flatnonzero(flags).tolist():
            yield Finding(
                title, len(places), detail + share_of(len(places), rows), param, 2.0, quoted(rows, places), places
            )


def bounds_of(rows: Rows) -> dict[str, tuple[float, float]]:
    """The least and most characters a second that are likely in each language, by its own median."""
    bounds = {}
    for code, members in rows.groups():
        rates = rows.characters_a_second[members]
        median = float(np.median(rates))
        known = len(rates) >= MIN_ROWS
        bounds[code] = (
            max(SLOWEST, median / RATE_FACTOR) if known else SLOWEST,
            min(FASTEST, median * RATE_FACTOR) if known else FASTEST,
        )
    return bounds
