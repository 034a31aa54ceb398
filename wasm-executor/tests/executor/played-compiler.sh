#!/bin/sh
# Stands for the program that compiles, and does what the test says in a file beside its link to this.
. "$0.does"
