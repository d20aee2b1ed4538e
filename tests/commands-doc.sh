#!/bin/sh
# docs/commands.md is what `hostkit help --markdown` prints; after a change to the table of verbs:
#   hostkit help --markdown > docs/commands.md
"$1" help --markdown | diff -u "$2" -
