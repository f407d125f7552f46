"""The judging core: encoded images become verdicts here, whatever surface they came by.

    Inspector -> decode -> rows -> engine -> map pictures -> Verdict -> observers

It imports no web framework, no protocol library and no record of an HTTP request.
"""
