"""The sections of the analysis plan: a study in, results out."""
