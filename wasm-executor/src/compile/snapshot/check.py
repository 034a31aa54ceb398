# Says what a script can see of its start, which must be the same from a snapshot and without, and looks for whatever a
# dictionary or a set does not find any more.
import gc, os, posix, sys, time

print(sys.argv, sys.orig_argv, __file__, __name__, __spec__, sorted(globals()))
print(sorted(os.environ.items()), sorted(posix.environ.items()), os.getenv("COLOUR"), os.getcwd())
print(sys.path, sys.flags, sys.warnoptions, sys._xoptions, sys.dont_write_bytecode, sys.exc_info(), sorted(sys.modules))
print(sys.stdin, sys.stdout, sys.stderr, repr(sys.stdin.read()), os.listdir("/check"), sys._getframe().f_back)
print(os.listdir("/data"), open("/data/words").read(), os.path.exists("/haggle-nothing/words"), os.path.exists("/data/none"))
print(len(sys.path_hooks), sys.path_hooks[0], gc.isenabled(), gc.get_threshold(), int(time.time()))

gc.unfreeze()
seen, todo, lost = set(), gc.get_objects(), 0
while todo:
    thing = todo.pop()
    if id(thing) in seen or thing is seen or thing is todo:
        continue
    seen.add(id(thing))
    todo.extend(gc.get_referents(thing))
    kind = type(thing)
    if kind is dict or kind is set or kind is frozenset:
        for key in list(thing):
            lost += key not in thing
    elif kind is str:
        lost += hash(thing) != hash((thing + "\0")[:-1])
    elif kind is bytes:
        lost += hash(thing) != hash((thing + b"\0")[:-1])
print("lost", lost, "of many" if len(seen) > 5000 else len(seen))

import beside, collections, dataclasses, json, random, re, uuid

print(json.dumps({"a": [1, 2.5, None]}), re.sub("b+", "-", "abbbc"), collections.Counter("aab"), len(str(uuid.uuid4())))
print(0 <= random.random() < 1, {"b", "a"} == set("ab"), sys.intern("posix") in sys.modules, beside.found)
sys.exit(3)
