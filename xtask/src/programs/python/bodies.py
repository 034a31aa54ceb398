# Numbers with a fraction: the outer planets for so many steps.
import math

bodies = [
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 39.47],
    [[4.84, -1.16, -0.10], [0.606, 2.811, -0.025], 0.0377],
    [[8.34, 4.12, -0.40], [-1.010, 1.825, 0.008], 0.0113],
    [[12.89, -15.11, -0.22], [1.082, 0.868, -0.010], 0.0017],
    [[15.37, -25.91, 0.17], [0.979, 0.594, -0.034], 0.0020],
]
pairs = [(one, other) for at, one in enumerate(bodies) for other in bodies[at + 1 :]]
for _ in range(12_000):
    for (p, v, m), (q, w, n) in pairs:
        x, y, z = p[0] - q[0], p[1] - q[1], p[2] - q[2]
        pull = 0.001 * math.sqrt(x * x + y * y + z * z) ** -3
        for axis, distance in enumerate((x, y, z)):
            v[axis] -= distance * n * pull
            w[axis] += distance * m * pull
    for p, v, _ in bodies:
        for axis in range(3):
            p[axis] += 0.001 * v[axis]
print("done", all(math.isfinite(place) for p, _, _ in bodies for place in p))
