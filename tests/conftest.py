"What every test stands on."
import signal

# A run started in the background inherits an ignored Ctrl-C and so would what it starts: tests that send
# one to a child would wait for ever. With a handler here, children begin with the usual one.
signal.signal(signal.SIGINT, signal.default_int_handler)
