# Numbers and bytes, and hardly any objects: the primes below 200,000, five times.
limit = 200_000
for _ in range(5):
    sieve = bytearray(b"\x01" * limit)
    sieve[0] = sieve[1] = 0
    for number in range(2, 448):
        if sieve[number]:
            for multiple in range(number * number, limit, number):
                sieve[multiple] = 0
print("done", sum(sieve))
