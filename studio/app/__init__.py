"""Use cases of the window and the command line, without Qt.

None imports torch before it is called.
"""
