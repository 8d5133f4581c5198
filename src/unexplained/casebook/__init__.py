"""Famous claims about components, held to account on any model: one file a case, by public doors only.

`CASEBOOK.get("induction")(subject, text)` in Python, `unexplained casebook induction MODEL` in a shell.
"""
