"""Writes a file as a C array: embed.py NAME HEADER INPUT OUTPUT."""
import sys

name, header, source, target = sys.argv[1:]
data = open(source, "rb").read()
lines = [", ".join(str(b) for b in data[i:i + 24]) for i in range(0, len(data), 24)]
with open(target, "w") as out:
    out.write(f'#include "{header}"\n\nconst char {name}[] = {{\n    ')
    out.write(",\n    ".join(lines))
    out.write(f"}};\nconst size_t {name}_len = sizeof {name};\n")
