"""Decides, purely: no clock, no random, no I/O, no logging, no await. Time is an argument."""
