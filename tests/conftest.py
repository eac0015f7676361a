"What every test stands on."
import gc
import signal

# A run started in the background inherits an ignored Ctrl-C and so would what it starts: tests that send
# one to a child would wait for ever. With a handler here, children begin with the usual one.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where most of the time goes. A worker takes whole files, in this order and then by name: a long one begun last
# would keep one core busy while the others have nothing to do.
LONGEST = "processes launch train studies prepare memory doctor dryrun reproduce scale wheel cli book".split()


def pytest_collection_modifyitems(items):
    place = {f"test_{name}.py": i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish():
    "What the tests import stays to the end; no collection looks through it again"
    gc.freeze()
