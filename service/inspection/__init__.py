"""One image of a request on its way: decode, judge, encode, each with its own time and its own error."""
