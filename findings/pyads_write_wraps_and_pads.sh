#!/usr/bin/env bash
# pyads 3.6.0 (client of Beckhoff PLCs), against the test server of the same package:
# - write_by_name of 40000 to an INT reports success and the PLC holds -25536. write_list_by_name of the same value to the
#   same variable raises struct.error: the two calls of one library disagree on what a number out of range is.
# - a list that is shorter than the array writes the whole array, with zeros where nothing was given; a longer one raises.
# Why it matters: a result, a part number or a count beyond 32767 arrives as another number without any error, and a
# result of which only the first words are sent clears the words behind them, an OK bit or a fault code among them.
# python-snap7 and pymodbus raise for the first. Work-around here: words are unsigned (UINT), checked before they are
# sent, and always all of them.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
in_a_fresh_environment pyads==3.6.0 <<'CODE'
import struct
import time
from importlib.metadata import version

import pyads
from pyads import constants
from pyads.testserver import AdsTestServer, AdvancedHandler, PLCVariable

handler = AdvancedHandler()
handler.add_variable(PLCVariable("Main.count", bytes(2), ads_type=constants.ADST_INT16, symbol_type="INT"))
words = struct.pack("<5h", 1, 2, 3, 4, 5)
handler.add_variable(PLCVariable("Main.words", words, ads_type=constants.ADST_INT16, symbol_type="ARRAY [0..4] OF INT"))
server = AdsTestServer(handler=handler, logging=False)
server.start()
time.sleep(0.5)
plc = pyads.Connection("127.0.0.1.1.1", 851, "127.0.0.1")
plc.open()


def outcome(call):
    try:
        return call()
    except Exception as error:
        return type(error).__name__


alone = outcome(lambda: plc.write_by_name("Main.count", 40000, pyads.PLCTYPE_INT))
held = plc.read_by_name("Main.count", pyads.PLCTYPE_INT)
in_a_list = outcome(lambda: plc.write_list_by_name({"Main.count": 40000}))
short = outcome(lambda: plc.write_by_name("Main.words", [9, 8], pyads.PLCTYPE_INT * 5))
array = plc.read_by_name("Main.words", pyads.PLCTYPE_INT * 5)
longer = outcome(lambda: plc.write_by_name("Main.words", [7] * 6, pyads.PLCTYPE_INT * 5))
plc.close()
server.stop()
print("pyads", version("pyads"), "- write_by_name of 40000 to an INT:", alone, "and it holds", held)
print("  write_list_by_name of the same:", in_a_list)
print("  two words to an array of five:", short, "and it holds", array, "; six words:", longer)
as_seen = (alone, held, in_a_list, short, array, longer)
raise SystemExit(0 if as_seen == (None, -25536, "error", None, [9, 8, 0, 0, 0], "IndexError") else 1)
CODE
