#!/bin/sh
# Stands for a program that compiles for ever.
exec /bin/sleep 1000
