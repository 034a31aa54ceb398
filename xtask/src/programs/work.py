# The same work as in the other languages: primes, a dictionary, a sort.
limit = 200_000
sieve = bytearray(b"\x01" * limit)
sieve[0] = sieve[1] = 0
for number in range(2, int(limit**0.5) + 1):
    if sieve[number]:
        for multiple in range(number * number, limit, number):
            sieve[multiple] = 0
words = {}
for number in range(200_000):
    word = "word" + str(number % 50_000)
    words[word] = words.get(word, 0) + 1
seed, numbers = 7, []
for _ in range(100_000):
    seed = (seed * 1103515245 + 12345) % 2147483648
    numbers.append(seed % 1000)
numbers.sort()
print(sum(sieve), len(words), numbers[1000])
