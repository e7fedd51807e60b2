"""A simulated hospital whose truth is known: no patient here ever lived.

`simulate` draws admissions, one row a patient. What they converge to is known exactly:
`true_shares`, `true_missing`, `true_mean` and `true_share_below`. `simulate_visits` draws visits
over time; `visit_truth` estimates from such visits what they were drawn with. `simulate_scans`
draws images. `run_demo` shows the command line on the admissions.
"""

from synthehr.demo.cohort import AXES, LABS, LEVELS, SEPSIS_SHARE, SITES, simulate
from synthehr.demo.run import run_demo
from synthehr.demo.scans import simulate_scans, write_scans
from synthehr.demo.truth import (
    joint,
    true_mean,
    true_missing,
    true_share_below,
    true_shares,
)
from synthehr.demo.visit_truth import (
    KnownEstimate,
    measurement_rule,
    slopes_by_arm,
    visit_truth,
)
from synthehr.demo.visits import simulate_visits

__all__ = [
    "AXES",
    "LABS",
    "LEVELS",
    "SEPSIS_SHARE",
    "SITES",
    "KnownEstimate",
    "joint",
    "measurement_rule",
    "run_demo",
    "simulate",
    "simulate_scans",
    "simulate_visits",
    "slopes_by_arm",
    "true_mean",
    "true_missing",
    "true_share_below",
    "true_shares",
    "visit_truth",
    "write_scans",
]
