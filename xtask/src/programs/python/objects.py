# Objects: methods, inheritance, generators and exceptions.
class Shape:
    def __init__(self, size):
        self.size = size

    def area(self):
        raise NotImplementedError(type(self).__name__)


class Square(Shape):
    def area(self):
        return self.size * self.size


class Strip(Shape):
    @property
    def width(self):
        return self.size + 1

    def area(self):
        return self.size * self.width


def shapes(count):
    for n in range(count):
        yield (Square, Strip, Shape)[n % 3](n % 50)


total, missing = 0, 0
for shape in shapes(400_000):
    try:
        total += shape.area()
    except NotImplementedError:
        missing += 1
print("done", total, missing)
