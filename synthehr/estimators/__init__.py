"""The faces that scikit-learn and imbalanced-learn know."""
