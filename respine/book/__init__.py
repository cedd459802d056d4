"""Chapters to report: execution, Sphinx extension, HTML, PDF, comparison; nothing medical is known here."""
