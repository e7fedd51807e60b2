"""A simulated hospital whose truth is known: no patient here ever lived.

`simulate` draws admissions, one row a patient; `simulate_visits` draws visits over time. What
they converge to is known exactly: `true_shares`, `true_missing`, `true_mean` and
`true_share_below`. `run_demo` shows the command line on them.
"""

from synthehr.demo.cohort import AXES, LABS, LEVELS, SEPSIS_SHARE, SITES, simulate
from synthehr.demo.run import run_demo
from synthehr.demo.truth import (
    joint,
    true_mean,
    true_missing,
    true_share_below,
    true_shares,
)
from synthehr.demo.visits import simulate_visits

__all__ = [
    "AXES",
    "LABS",
    "LEVELS",
    "SEPSIS_SHARE",
    "SITES",
    "joint",
    "run_demo",
    "simulate",
    "simulate_visits",
    "true_mean",
    "true_missing",
    "true_share_below",
    "true_shares",
]
