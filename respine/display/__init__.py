"""Results to tables, figures, sentences and notebook outputs; nothing is computed here."""
