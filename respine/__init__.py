"""The RESPINE trial as an executable manuscript.

Rooms, each using only those before it: :mod:`respine.results`, :mod:`respine.parameters`, :mod:`respine.trial`,
:mod:`respine.stats`, :mod:`respine.analyses`, :mod:`respine.display`, :mod:`respine.book`, :mod:`respine.cli`.
"""

__version__ = "1.0.0"
