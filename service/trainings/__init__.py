"""A first training, started over HTTP: pictures are kept, a child process fits, and a person activates the result.

ROOT/.lock                       held by whoever uploads or trains: one at a time, over all server processes
ROOT/NAME/ID/record.json         what is known of one training; written last, so a folder without one was given up
             pictures/00000.png  named by number: no name that a client sent becomes a path
             log.txt             what the trainer said
             stop                there where somebody has asked for the end, with the reason in words
             out/NAME/VERSION    the artifact, which goes into the artifact folder when it is activated
"""
