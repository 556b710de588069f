"""CLAIM: a sentence about a log, with the evidence that lets anybody check it from one small file.

Who claims evaluates an expression over receipts; who checks does it again, on the receipts that the file
carries. A false claim cannot be made with this package, and one made without it does not pass.
"""
